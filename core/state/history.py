"""What was: days, what became of a VM's dumps, and what was on which date. Reads and decides nothing."""

from collections.abc import Collection, Iterator
from sqlite3 import Connection
from typing import NamedTuple

from core.enums import DumpState, LinkState
from core.markers.format import MarkerKind
from core.state import dumps, ledger, syncs
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from core.state.statements import json_list

#: Of one VM: more dumps than this nobody reads.
_MOST_DUMPS = 1000


class PastDay(NamedTuple):
    """One day: what it released, what was confirmed while it was open, and what its syncs transferred.

    ``closed_at`` None: it is open. ``sent_bytes`` and ``received_bytes`` None: no sync of it reported them.
    """

    number: int
    opened_at: float
    closed_at: float | None
    closed_by: str | None
    limit_bytes: int
    links: int
    released_bytes: int
    confirmed_links: int
    confirmed_bytes: int
    sent_bytes: int | None
    received_bytes: int | None
    beyond_bytes: int


class PastRelease(NamedTuple):
    """One time that a dump was released. ``crossed`` in bytes; None: no log has it."""

    link: LinkRow
    crossed: int | None


class PastDump(NamedTuple):
    """One dump and each time that it was released, oldest first."""

    dump: DumpRow
    released: tuple[PastRelease, ...]


_OF_DAY = f"FROM link WHERE link.day = day.number AND link.state != '{LinkState.VOID}'"
#: The report that ends a day confirms its links in the same moment.
_CONFIRMED = "FROM link WHERE confirmed_at > opened_at AND (closed_at IS NULL OR confirmed_at <= closed_at)"
_OF_SYNCS = "FROM sync WHERE sync.day = day.number"
_DAYS = f"""
    SELECT number, opened_at, closed_at, closed_by, limit_bytes,
        (SELECT count(*) {_OF_DAY}), (SELECT coalesce(sum(bytes), 0) {_OF_DAY}),
        (SELECT count(*) {_CONFIRMED}), (SELECT coalesce(sum(bytes), 0) {_CONFIRMED}),
        (SELECT sum(sent_bytes) {_OF_SYNCS}), (SELECT sum(received_bytes) {_OF_SYNCS}),
        (SELECT coalesce(sum(beyond_bytes), 0) {_OF_SYNCS})
    FROM day ORDER BY number DESC LIMIT ?
"""


def days(connection: Connection, limit: int) -> list[PastDay]:
    """The newest days, newest first."""
    return [PastDay(*row) for row in connection.execute(_DAYS, (limit,))]


def of_vm(connection: Connection, vm: str, since: float) -> list[PastDump]:
    """The VM's dumps that were recorded or released since then, in seconds since the epoch; newest first."""
    links = ledger.of_vm(connection, vm, _MOST_DUMPS)
    crossed = syncs.transferred_for(connection, [one.id for one in links])
    found = []
    for row in dumps.of_vm(connection, vm, _MOST_DUMPS):
        released = tuple(PastRelease(one, crossed.get(one.id)) for one in reversed(links) if one.dump_id == row.id)
        if row.fingerprint and max([row.recorded_at, *(one.link.released_at for one in released)]) >= since:
            found.append(PastDump(row, released))
    return found


# --- on which date: times, for whoever draws a grid of them

#: A VM and a time.
Event = tuple[str, float]

# A failure that was followed by a dump is superseded like any other; its marker's signature still has what it was.
_IS_FAILURE = f"(state = '{DumpState.FAILED}' OR (fingerprint = '' AND instr(signature, '{MarkerKind.FAILED}:') > 0))"


def dumped(connection: Connection, vms: Collection[str], since: float) -> Iterator[Event]:
    """Finished dumps of these VMs, by the time whose data they hold."""
    where = f"dump_time >= ? AND NOT {_IS_FAILURE}"
    return _events(connection, f"SELECT vm, dump_time FROM dump WHERE {_OF_VMS} AND {where}", vms, since)


def failed(connection: Connection, vms: Collection[str], since: float) -> Iterator[Event]:
    """Dumps that failed, by the time at which they did."""
    where = f"dump_time >= ? AND {_IS_FAILURE}"
    return _events(connection, f"SELECT vm, dump_time FROM dump WHERE {_OF_VMS} AND {where}", vms, since)


def released(connection: Connection, vms: Collection[str], since: float) -> Iterator[Event]:
    """Links, by the time at which they were charged to their day."""
    where = f"released_at >= ? AND state != '{LinkState.VOID}'"
    return _events(connection, f"SELECT vm, released_at FROM link WHERE {_OF_VMS} AND {where}", vms, since)


def confirmed(connection: Connection, vms: Collection[str], since: float) -> Iterator[Event]:
    """Links, by the time at which they were confirmed."""
    return _events(connection, f"SELECT vm, confirmed_at FROM link WHERE {_OF_VMS} AND confirmed_at >= ?", vms, since)


_OF_VMS = "vm IN (SELECT value FROM json_each(?))"


def _events(connection: Connection, query: str, vms: Collection[str], since: float) -> Iterator[Event]:
    return connection.execute(query, (json_list(vms), since))
