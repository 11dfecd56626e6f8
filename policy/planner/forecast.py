"""The same planner run forward: which VM leaves on which coming day, and how old its off-site copy gets.

What is not known yet is taken as it was learned: each VM is dumped once a period, at the size that it has now; a day
is over after 24 hours, and its sync brings everything that was released. Times and ages are seconds, sizes bytes;
days are counted from today, which is 0.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from core.reasons import Reason, Verdict
from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Decision, Dump, Plan, Rules, SliceProgress, Vm
from policy.planner.staleness import DAY, Density, density, offsite_age, period_of, targets

#: A VM that has missed more of its dumps than this is expected to have no more.
MISSED_DUMPS = 3

_SHORTEST_PERIOD = 60.0
#: A limit is found when it is at most so many times one that is too small.
_FOUND = 1.02


@dataclass(frozen=True, slots=True)
class VmForecast:
    """What comes for one VM.

    ``days_out`` are the days on which a dump of it leaves. ``ages`` has its off-site age on each day, before that
    day's sync; None as long as it was never off-site. ``target`` is the age that it is meant to stay under.
    """

    vm: Vm
    target: float
    days_out: tuple[int, ...]
    ages: tuple[float | None, ...]

    @property
    def oldest(self) -> float | None:
        """The greatest age of all days; None where a day finds it without a copy."""
        return None if None in self.ages else max((age for age in self.ages if age is not None), default=None)

    @property
    def within_from(self) -> int | None:
        """The first day from which on it stays within its target; None where the last day finds it outside."""
        good = len(self.ages)
        while good and (age := self.ages[good - 1]) is not None and age <= self.target:
            good -= 1
        return None if good == len(self.ages) else good


@dataclass(frozen=True, slots=True)
class DayForecast:
    """One coming day: the most bytes it may release, what it releases, and how much waits for want of room.

    ``waiting`` None: nobody worked that out.
    """

    left: int
    released: int
    waiting: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What comes for all VMs, by name, and for each day."""

    vms: tuple[VmForecast, ...]
    days: tuple[DayForecast, ...]
    density: Density

    @property
    def within_from(self) -> int | None:
        """The first day from which on every VM stays within its target."""
        each = [one.within_from for one in self.vms]
        return None if None in each else max((day for day in each if day is not None), default=0)

    def keeps_targets(self, since: int) -> bool:
        """Whether every VM is within its target on every day from ``since`` on."""
        return all(age is not None and age <= one.target for one in self.vms for age in one.ages[since:])

    @property
    def used(self) -> float:
        """The share of what the days may release that is released."""
        return sum(day.released for day in self.days) / max(1, sum(day.left for day in self.days))


@dataclass(frozen=True, slots=True)
class Start:
    """What a forecast starts from: the arguments of ``decide``."""

    vms: tuple[Vm, ...]
    dumps: tuple[Dump, ...]
    day: Day
    rules: Rules
    now: float

    def with_limit(self, daily: int) -> "Start":
        """As if each coming day, whatever its weekday, had this limit; today keeps its own."""
        return replace(self, rules=replace(self.rules, daily=daily, coming=()))

    def with_target(self, target: float, vm: str | None = None) -> "Start":
        """As if the target of all VMs, or of this one, were ``target`` seconds."""
        return replace(
            self, vms=tuple(one._replace(target=target) if vm in (None, one.vm) else one for one in self.vms)
        )

    def without(self, vm: str) -> "Start":
        """As if this VM were not there."""
        return replace(
            self,
            vms=tuple(one for one in self.vms if one.vm != vm),
            dumps=tuple(one for one in self.dumps if one.vm != vm),
        )


def run_forward(start: Start, days: int, today: Plan | None = None) -> Forecast:
    """Decides ``days`` days in a row as ``decide`` would, today first; ``today`` is its plan if that is known."""
    world = _World(start)
    told = [world.live(number, start.now + number * DAY, None if number else today) for number in range(days)]
    goals = targets(world.vms.values(), start.rules)
    futures = (
        VmForecast(vm, goals[name], tuple(world.days_out[name]), tuple(world.ages[name]))
        for name, vm in sorted(world.vms.items())
    )
    return Forecast(tuple(futures), tuple(told), density(world.vms.values(), start.rules))


def first_day_out(start: Start, vm: str, horizon: int) -> int | None:
    """The first day on which a dump of ``vm`` leaves, today being 0; None where none of ``horizon`` days is."""
    world = _World(start)
    for number in range(horizon):
        world.live(number, start.now + number * DAY)
        if world.days_out[vm]:
            return number
    return None


def needed_limit(start: Start, days: int) -> int | None:
    """The least daily limit, to two hundredths, that keeps all targets once the first half of ``days`` is over.

    None where no limit does: a VM is not dumped often enough for its target. An unset target is what it is now.
    """

    def is_enough(limit: int) -> bool:
        return run_forward(fixed.with_limit(limit), days).keeps_targets(days // 2)

    goals = targets(start.vms, start.rules)
    fixed = replace(start, vms=tuple(vm._replace(target=goals[vm.vm]) for vm in start.vms))
    least, most = start.rules.reserve + 1, start.rules.reserve + 1 + sum(vm.bytes for vm in start.vms)
    if not is_enough(most):
        return None
    while most > max(least * _FOUND, least + 1):
        middle = max(math.isqrt(least * most), least + 1)
        least, most = (least, middle) if is_enough(middle) else (middle, most)
    return most


class _World:
    """VMs and their dumps as one day leaves them to the next."""

    def __init__(self, start: Start) -> None:
        self.vms = {vm.vm: vm for vm in start.vms}
        self.days_out: dict[str, list[int]] = {name: [] for name in self.vms}
        self.ages: dict[str, list[float | None]] = {name: [] for name in self.vms}
        self._day = start.day
        self._rules = start.rules
        self._debt = 0
        self._dumps: dict[str, list[Dump]] = {name: [] for name in self.vms}
        for dump in start.dumps:
            self._dumps[dump.vm].append(dump)
        self._due = {name: next_dump(vm, self._dumps[name], start.now) for name, vm in self.vms.items()}
        self._last_id = max((dump.dump_id for own in self._dumps.values() for dump in own), default=0)

    def live(self, number: int, now: float, plan: Plan | None = None) -> DayForecast:
        """One day: its dumps, its decision, its sync."""
        if number:
            self._wake(now)
        if plan is None:
            dumps = (dump for own in self._dumps.values() for dump in own)
            plan = decide(self.vms.values(), dumps, self._day, self._rules, now)
        for name, vm in self.vms.items():
            self.ages[name].append(offsite_age(vm, now))
        for dump in self._arriving(plan):
            self.days_out[dump.vm].append(number)
        waiting = sum(one.dump.bytes for one in plan.decisions if one.reason is Reason.LIMIT_REACHED)
        sliced = sum(one.charge for one in plan.slices if one.verdict is not Verdict.RELEASED)
        told = DayForecast(self._day.account.without_slices.left, plan.released_bytes + sliced, waiting)
        self._sync(plan)
        self._debt = self._day.account.owed + sum(one.debt for one in plan.released)
        return told

    def _wake(self, now: float) -> None:
        """The next day, with the dumps that were made until ``now``; the sync that ran before it is over."""
        for name, vm in self.vms.items():
            if vm.replaces_while_syncing:
                self.vms[name] = vm._replace(replaces_while_syncing=False)
        coming, reserve = self._rules.coming, self._rules.reserve
        capacity = coming[0] if coming else self._rules.capacity
        account = DayAccount(capacity + reserve, reserve, debt=self._debt, owed=max(0, self._debt - capacity))
        self._day = Day(self._day.number + 1, self._day.opened + DAY, account)
        self._rules = replace(self._rules, coming=coming[1:] + coming[:1])
        for name, due in self._due.items():
            if due <= now:
                self._dump(self.vms[name], now)

    def _dump(self, vm: Vm, now: float) -> None:
        """Its newest dump until ``now``: those between were superseded before anybody looked."""
        period = _period(vm)
        made = now - (now - self._due[vm.vm]) % period
        self._due[vm.vm] = made + period
        self._last_id += 1
        self._dumps[vm.vm] = [Dump(self._last_id, vm.vm, vm.vm, vm.bytes, made)]

    def _sync(self, plan: Plan) -> None:
        """The storage has everything that was released."""
        for one in plan.slices:
            self._send_slice(one)
        for dump in self._release_all(plan):
            vm = self.vms[dump.vm]
            self.vms[dump.vm] = vm._replace(
                offsite_time=max(dump.dump_time, vm.offsite_time or dump.dump_time),
                outstanding_since_day=None,
                forced=None,
                unread_link_bytes=0,
            )
            self._dumps[dump.vm] = [one for one in self._dumps[dump.vm] if one.dump_time > dump.dump_time]

    def _send_slice(self, one: Decision) -> None:
        if one.slice is None or _is_complete(one):
            return
        progress = SliceProgress(one.slice.first + one.slice.bytes)
        own = self._dumps[one.dump.vm]
        begun = one.dump._replace(outstanding=True, progress=progress)
        self._dumps[one.dump.vm] = [begun if dump.dump_id == begun.dump_id else dump for dump in own]
        vm = self.vms[one.dump.vm]
        self.vms[one.dump.vm] = vm._replace(outstanding_since_day=self._day.number, forced=None)

    def _arriving(self, plan: Plan) -> Iterator[Dump]:
        """What was released, and of what leaves in slices that which is complete today."""
        yield from (one.dump for one in plan.released if _is_complete(one))
        yield from (one.dump for one in plan.slices if one.verdict is not Verdict.RELEASED and _is_complete(one))

    def _release_all(self, plan: Plan) -> Iterator[Dump]:
        yield from self._arriving(plan)
        yield from [one for own in self._dumps.values() for one in own if one.outstanding and one.progress is None]


def next_dump(vm: Vm, dumps: Iterable[Dump], now: float) -> float:
    """When ``vm`` is dumped next, by its period.

    Infinity where it was missed so often that its job may be gone, and where no dump of it ever succeeded.
    """
    if not vm.bytes:
        return math.inf
    period = _period(vm)
    last = max((dump.dump_time for dump in dumps), default=vm.offsite_time or vm.first_seen)
    missed = max(0.0, now - last) // period
    return math.inf if missed > MISSED_DUMPS else last + (missed + 1) * period


def _is_complete(one: Decision) -> bool:
    """Whether nothing is left of it after today."""
    return one.slice is None or one.slice.first + one.slice.bytes >= one.dump.bytes


def _period(vm: Vm) -> float:
    return max(_SHORTEST_PERIOD, period_of(vm))
