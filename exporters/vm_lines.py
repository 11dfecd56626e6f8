"""The series of single VMs, as text.

There may be tens of thousands of VMs, and between two scrapes few of them have news: what was written of a VM is kept
as long as its figures are the same.
"""

from collections.abc import Callable, Sequence

from core import dump_history
from core.state import vms
from core.state.vms import VmFigures
from exporters import metrics
from exporters.families import View
from exporters.family import as_text, labelled

FAMILIES = (
    metrics.VM_INFO,
    metrics.VM_FIRST_SEEN,
    metrics.VM_LAST_DUMP,
    metrics.VM_LAST_DUMP_SIZE,
    metrics.VM_LAST_DUMP_SHRUNK,
    metrics.VM_LAST_DUMP_SUCCESS,
    metrics.VM_OFFSITE,
    metrics.VM_TARGET,
)
#: VMs that are read or written at a stretch.
_STRETCH = 100

_Stretches = Sequence[Sequence[VmFigures]]


class VmLines:
    """Reads and writes them. ``give_way`` is called after each stretch, which takes a fraction of a millisecond."""

    def __init__(self, give_way: Callable[[], None] = lambda: None) -> None:
        self._give_way = give_way
        self._kept: dict[VmFigures, tuple[str, ...]] = {}

    def read(self, view: View) -> _Stretches:
        """The figures of all VMs."""
        read = []
        for stretch in vms.figures(view.connection, _STRETCH):
            read.append(stretch)
            self._give_way()
        return read

    def write(self, figures: _Stretches) -> bytes:
        """The text of all FAMILIES. No stretch is empty."""
        kept: dict[VmFigures, tuple[str, ...]] = {}
        columns = [[as_text([family.of([])]).decode()] for family in FAMILIES]
        for stretch in figures:
            lines = {one: self._kept.get(one) or _lines(one) for one in stretch}
            for column, written in zip(columns, zip(*lines.values(), strict=True), strict=True):
                column.append("".join(written))
            kept |= lines
            self._give_way()
        self._kept = kept
        return b"".join(["".join(column).encode() for column in columns])


def _lines(one: VmFigures) -> tuple[str, ...]:
    """One for each of FAMILIES; "" for what never happened."""
    vm = labelled(vm=one.name)
    return (
        metrics.VM_INFO.line(labelled(vm=one.name, backup_set=one.backup_set or ""), 1),
        metrics.VM_FIRST_SEEN.line(vm, one.first_seen),
        metrics.VM_LAST_DUMP.line(vm, one.last_dump_time),
        metrics.VM_LAST_DUMP_SIZE.line(vm, None if one.last_dump_time is None else one.last_dump_bytes),
        metrics.VM_LAST_DUMP_SHRUNK.line(vm, _shrunk(one)),
        metrics.VM_LAST_DUMP_SUCCESS.line(vm, None if one.last_result_at is None else not one.last_dump_failed),
        metrics.VM_OFFSITE.line(vm, None if one.is_dropped else one.offsite_time),
        metrics.VM_TARGET.line(vm, one.target),
    )


def _shrunk(one: VmFigures) -> bool | None:
    return None if one.last_dump_time is None else dump_history.shrunk_from(one.dump_sizes) is not None
