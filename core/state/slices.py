"""Links that leave in slices: what of each day is set for them, in place of the charge of the whole.

A link is one of them from its first slice on.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from core.clock import Instant
from core.enums import LinkState
from core.state import ledger
from core.state.schema import crossing, link, slice_of_day, sync

_table = slice_of_day.c


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
        """Bytes that have crossed for it in all."""
        return sum(size for _, size in self.crossed)


class Charge(NamedTuple):
    """What was set for a link on one day; the link may have had its end."""

    day: int
    bytes: int
    released: Instant
    is_outstanding: bool


def put(connection: Connection, amounts: Mapping[int, int], day: int, now: Instant) -> None:
    """Sets bytes of one day for links: link id -> bytes. What was set before for the same day gives way."""
    stamp = {"released_at": now.wall, "released_boot": now.boot_id, "released_uptime": now.uptime}
    rows = [{"link_id": link_id, "day": day, "bytes": size, **stamp} for link_id, size in amounts.items()]
    if rows:
        new = upsert(slice_of_day)
        changed = {name: new.excluded[name] for name in ("bytes", *stamp)}
        connection.execute(new.on_conflict_do_update(index_elements=["link_id", "day"], set_=changed), rows)


def under_way(connection: Connection, day: int) -> list[UnderWay]:
    """Outstanding links that leave in slices, as they stand in the open ``day``, in the order of granting."""
    ids = select(_table.link_id).distinct()
    links = select(link.c.id, link.c.dump_id, link.c.bytes).where(link.c.ended_at.is_(None), link.c.id.in_(ids))
    rows = connection.execute(links.order_by(link.c.id)).all()
    return [_under_way(connection, row.id, row.dump_id or 0, row.bytes, day) for row in rows]


def _under_way(connection: Connection, link_id: int, dump_id: int, size: int, day: int) -> UnderWay:
    query = select(sync.c.day, crossing.c.bytes).join(sync, sync.c.id == crossing.c.sync_id)
    crossed = [(row.day or 0, row.bytes) for row in connection.execute(query.where(crossing.c.link_id == link_id))]
    today = sum(sent for number, sent in crossed if number == day)
    return UnderWay(link_id, dump_id, size, tuple(crossed), today, _today(connection, link_id, day))


def outstanding_bytes(connection: Connection, day: int) -> int:
    """What the outstanding links take of the open ``day``: all of their bytes, or their slice of it."""
    whole = ledger.outstanding_total(connection).bytes
    return whole + sum(one.today - one.bytes for one in under_way(connection, day))


def charges(connection: Connection, since_day: int) -> list[Charge]:
    """What was set on this day and later, but for links that never stood."""
    columns = (_table.day, _table.bytes, _table.released_at, _table.released_boot, _table.released_uptime)
    query = (
        select(*columns, link.c.ended_at)
        .join(link, link.c.id == _table.link_id)
        .where(_table.day >= since_day, link.c.state != LinkState.VOID)
    )
    return [
        Charge(
            row.day, row.bytes, Instant(row.released_at, row.released_boot, row.released_uptime), row.ended_at is None
        )
        for row in connection.execute(query).all()
    ]


def sliced_links(connection: Connection) -> frozenset[int]:
    """The ids of all links that leave or left in slices."""
    return frozenset(connection.execute(select(_table.link_id).distinct()).scalars())


def _today(connection: Connection, link_id: int, day: int) -> int:
    query = select(_table.bytes).where(_table.link_id == link_id, _table.day == day)
    return int(connection.execute(query).scalar() or 0)
