"""What `tidegate sync` may have sent: recorded before it crosses the line, so that no kill makes it forgotten."""

from sqlalchemy import Connection, select, update

from core.clock import Instant
from core.enums import Force, LinkState
from core.state.schema import link, sync


def begin(connection: Connection, sync_id: int, now: Instant) -> None:
    """A sync that was announced is one of ours."""
    stamp = {"started_at": now.wall, "started_boot": now.boot_id, "started_uptime": now.uptime}
    connection.execute(update(sync).where(sync.c.id == sync_id).values(**stamp))


def lease(connection: Connection, sync_id: int, size: int) -> None:
    """So many bytes may have been sent in this sync."""
    connection.execute(update(sync).where(sync.c.id == sync_id).values(leased_bytes=size))


def end(connection: Connection, sync_id: int, now: float) -> None:
    """A sync that was never reported is over, and has ended no day."""
    unreported = update(sync).where(sync.c.id == sync_id, sync.c.reported_at.is_(None))
    connection.execute(unreported.values(reported_at=now, evidence=""))


def leased(connection: Connection, day: int, now: Instant, lately: float) -> int:
    """Bytes that may have been sent in the syncs of this day, and in those that began in the last seconds."""
    columns = (sync.c.day, sync.c.leased_bytes, sync.c.started_at, sync.c.started_boot, sync.c.started_uptime)
    rows = connection.execute(select(*columns).where(sync.c.day >= day - 1)).all()
    return sum(
        row.leased_bytes
        for row in rows
        if row.day == day
        or (
            row.leased_bytes
            and now.elapsed_since(Instant(row.started_at, row.started_boot, row.started_uptime)) < lately
        )
    )


def exceeds_its_day(connection: Connection) -> bool:
    """Whether a link is outstanding that was let out above the limit: by the admin's word, or in debt."""
    above = (link.c.forced == Force.OVER_LIMIT) | (link.c.debt_bytes > 0)
    query = select(link.c.id).where(link.c.ended_at.is_(None), link.c.state != LinkState.VOID, above)
    return connection.execute(query.limit(1)).first() is not None
