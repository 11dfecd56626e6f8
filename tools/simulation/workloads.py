"""Workloads of our own: which VM is dumped on which day, at which size, and what the line carries.

Days are whole numbers, sizes bytes. Everything follows from a name and a seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

GB = 10**9

#: Between two dumps of a VM, in days, and how many of the VMs are dumped so.
Mix = Sequence[tuple[int, float]]

DAILY: Mix = ((1, 1.0),)
WEEKLY: Mix = ((7, 1.0),)
MIXED: Mix = ((1, 0.5), (7, 0.35), (30, 0.15))


@dataclass(frozen=True)
class SimVm:
    """One VM: ``dumps`` are (day, bytes), ``offsite`` the day of the copy that is off-site before day 0.

    Without a copy ``offsite`` is the day from which its age counts. ``target`` is in days, None for the implied one.
    """

    period: int
    size: int
    offsite: int
    dumps: tuple[tuple[int, int], ...]
    target: int | None = None
    new: bool = False


@dataclass(frozen=True)
class Workload:
    """VMs under one limit. On ``silent`` days nothing is pulled; ``week`` are the parts of the limit of weekdays."""

    name: str
    days: int
    limit: int
    vms: tuple[SimVm, ...]
    silent: frozenset[int] = field(default_factory=frozenset)
    week: tuple[float, ...] = (1.0,)

    def room(self, day: int) -> int:
        """Bytes that may leave on ``day``."""
        return int(self.limit * self.week[day % len(self.week)])

    @property
    def mean_room(self) -> float:
        """Bytes that may leave on the average day."""
        return sum(self.room(day) for day in range(len(self.week))) / len(self.week)

    def targets(self) -> list[float]:
        """The target of each VM in days, the implied one as the program has it."""
        full_set = max(1, -(-sum(vm.size for vm in self.vms) // int(self.mean_room)))
        return [3.0 * max(vm.period, full_set) if vm.target is None else float(vm.target) for vm in self.vms]

    @property
    def density(self) -> float:
        """The part of the limit that the targets need."""
        pairs = zip(self.vms, self.targets(), strict=True)
        return sum(vm.size / target for vm, target in pairs) / self.mean_room


@dataclass(frozen=True)
class Kind:
    """A kind of workload, of which each seed makes one.

    ``sizes`` is "uniform", "heavy" (log-normal), "equal", or a range of parts of the limit for lumpy ones; ``load`` is
    what is dumped over what the line carries. A part of the dumps fails, as ``failures`` says, and on ``outages`` all;
    sizes grow by ``growth`` over the time.
    """

    name: str
    count: int
    sizes: str | tuple[float, float] = "uniform"
    mix: Mix = DAILY
    load: float = 1.3
    days: int = 425
    together: bool = False
    new: bool = False
    growth: float = 0.0
    outages: tuple[range, ...] = ()
    failures: float = 0.01
    targets: tuple[int | None, ...] = (None,)

    def make(self, seed: int) -> Workload:
        """The workload of ``seed``."""
        chance = Random(f"{self.name} {seed}")
        periods = chance.choices([days for days, _ in self.mix], [part for _, part in self.mix], k=self.count)
        sizes, limit = self._sizes(chance, periods)
        full_set = max(1, round(sum(sizes) / limit))
        vms = [
            self._vm(chance, n, period, size, limit, full_set)
            for n, (period, size) in enumerate(zip(periods, sizes, strict=True))
        ]
        return Workload(self.name, self.days, limit, tuple(vms))

    def _sizes(self, chance: Random, periods: Sequence[int]) -> tuple[list[int], int]:
        if isinstance(self.sizes, tuple):
            return [int(GB * chance.uniform(*self.sizes)) for _ in periods], GB
        drawn = [_draw(chance, self.sizes) for _ in periods]
        limit = 0.0
        for _ in range(40):  # what is heavier than a day has rules of its own
            limit = sum(size / period for size, period in zip(drawn, periods, strict=True)) / self.load
            drawn = [min(size, 0.85 * limit) for size in drawn]
        return [int(size * GB) for size in drawn], int(limit * GB)

    def _vm(self, chance: Random, number: int, period: int, size: int, limit: int, full_set: int) -> SimVm:
        first = 0 if self.together else chance.randrange(period)
        dumps = []
        for day in range(first, self.days, period):
            if chance.random() < self.failures or any(day in outage for outage in self.outages):
                continue
            grown = size * (1 + self.growth * day / self.days) * chance.uniform(0.95, 1.05)
            dumps.append((day, max(1, min(int(grown), limit))))
        target = self.targets[number % len(self.targets)]
        target = None if target is None else max(target, period + 2)
        offsite = -period if self.new else -chance.randint(1, max(period, full_set))
        return SimVm(period, size, offsite, tuple(dumps), target, self.new)


def _draw(chance: Random, sizes: str) -> float:
    match sizes:
        case "uniform":
            return chance.uniform(1, 10)
        case "heavy":
            return chance.lognormvariate(0, 1.3)
        case _:
            return 5.0


FEASIBLE = (
    Kind("user", 30, "uniform", WEEKLY, 10 / 7, failures=0.0),
    Kind("user at once", 30, "heavy", WEEKLY, 10 / 7, together=True, failures=0.0),
    Kind("few", 10, "uniform", DAILY, 2.0),
    Kind("daily", 60, "uniform", DAILY, 1.3),
    Kind("daily heavy", 60, "heavy", DAILY, 2.6),
    Kind("slack", 100, "heavy", MIXED, 0.6, together=True),
    Kind("mixed", 100, "heavy", MIXED, 1.6),
    Kind("new", 100, "uniform", MIXED, 1.2, new=True),
    Kind("weekly at once", 100, "uniform", WEEKLY, 1.3, together=True),
    Kind("tight week", 100, "heavy", WEEKLY, 0.9, together=True),
    Kind("growing", 80, "uniform", DAILY, 1.2, growth=0.8),
    Kind("targets", 100, "heavy", ((1, 0.7), (7, 0.3)), 1.5, targets=(4, None, None, 14, None, 9, None, None)),
    Kind("outages", 60, "uniform", MIXED, 1.3, outages=(range(100, 105), range(250, 253))),
    Kind("equal", 40, "equal", DAILY, 1.5),
    Kind("lumpy", 40, (0.05, 0.5), ((1, 0.2), (7, 0.8))),
    Kind("large", 1000, "heavy", MIXED, 1.5, days=200),
)

#: Where dumps weigh so much of the limit that few sets of them fit: the bound, which cuts them, is far away.
PACKING = (
    Kind("packing", 12, (0.3, 0.9)),
    Kind("packing weekly", 14, (0.3, 0.9), ((1, 0.3), (7, 0.7))),
)

#: Targets that ask for twice what the line carries.
OVERLOAD = (
    Kind("twice too much", 60, "uniform", DAILY, 20.0, targets=(10,)),
    Kind("twice too much, classes", 60, "uniform", DAILY, 24.0, targets=(7, 14, 28)),
)
