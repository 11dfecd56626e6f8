"""The policies that are compared: the program's own, and what others do.

Each of the others is an order of turns, in which what does not fit is skipped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Dump, Rules, Vm
from tools.simulation.simulate import Policy, World

DAY = 86_400.0
START = 1_800_000_000.0


@dataclass(frozen=True)
class Tidegate:
    """The program's decision. It takes the periods times ``misjudged``, and the clock goes ahead on ``ahead`` days."""

    misjudged: Sequence[float] = (1.0,)
    ahead: frozenset[int] = frozenset()

    def __call__(self, world: World, room: int) -> list[int]:
        workload = world.workload
        now = START + world.day * DAY + (30 * DAY if world.day in self.ahead else 0.0)
        dumps = [self._dump(world, vm) for vm in world.waiting()]
        rules = Rules(workload.limit, coming=self._coming(world))
        whole = workload.room(world.day)
        day = Day(world.day + 1, now, DayAccount(whole, outstanding=whole - room))
        vms = [self._vm(world, vm) for vm in range(len(workload.vms))]
        return [int(one.dump.vm) for one in decide(vms, dumps, day, rules, now).released]

    def _coming(self, world: World) -> tuple[int, ...]:
        week = world.workload.week
        return tuple(world.workload.room(world.day + day) for day in range(1, len(week) + 1)) if len(week) > 1 else ()

    def _dump(self, world: World, vm: int) -> Dump:
        return Dump(vm, f"{vm:05}", f"{vm:05}", world.sizes[vm], START + (world.newest[vm] or 0) * DAY)

    def _vm(self, world: World, vm: int) -> Vm:
        one = world.workload.vms[vm]
        return Vm(
            f"{vm:05}",
            None,
            START + (one.offsite + one.period) * DAY,
            world.sizes[vm],
            START + world.offsite[vm] * DAY if world.known[vm] else None,
            one.period * DAY * self.misjudged[vm % len(self.misjudged)],
            None if one.target is None else one.target * DAY,
            outstanding_since_day=1 if vm in world.on_the_way else None,
        )


def in_order(key: Callable[[World, int], float], *, stops: bool = False) -> Policy:
    """Lets out by rising ``key``, smaller first on ties; where it ``stops``, nothing behind what does not fit."""

    def choose(world: World, room: int) -> list[int]:
        chosen = []
        for vm in sorted(world.waiting(), key=lambda vm: (key(world, vm), world.sizes[vm], vm)):
            if world.sizes[vm] <= room:
                chosen.append(vm)
                room -= world.sizes[vm]
            elif stops:
                break
        return chosen

    return choose


def _age(world: World, vm: int) -> int:
    return world.day - world.offsite[vm]


def _gain(world: World, vm: int) -> int:
    return (world.newest[vm] or 0) - world.offsite[vm]


def _share(world: World, vm: int) -> float:
    return _age(world, vm) / world.targets[vm]


BASELINES: dict[str, Policy] = {
    "by name, stop at the first that does not fit": in_order(lambda _, vm: vm, stops=True),
    "first come, skip": in_order(lambda world, vm: world.newest[vm] or 0),
    "smallest first": in_order(lambda world, vm: world.sizes[vm]),
    "largest first": in_order(lambda world, vm: -world.sizes[vm]),
    "oldest copy first, skip": in_order(lambda world, vm: -_age(world, vm)),
    "most of its target used, skip": in_order(lambda world, vm: -_share(world, vm)),
    "earliest deadline first": in_order(lambda world, vm: world.offsite[vm] + world.targets[vm]),
    "gain by size": in_order(lambda world, vm: -_gain(world, vm) / world.sizes[vm]),
    "gain² by size": in_order(lambda world, vm: -(_gain(world, vm) ** 2) / world.sizes[vm]),
}
