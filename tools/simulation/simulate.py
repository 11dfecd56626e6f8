"""Day by day: dumps are made, a policy lets some out, the storage pulls them; the ages are counted.

The age of a VM on a day, after the pass, is the time since the dump that the storage has was made. A dump that is let
out counts as off-site with the pass, as long as the day's sync works; where it fails, what was let out stays on its
way, takes its part of the next day's limit, and arrives with the next sync that works.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tools.simulation.workloads import Workload


@dataclass
class World:
    """What is known on ``day``, VM by VM: the off-site day, the newest dump's day (None: none yet) and its bytes.

    ``known`` is false where the off-site day is only that from which the age counts. Targets are in days."""

    workload: Workload
    day: int
    offsite: list[int]
    known: list[bool]
    newest: list[int | None]
    sizes: list[int]
    on_the_way: dict[int, tuple[int, int]]
    targets: list[float]

    def waiting(self) -> list[int]:
        """The VMs with a dump that is newer than the storage's and not on its way."""
        return [
            vm
            for vm, made in enumerate(self.newest)
            if made is not None and made > self.offsite[vm] and vm not in self.on_the_way
        ]


class Policy(Protocol):
    """Which VMs' newest dumps leave, of ``world.waiting()``, within ``room`` bytes."""

    def __call__(self, world: World, room: int) -> Sequence[int]: ...


@dataclass(frozen=True)
class Result:
    """What came of it. Ages are days; ``over`` are VM-days past the target on which a dump within it was there.

    ``total`` is the sum of all ages; ``starved`` VMs were once past three targets so; ``worst`` is the most that an age
    was of its target, ``oldest`` the highest age, ``used`` the part of the limits that left. ``ages`` are the mean
    ages and ``bytes_out`` the bytes of each day.
    """

    total: int
    mean: float
    over: int
    starved: int
    worst: float
    oldest: int
    used: float
    ages: tuple[float, ...]
    bytes_out: tuple[int, ...]


def run(workload: Workload, policy: Policy, failing: frozenset[int] = frozenset()) -> Result:
    """The whole time under ``policy``; on the days of ``failing`` the sync fails."""
    world = _start(workload)
    made: list[list[tuple[int, int]]] = [[] for _ in range(workload.days)]
    for vm, one in enumerate(workload.vms):
        for day, size in one.dumps:
            made[day].append((vm, size))
    count = _Count(workload)
    for day in range(workload.days):
        world.day = day
        for vm, size in made[day]:
            world.newest[vm], world.sizes[vm] = day, size
        count.day(world, _pass(world, policy, works=day not in failing))
    return count.result()


def _start(workload: Workload) -> World:
    vms = workload.vms
    return World(
        workload,
        0,
        [vm.offsite for vm in vms],
        [not vm.new for vm in vms],
        [None] * len(vms),
        [vm.size for vm in vms],
        {},
        workload.targets(),
    )


def _pass(world: World, policy: Policy, *, works: bool) -> int:
    """One pass and its sync; the bytes that were let out."""
    room = max(0, world.workload.room(world.day) - sum(size for _, size in world.on_the_way.values()))
    waiting = set(world.waiting())
    chosen = list(policy(world, room))
    size = sum(world.sizes[vm] for vm in chosen)
    assert size <= room, f"{size} bytes let out where {room} may"
    assert len(chosen) == len(set(chosen)), "two turns of one VM"
    assert waiting.issuperset(chosen), "a turn of a VM that has none"
    for vm in chosen:
        made = world.newest[vm]
        assert made is not None
        world.on_the_way[vm] = (made, world.sizes[vm])
    if works:
        for vm, (made, _) in world.on_the_way.items():
            world.offsite[vm], world.known[vm] = made, True
        world.on_the_way.clear()
    return size


class _Count:
    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._targets = workload.targets()
        self._total = self._over = self._oldest = 0
        self._worst = 0.0
        self._starved: set[int] = set()
        self._ages: list[float] = []
        self._bytes: list[int] = []

    def day(self, world: World, size: int) -> None:
        today = 0
        for vm, offsite in enumerate(world.offsite):
            age, target = world.day - offsite, self._targets[vm]
            today += age
            self._oldest = max(self._oldest, age)
            made = world.newest[vm]
            if made is not None and offsite < made and world.day - made <= target:
                self._worst = max(self._worst, age / target)
                self._over += age > target
                if age > 3 * target:
                    self._starved.add(vm)
        self._total += today
        self._ages.append(today / len(world.offsite))
        self._bytes.append(size)

    def result(self) -> Result:
        days, vms = self._workload.days, len(self._workload.vms)
        carried = sum(self._workload.room(day) for day in range(days))
        return Result(
            self._total,
            self._total / (days * vms),
            self._over,
            len(self._starved),
            self._worst,
            self._oldest,
            sum(self._bytes) / carried,
            tuple(self._ages),
            tuple(self._bytes),
        )
