"""Dumps that leave in slices: between the planner, which sets so much of each day for them, and the state."""

from collections.abc import Mapping, Sequence

from core.clock import Instant
from core.state import ledger, slices
from core.state.database import Connection
from core.state.ledger import LinkRow
from policy.planner.model import Plan, SliceProgress

#: Of what crosses for a slice so much is not there afterwards: names, what tells of the part that is there already,
#: and what was on its way when it was cut. More than was ever seen: what is set for the last slice must be enough.
_LOST_BYTES = 64 * 1024
_LOST_SHARE = 2000


def progress(connection: Connection, *, is_syncing: bool) -> dict[int, SliceProgress]:
    """Dump id -> how far it is, for the dumps that are under way. While a sync runs all of today's slice may be going.

    Where more than all of it has gone and it has not arrived, the storage has lost its part: it begins again.
    """
    day = ledger.open_day(connection)
    found: dict[int, SliceProgress] = {}
    if day is None:
        return found
    for one in slices.under_way(connection, day.number):
        before = (size for number, size in one.crossed if number != day.number)
        sent = sum(arrived_of(one.bytes, size) for size in before) % max(1, one.bytes)
        found[one.dump_id] = SliceProgress(sent, one.today, one.today if is_syncing else min(one.today, one.sent_today))
    return found


def arrived_of(size: int, crossed: int) -> int:
    """Bytes that the storage surely has of a dump of ``size``, when so many ``crossed`` in one sync that was cut."""
    return max(0, crossed - _LOST_BYTES - size // _LOST_SHARE)


def put(connection: Connection, plan: Plan, begun: Mapping[int, int], now: Instant) -> None:
    """Charges today's slices. ``begun``: dump id -> link of what this plan lets out."""
    if not plan.slices:
        return
    links = {one.dump_id: one.link_id for one in slices.under_way(connection, plan.day.number)} | dict(begun)
    slices.put(connection, {links[one.dump.dump_id]: one.charge for one in plan.slices}, plan.day.number, now)


def cut_short(connection: Connection, links: Sequence[LinkRow], day: int, now: Instant) -> None:
    """Whole dumps that were cut on this day: on it they are charged whole, and on the next their rests are."""
    slices.put(connection, {link.id: link.bytes for link in links}, day, now)
