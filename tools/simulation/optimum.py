"""The best sum of ages of a small workload, by trying everything: what no rule can beat, with dumps whole.

A day's state is the off-site day of each VM. To let out more never does harm, so that only sets to which nothing can
be added are tried; of each state the least sum is kept.
"""

from collections.abc import Iterator

from tools.simulation.workloads import Workload


def optimum(workload: Workload) -> int:
    """The least sum of ages that any schedule reaches. The time grows exponentially with the VMs."""
    newest: list[tuple[int, int] | None] = [None] * len(workload.vms)
    dumps = [dict(vm.dumps) for vm in workload.vms]
    states = {tuple(vm.offsite for vm in workload.vms): 0}
    for day in range(workload.days):
        newest = [(day, made[day]) if day in made else before for made, before in zip(dumps, newest, strict=True)]
        following: dict[tuple[int, ...], int] = {}
        for offsite, total in states.items():
            for chosen in _full_sets(offsite, newest, workload.room(day)):
                after = tuple(_after(vm, copy, newest[vm], chosen) for vm, copy in enumerate(offsite))
                ages = total + sum(day - copy for copy in after)
                if ages < following.get(after, ages + 1):
                    following[after] = ages
        states = following
    return min(states.values())


def _after(vm: int, copy: int, newest: tuple[int, int] | None, chosen: frozenset[int]) -> int:
    return newest[0] if vm in chosen and newest is not None else copy


def _full_sets(offsite: tuple[int, ...], newest: list[tuple[int, int] | None], room: int) -> Iterator[frozenset[int]]:
    """The sets of waiting VMs that fit into ``room`` and to which no other can be added."""
    waiting = [(dump[1], vm) for vm, dump in enumerate(newest) if dump is not None and dump[0] > offsite[vm]]
    for bits in range(1 << len(waiting)):
        kept = [one for place, one in enumerate(waiting) if bits >> place & 1]
        left = room - sum(size for size, _ in kept)
        if left >= 0 and all(bits >> place & 1 or size > left for place, (size, _) in enumerate(waiting)):
            yield frozenset(vm for _, vm in kept)
