"""Syncs that were announced or reported, and which links stood when they were sealed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from core.state.schema import sealed_link, sync


@dataclass(frozen=True, slots=True)
class SyncRow:
    """One row of the table ``sync``. ``watch`` None: all export trees.

    ``sent_bytes`` crossed the line to the storage, ``received_bytes`` came from it; None: nobody told. No link was
    charged for ``beyond_bytes`` of them.
    """

    id: int
    watch: str | None
    sealed_at: float | None
    reported_at: float | None
    started_at: float | None
    day: int | None
    evidence: str
    confirmed: int
    sent_bytes: int | None
    received_bytes: int | None
    beyond_bytes: int


_SYNC = [sync.c[name] for name in SyncRow.__dataclass_fields__]


def add_sync(connection: Connection, **values: Any) -> int:
    """Inserts a sync and returns its id."""
    return int(connection.execute(insert(sync).values(**values).returning(sync.c.id)).scalar_one())


def change_sync(connection: Connection, sync_id: int, **values: Any) -> None:
    """Updates one sync."""
    connection.execute(update(sync).where(sync.c.id == sync_id).values(**values))


def one_sync(connection: Connection, sync_id: int) -> SyncRow:
    """The sync of this id."""
    return SyncRow(**connection.execute(select(*_SYNC).where(sync.c.id == sync_id)).mappings().one())


def sync_of_process(connection: Connection, process: int, since: float) -> int | None:
    """The id of the newest sync since then that this process of a daemon serves."""
    served = and_(sync.c.process == process, sync.c.started_at >= since)
    return connection.execute(select(func.max(sync.c.id)).where(served)).scalar()


def seals(connection: Connection, since: float) -> list[SyncRow]:
    """Syncs that were announced after ``since``, newest first."""
    rows = connection.execute(select(*_SYNC).where(sync.c.sealed_at >= since).order_by(sync.c.id.desc())).mappings()
    return [SyncRow(**row) for row in rows]


def open_seals(connection: Connection, since: float) -> list[SyncRow]:
    """Those of ``seals`` that are not reported."""
    return [seal for seal in seals(connection, since) if seal.reported_at is None]


def reports(connection: Connection, since_day: int = 0) -> list[SyncRow]:
    """Reported syncs of this day and later, newest first; one that broke off, and ended no day, is none of them."""
    query = select(*_SYNC).where(sync.c.reported_at.is_not(None), sync.c.evidence != "", sync.c.day >= since_day)
    return [SyncRow(**row) for row in connection.execute(query.order_by(sync.c.id.desc())).mappings()]


def seal(connection: Connection, sync_id: int, link_ids: Iterable[int]) -> None:
    """Records which links stood when a sync was announced."""
    rows = [{"sync_id": sync_id, "link_id": link_id} for link_id in link_ids]
    if rows:
        connection.execute(insert(sealed_link), rows)


def sealed_links(connection: Connection, sync_id: int) -> frozenset[int]:
    """The links that stood when this sync was announced."""
    query = select(sealed_link.c.link_id).where(sealed_link.c.sync_id == sync_id)
    return frozenset(connection.execute(query).scalars())
