"""How old a VM's off-site copy is, how old it is meant to get, and whether the limit can keep that.

Spans are seconds, sizes are bytes. Where a function takes ``vms`` these are all VMs that are not retired.
"""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

from core.enums import Freshness, Oversize
from policy.planner.model import Rules, Vm

DAY = 86_400.0

#: An unset target is this many fair intervals. A day packed first-fit is at least half full, so that a full set
#: needs at most twice the days that its bytes alone would: three intervals can always be met.
FAIR_INTERVALS = 3

#: From the pass that releases a copy until the storage has it: the rest of the day, and the sync that may be missed.
TRANSFER_TIME = 2 * DAY


class Density(NamedTuple):
    """How much of the limit the targets need.

    Above a ``value`` of 1 the limit cannot keep the targets; ``needed`` is the limit in bytes that could, on the
    average day and with its reserve.
    """

    value: float
    needed: int


def period_of(vm: Vm) -> float:
    """Seconds between the dumps of ``vm``; a day while that is unknown."""
    return DAY if vm.period is None else vm.period


def full_set_days(vms: Iterable[Vm], rules: Rules) -> int:
    """Whole days in which the newest dumps of all VMs pass the limit once, at least 1.

    A VM larger than the largest of the days takes none of it, unless such dumps leave too.
    """
    most = largest_releasable(rules)
    total = sum([vm.bytes for vm in vms if vm.bytes <= most])
    return max(1, -(-total // max(1, rules.mean_day))) if total else 1


def largest_releasable(rules: Rules) -> float:
    """The most bytes that a dump may have which can ever leave."""
    return rules.largest_day if rules.oversize is Oversize.HOLD else inf


def target_of(vm: Vm, set_days: int, retention: float | None = None) -> float:
    """The off-site age in seconds that ``vm`` is meant to stay under: the configured one, else the implied.

    ``set_days`` is ``full_set_days`` of all VMs. Where the storage drops copies after ``retention`` seconds the next
    one must be there before. A configured 0 counts as one second, so that the share of the target that an age has
    used is always defined.
    """
    target = FAIR_INTERVALS * max(period_of(vm), set_days * DAY) if vm.target is None else max(1.0, vm.target)
    return target if retention is None else min(target, max(retention - TRANSFER_TIME, retention / 2))


def targets(vms: Iterable[Vm], rules: Rules) -> dict[str, float]:
    """The target of every VM in seconds, by its name."""
    known = tuple(vms)
    set_days = full_set_days(known, rules)
    return {vm.vm: target_of(vm, set_days, rules.retention) for vm in known}


def density(vms: Iterable[Vm], rules: Rules) -> Density:
    """Σ size / (target × limit) over the VMs that can leave, and the limit that would bring it to 1.

    A VM too large to leave is left out: no target of it can be kept, and it has an alert of its own.
    """
    known = tuple(vms)
    most = largest_releasable(rules)
    set_days = full_set_days(known, rules)
    a_day = sum(vm.bytes * DAY / target_of(vm, set_days, rules.retention) for vm in known if vm.bytes <= most)
    return Density(a_day / max(1, rules.mean_day) if a_day else 0.0, -int(-a_day // 1) + rules.reserve)


def offsite_age(vm: Vm, now: float) -> float | None:
    """Seconds since the off-site time of ``vm``, never below 0; None where it was never off-site."""
    return None if vm.offsite_time is None else max(0.0, now - vm.offsite_time)


def queue_age(vm: Vm, now: float) -> float:
    """The age in seconds by which ``vm`` has its queue position.

    A VM that was never off-site has one too, and it grows: it counts from one period before it was first
    seen, as if its last dump before that had left.
    """
    age = offsite_age(vm, now)
    return max(0.0, now - vm.first_seen + period_of(vm)) if age is None else age


def freshness(vm: Vm, target: float, now: float) -> Freshness:
    """Whether the off-site copy of ``vm`` is within ``target`` seconds, past it, or was never made."""
    age = offsite_age(vm, now)
    if age is None:
        return Freshness.NEVER
    return Freshness.STALE if age > target else Freshness.FRESH
