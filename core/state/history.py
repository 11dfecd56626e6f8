"""What was: days, syncs, and what became of a VM's dumps. Reads and decides nothing."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, func, or_, select

from core.enums import LinkState
from core.state import crossings, dumps, ledger
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from core.state.schema import day, link, sync
from core.state.syncs import SyncRow

#: Of one VM: more dumps than this nobody reads.
_MOST_DUMPS = 1000


@dataclass(frozen=True, slots=True)
class PastDay:
    """One day: what it let out, what was confirmed while it was open, and what its syncs took on the line.

    ``closed_at`` None: it is open. ``sent_bytes`` and ``received_bytes`` None: no sync of it told.
    """

    number: int
    opened_at: float
    closed_at: float | None
    closed_by: str | None
    limit_bytes: int
    links: int
    let_out_bytes: int
    confirmed_links: int
    confirmed_bytes: int
    sent_bytes: int | None
    received_bytes: int | None
    beyond_bytes: int


@dataclass(frozen=True, slots=True)
class LetOut:
    """One time that a dump was let out. ``crossed`` in bytes; None: no log told."""

    link: LinkRow
    crossed: int | None


@dataclass(frozen=True, slots=True)
class PastDump:
    """One dump and each time that it was let out, oldest first."""

    dump: DumpRow
    released: tuple[LetOut, ...]


def days(connection: Connection, limit: int) -> list[PastDay]:
    """The newest days, newest first."""
    of_day = and_(link.c.day == day.c.number, link.c.state != LinkState.VOID)
    # The report that ends a day confirms its links in the same moment.
    confirmed = and_(
        link.c.confirmed_at > day.c.opened_at, or_(day.c.closed_at.is_(None), link.c.confirmed_at <= day.c.closed_at)
    )
    query = select(
        *(day.c[name] for name in ("number", "opened_at", "closed_at", "closed_by", "limit_bytes")),
        _of_links(func.count(), of_day).label("links"),
        _of_links(func.coalesce(func.sum(link.c.bytes), 0), of_day).label("let_out_bytes"),
        _of_links(func.count(), confirmed).label("confirmed_links"),
        _of_links(func.coalesce(func.sum(link.c.bytes), 0), confirmed).label("confirmed_bytes"),
        _of_syncs(func.sum(sync.c.sent_bytes)).label("sent_bytes"),
        _of_syncs(func.sum(sync.c.received_bytes)).label("received_bytes"),
        _of_syncs(func.coalesce(func.sum(sync.c.beyond_bytes), 0)).label("beyond_bytes"),
    )
    rows = connection.execute(query.order_by(day.c.number.desc()).limit(limit)).mappings()
    return [PastDay(**row) for row in rows]


def _of_links(total: ColumnElement[int], which: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(total).select_from(link).where(which).correlate(day).scalar_subquery()


def _of_syncs(total: ColumnElement[int]) -> ScalarSelect[int]:
    return select(total).where(sync.c.day == day.c.number).correlate(day).scalar_subquery()


def syncs(connection: Connection, since_day: int) -> list[SyncRow]:
    """Syncs that were announced or reported on this day and later, newest first."""
    columns = [sync.c[name] for name in SyncRow.__dataclass_fields__]
    query = select(*columns).where(sync.c.day >= since_day).order_by(sync.c.id.desc())
    return [SyncRow(**row) for row in connection.execute(query).mappings()]


def of_vm(connection: Connection, vm: str, since: float) -> list[PastDump]:
    """The VM's dumps that were recorded or let out since then, in seconds since the epoch; newest first."""
    links = ledger.of_vm(connection, vm, _MOST_DUMPS)
    crossed = crossings.of_links(connection, [one.id for one in links])
    found = []
    for row in dumps.of_vm(connection, vm, _MOST_DUMPS):
        released = tuple(LetOut(one, crossed.get(one.id)) for one in reversed(links) if one.dump_id == row.id)
        if row.fingerprint and max([row.recorded_at, *(one.link.released_at for one in released)]) >= since:
            found.append(PastDump(row, released))
    return found
