"""The parts of the text that come from the state, each by itself: one that fails hides no other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import Metric

from exporters import families
from exporters.families import View
from exporters.family import as_text
from exporters.vm_lines import VmLines


@dataclass(frozen=True, slots=True)
class Collector:
    """``read`` takes what it needs out of the state; ``write`` makes text of that when the transaction has ended.

    Writing takes longer than reading, and must not hold back SQLite's checkpoints.
    ``by_clock``: what it tells changes though nothing in the state does.
    """

    name: str
    read: Callable[[View], Any]
    write: Callable[[Any], bytes] = as_text
    by_clock: bool = False


def of_state(vm_lines: VmLines, *, vm_series: bool) -> tuple[Collector, ...]:
    """All of them, in the order of the catalogue."""
    return (
        *([Collector("vm_series", vm_lines.read, vm_lines.write)] if vm_series else []),
        Collector("vms", _listed(families.all_vms), by_clock=True),
        Collector("hypervisor", _listed(families.hypervisor)),
        Collector("waiting", _listed(families.waiting)),
        Collector("day", _listed(families.day)),
        Collector("links", _listed(families.links)),
        Collector("passes", _listed(families.passes)),
        Collector("watches", _listed(families.watches)),
        Collector("markers", _listed(families.markers)),
    )


def _listed(read: Callable[[View], Iterable[Metric]]) -> Callable[[View], list[Metric]]:
    return lambda view: list(read(view))
