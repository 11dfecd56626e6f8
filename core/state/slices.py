"""Links that leave in slices: what of each day is set for them, in place of the charge of the whole.

A link is one of them from its first slice on.
"""

from collections.abc import Mapping
from sqlite3 import Connection
from typing import NamedTuple

from core.clock import Instant
from core.enums import LinkState
from core.state import ledger


class UnderWay(NamedTuple):
    """An outstanding link of which slices have gone or may go.

    ``crossed`` are the bytes that each sync has sent of it, with the number of its day. Of the open day ``sent_today``
    have gone, and ``today`` are set for it.
    """

    link_id: int
    dump_id: int
    bytes: int
    crossed: tuple[tuple[int, int], ...]
    sent_today: int
    today: int

    @property
    def sent(self) -> int:
        """Bytes that have been sent of it in all."""
        return sum(size for _, size in self.crossed)


class Charge(NamedTuple):
    """What was set for a link on one day; the link may have had its end."""

    day: int
    bytes: int
    released: Instant
    is_outstanding: bool


_PUT = (
    "INSERT OR REPLACE INTO slice (link_id, day, bytes, released_at, released_boot, released_uptime) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_UNDER_WAY = (
    "SELECT id, coalesce(dump_id, 0), link.bytes, coalesce(today.bytes, 0) "
    "FROM link LEFT JOIN slice AS today ON today.link_id = link.id AND today.day = ? "
    "WHERE ended_at IS NULL AND id IN (SELECT link_id FROM slice) ORDER BY id"
)
_SENT_OF = (
    "SELECT coalesce(sync.day, 0), transfer.bytes FROM transfer JOIN sync ON sync.id = transfer.sync_id "
    "WHERE link_id = ?"
)
_CHARGES = (
    "SELECT slice.day, slice.bytes, slice.released_at, slice.released_boot, slice.released_uptime, ended_at IS NULL "
    f"FROM slice JOIN link ON link.id = slice.link_id WHERE slice.day >= ? AND state != '{LinkState.VOID}'"
)


def put(connection: Connection, amounts: Mapping[int, int], day: int, now: Instant) -> None:
    """Sets bytes of one day for links: link id -> bytes. What was set before for the same day gives way."""
    connection.executemany(_PUT, [(link_id, day, size, *now) for link_id, size in amounts.items()])


def under_way(connection: Connection, day: int) -> list[UnderWay]:
    """Outstanding links that leave in slices, as they are in the open ``day``, in the order of releasing."""
    found = []
    for link_id, dump_id, size, today in connection.execute(_UNDER_WAY, (day,)):
        crossed = tuple(connection.execute(_SENT_OF, (link_id,)))
        sent_today = sum(sent for number, sent in crossed if number == day)
        found.append(UnderWay(link_id, dump_id, size, crossed, sent_today, today))
    return found


def outstanding_bytes(connection: Connection, day: int) -> int:
    """What the outstanding links take of the open ``day``: all of their bytes, or their slice of it."""
    whole = ledger.outstanding_total(connection).bytes
    return whole + sum(one.today - one.bytes for one in under_way(connection, day))


def charges(connection: Connection, since_day: int) -> list[Charge]:
    """What was set on this day and later, but for links that were never made."""
    rows = connection.execute(_CHARGES, (since_day,))
    return [Charge(day, size, Instant(*released), outstanding == 1) for day, size, *released, outstanding in rows]


def sliced_links(connection: Connection) -> frozenset[int]:
    """The ids of all links that leave or left in slices."""
    return frozenset(link_id for (link_id,) in connection.execute("SELECT DISTINCT link_id FROM slice"))
