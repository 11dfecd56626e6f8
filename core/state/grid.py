"""Which VM was dumped, let out, confirmed or failed on which date: times, for whoever draws a grid of them."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from core.enums import DumpState, LinkState
from core.markers.format import MarkerKind
from core.state.schema import dump, link

#: Rows that are converted at once: there are several for each VM and date.
_PORTION = 5000

#: A VM and a time.
Event = tuple[str, float]

# A failure that was followed by a dump is superseded like any other; its marker's signature still says what it was.
_FAILED = or_(
    dump.c.state == DumpState.FAILED,
    and_(dump.c.fingerprint == "", dump.c.signature.contains(f"{MarkerKind.FAILED}:")),
)


def dumped(connection: Connection, since: float) -> Iterator[Event]:
    """Finished dumps, by the time whose data they hold."""
    return _events(connection, select(dump.c.vm, dump.c.dump_time), dump.c.dump_time, since, ~_FAILED)


def failed(connection: Connection, since: float) -> Iterator[Event]:
    """Dumps that failed, by the time at which they did."""
    return _events(connection, select(dump.c.vm, dump.c.dump_time), dump.c.dump_time, since, _FAILED)


def released(connection: Connection, since: float) -> Iterator[Event]:
    """Links, by the time at which they were charged."""
    stood = link.c.state != LinkState.VOID
    return _events(connection, select(link.c.vm, link.c.released_at), link.c.released_at, since, stood)


def confirmed(connection: Connection, since: float) -> Iterator[Event]:
    """Links, by the time at which the storage was held to have them."""
    query = select(link.c.vm, link.c.confirmed_at)
    return _events(connection, query, link.c.confirmed_at, since, link.c.confirmed_at.is_not(None))


def _events(
    connection: Connection,
    query: Select[tuple[str, float]],
    when: ColumnElement[float],
    since: float,
    which: ColumnElement[bool],
) -> Iterator[Event]:
    vm = query.selected_columns[0]
    rows = connection.execute(query.where(when >= since, vm.is_not(None), which))
    for portion in rows.partitions(_PORTION):
        yield from map(tuple, portion)
