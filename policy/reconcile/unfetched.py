"""Links that nobody fetches: either the puller is down, or it leaves one of them out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from core.clock import Instant
from core.enums import DumpState, LinkState, Reason
from core.filenames import printable
from core.state import counters, dumps, ledger, slices, vms
from core.state.database import Connection
from core.state.ledger import LinkRow

log = logging.getLogger("tidegate.policy")

DAY = 24 * 3600.0
#: A link that is not confirmed by then is suspect (DESIGN 6).
SUSPECT_AFTER = 3 * DAY
#: So long its VM waits when it was taken back.
TURN_AGAIN_AFTER = 7 * DAY
#: Other links must be fetched for so long before one is held to be left out: a puller that was down begins somewhere.
ANOTHER_CHANCE = DAY


@dataclass(frozen=True, slots=True)
class Unfetched:
    """A suspect link. ``waited``: for so many seconds nothing of its VM was fetched. ``others``: others were since."""

    link: LinkRow
    waited: float
    others: bool


def suspects(connection: Connection, now: Instant) -> list[Unfetched]:
    """Links of dumps that stand and are not confirmed for ``SUSPECT_AFTER``, the longest first.

    A link that took an unread one's place waits since that one was let out.
    """
    sliced = slices.sliced_links(connection)  # they take as long as they take
    waiting = [one for one in ledger.outstanding(connection) if one.state is LinkState.LINKED and one.dump_id]
    waiting = [one for one in waiting if one.id not in sliced]
    firsts = ledger.by_ids(connection, {one.since_id for one in waiting if one.since_id is not None})
    since = {one.id: firsts.get(one.since_id or one.id, one) for one in waiting}
    late = [one for one in waiting if now.elapsed_since(since[one.id].released) >= SUSPECT_AFTER]
    if not late:
        return []
    fetched = ledger.newest_fetched(
        connection, since_day=min(since[one.id].day for one in late), before=now.wall - ANOTHER_CHANCE
    )
    found = [
        Unfetched(one, now.elapsed_since(first.released), fetched is not None and fetched >= (first.linked_at or 0))
        for one in late
        for first in [since[one.id]]
    ]
    return sorted(found, key=lambda one: -one.waited)


def nothing_is_fetched(found: Sequence[Unfetched]) -> bool:
    """Whether it is the puller that is down, and not one link that is left out."""
    return bool(found) and not any(one.others for one in found)


def tell(found: Sequence[Unfetched]) -> None:
    """Logs that nothing is fetched, which keeps every day from its end or its use."""
    if nothing_is_fetched(found):
        log.warning("nothing has been fetched for %.0f days: does the storage pull?", found[0].waited / DAY)


def revoke_left_out(connection: Connection, now: Instant) -> list[LinkRow]:
    """Records that links which are left out while others are fetched are taken back, before they are removed.

    Their VMs have their turn again in a week: what keeps the storage from one dump does not keep the others here.
    """
    left_out = [one for one in suspects(connection, now) if one.others]
    for one in left_out:
        days = one.waited / DAY
        name = printable(one.link.export_name)
        log.warning("%s: not fetched for %.0f days while others were; taken back for a week", name, days)
        if one.link.vm is not None:
            vms.change(connection, one.link.vm, backing_off_until=now.wall + TURN_AGAIN_AFTER)
    links = [one.link for one in left_out]
    ledger.change_links(connection, [link.id for link in links], state=LinkState.REVOKED)
    ids = [link.dump_id for link in links if link.dump_id is not None]
    dumps.change_many(connection, ids, state=DumpState.PENDING, reason=None, detail="")
    counters.count(connection, "links_taken_back", len(links), label=Reason.BACKING_OFF)
    return links
