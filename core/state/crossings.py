"""What crossed the line: bytes of each sync and, where a log tells, of each link in it."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from core.enums import LinkState
from core.state.bulk import listed
from core.state.schema import crossing, day, link, slice_of_day, sync


def add(connection: Connection, sync_id: int, amounts: Mapping[int, int]) -> None:
    """Records bytes that crossed for links in one sync: link id -> bytes. Of what is told twice the larger figure."""
    rows = [{"sync_id": sync_id, "link_id": link_id, "bytes": size} for link_id, size in amounts.items()]
    if rows:
        new = upsert(crossing)
        larger = func.max(crossing.c.bytes, new.excluded.bytes)
        statement = new.on_conflict_do_update(index_elements=["sync_id", "link_id"], set_={"bytes": larger})
        connection.execute(statement, rows)


def of_links(connection: Connection, link_ids: Iterable[int]) -> dict[int, int]:
    """Link id -> bytes that crossed the line for it in all syncs; a link of which nothing is told is missing."""
    query = select(crossing.c.link_id, func.sum(crossing.c.bytes)).where(crossing.c.link_id.in_(listed(link_ids)))
    rows = connection.execute(query.group_by(crossing.c.link_id)).all()
    return {link_id: int(size) for link_id, size in rows}


def sent_on(connection: Connection, number: int) -> tuple[int, int]:
    """Bytes that crossed the line to the storage in the syncs of one day, and those that no link was charged for."""
    total = select(func.coalesce(func.sum(sync.c.sent_bytes), 0), func.coalesce(func.sum(sync.c.beyond_bytes), 0))
    sent, beyond = connection.execute(total.where(sync.c.day == number)).one()
    return sent, beyond


def attempts_on(connection: Connection, number: int) -> list[tuple[float, int]]:
    """When each sync of one day began, and its bytes to the storage, as far as they are told; the oldest first."""
    query = select(sync.c.started_at, sync.c.sent_bytes).where(sync.c.day == number, sync.c.sent_bytes.is_not(None))
    return [
        (at, sent)
        for at, sent in connection.execute(query.where(sync.c.started_at.is_not(None)).order_by(sync.c.started_at))
    ]


def charged_for(connection: Connection, number: int) -> int:
    """Bytes that were outstanding at some time of one day: what its syncs may have had to carry.

    Of a link that leaves in slices only the day's own.
    """
    opened = select(day.c.opened_at).where(day.c.number == number).scalar_subquery()
    # Later: the report that ends a day ends its links in the same moment.
    outstanding = or_(link.c.ended_at.is_(None), link.c.ended_at > opened)
    whole = link.c.id.not_in(select(slice_of_day.c.link_id)) & (link.c.state != LinkState.VOID)
    links = select(func.coalesce(func.sum(link.c.bytes), 0)).where(link.c.day <= number, whole, outstanding)
    slices = select(func.coalesce(func.sum(slice_of_day.c.bytes), 0)).where(slice_of_day.c.day == number)
    return int(connection.execute(links).scalar_one()) + int(connection.execute(slices).scalar_one())


def limit_of(connection: Connection, number: int) -> int:
    """The limit in bytes of one day; 0 of a day that was never opened."""
    return int(connection.execute(select(day.c.limit_bytes).where(day.c.number == number)).scalar() or 0)
