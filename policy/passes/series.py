"""Dumps of which it cannot be known that one follows the other: nothing is superseded on a guess."""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence

from core.enums import DumpState
from core.filenames import printable
from core.state import dumps
from core.state.database import Connection
from core.state.dumps import DumpRow

_NAMED = 3


def ambiguous(connection: Connection, rows: Sequence[DumpRow], watches: Container[str]) -> dict[int, str]:
    """Id of a waiting dump -> why it is ambiguous and what to do.

    A VM has one series of dumps (``core.markers.vm_name``). Two that wait at once would replace each other; so would
    one that comes back after another, and an older dump beside a copy of another series. ``watches``: the names of
    those that are configured; what waits in others is no rival. Renamed dumps are of every series.
    """
    waiting = [row for row in rows if _waits(row) and row.watch in watches]
    of_vm: dict[str, dict[tuple[str, str], list[DumpRow]]] = defaultdict(lambda: defaultdict(list))
    for row in waiting:
        if row.vm is not None and row.series:
            of_vm[row.vm][row.watch, row.series].append(row)
    found = {
        row.id: _rivals(row, [newest(group) for group in series.values()])
        for series in of_vm.values()
        if len(series) > 1
        for group in series.values()
        for row in group
    }
    alone = [row.id for series in of_vm.values() if len(series) == 1 for group in series.values() for row in group]
    back = dumps.series_that_came_back(connection, alone) if alone else set()
    return found | {row.id: _replaces_another(row) for row in waiting if row.id in back}


def newest(group: Iterable[DumpRow]) -> DumpRow:
    """The newest of these dumps."""
    return max(group, key=lambda row: (row.dump_time, row.id))


def _waits(row: DumpRow) -> bool:
    return row.state is DumpState.PENDING and row.reason is None and row.ended_at is None


_ADVICE = (
    'give each VM a folder named after it and set [[watch]] vm = "folder", set vm_pattern or prefix, '
    "or name the VM in the marker"
)


def _rivals(row: DumpRow, rivals: Sequence[DumpRow]) -> str:
    named = sorted(_shown(one) for one in rivals)
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"{', '.join(named[:_NAMED])}{more} would all be VM {row.vm}: {_ADVICE}"


def _replaces_another(row: DumpRow) -> str:
    return f"{_shown(row)} would replace the copy of another dump that is also named {row.vm}: {_ADVICE}"


def _shown(row: DumpRow) -> str:
    return f"{printable(row.path)} in {row.watch}"
