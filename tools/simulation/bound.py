"""A lower bound on the sum of all ages, which no policy can beat, whatever it knows of the future.

Let each byte that leaves on day t cost a price λ(t) ≥ 0, and pay for each day's limit. A schedule that keeps the
limits then costs no more than its ages alone: what it pays for its bytes is at most what it is paid for the limits.
Under prices each VM can be optimised by itself, since nothing else ties them together; that gives a schedule, maybe
one that breaks limits, which costs no more than any that keeps them. So

    Σ over VMs of the cheapest (ages + Σ λ(t) · bytes out on t)  -  Σ λ(t) · limit(t)   ≤   ages of every schedule.

It holds for any prices; good ones are found by raising those of days that are asked for too much and lowering the
others. The best bound of this kind is the optimum over schedules that may cut dumps and let parts out.
On a silent day nothing comes through: what leaves then arrives on the next other day, and takes that day's limit.

One VM's cheapest way: dump j, made on day d(j), can leave from d(j) until the next is made. Letting it out on day t
when the copy before is of day d(i) takes (d(j) - d(i)) · (days - t) off the sum of ages. For a given t the best i is
on the upper hull of lines in t, on which the search only moves forward: the time is linear in the days.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import exp, floor
from typing import NamedTuple

from tools.simulation.workloads import SimVm, Workload


class Bound(NamedTuple):
    """The bound on the sum of ages, and the prices of the days (days of age a byte) that prove it."""

    total: float
    prices: list[float]


class _Way(NamedTuple):
    """The cheapest way of one VM: ages and price of its bytes, and (day, bytes) of what leaves."""

    cost: float
    leaves: list[tuple[int, int]]


def lower_bound(workload: Workload, rounds: int) -> Bound:
    """The best bound of so many rounds of prices."""
    days = workload.days
    rooms = [workload.room(day) if day not in workload.silent else 0 for day in range(days)]
    arrival = _arrivals(days, workload.silent)
    prices = [_first_price(workload)] * days
    trend = [0.0] * days
    best = Bound(0.0, prices)
    for number in range(rounds):
        asked = [0] * days
        total = -sum(price * room for price, room in zip(prices, rooms, strict=True))
        for vm in workload.vms:
            cost, leaves = cheapest_way(vm, days, prices, arrival)
            total += cost
            for day, size in leaves:
                asked[day] += size
        if total > best.total:
            best = Bound(total, prices)
        rate = 0.5 / (1 + number / 15)
        for day, (size, room) in enumerate(zip(asked, rooms, strict=True)):
            trend[day] = 0.7 * trend[day] + 0.3 * (size - room) / max(1, room)
        prices = [
            max(1e-30, price * exp(rate * max(-2.0, min(2.0, slope))))
            for price, slope in zip(prices, trend, strict=True)
        ]
    return best


def _first_price(workload: Workload) -> float:
    """About the price at which VMs that leave by the square root of their size fill the limit."""
    low, high = 0.0, float(max(vm.period for vm in workload.vms) + workload.days) ** 2
    for _ in range(60):
        price = (low + high) / 2
        taken = sum(vm.size / max(vm.period, (2 * price * vm.size) ** 0.5) for vm in workload.vms)
        low, high = (price, high) if taken > workload.mean_room else (low, price)
    return max(high, 1e-12 / workload.mean_room)


def _arrivals(days: int, silent: frozenset[int]) -> list[int]:
    """For each day the one on which what leaves then is there; ``days`` where it is not in time."""
    found, there = [], days
    for day in reversed(range(days)):
        there = there if day in silent else day
        found.append(there)
    return found[::-1]


def cheapest_way(vm: SimVm, days: int, prices: list[float], arrival: Sequence[int]) -> _Way:
    """The cheapest way of ``vm`` when a byte that arrives on a day costs that day's price."""
    made = [vm.offsite, *(day for day, _ in vm.dumps)]
    saved = [0.0]  # by each copy as the last one: ages less prices
    before, left_on = [-1], [-1]
    hull, first = [0], 0
    for number, (day, size) in enumerate(vm.dumps, 1):
        if number > 1:
            _add_line(hull, first, number - 1, made, saved)
        most, copy, out = float("-inf"), -1, -1
        until = vm.dumps[number][0] if number < len(vm.dumps) else days
        for there in arrival[day:until]:
            rest = days - there
            while first + 1 < len(hull) and _line(hull[first + 1], rest, made, saved) >= _line(
                hull[first], rest, made, saved
            ):
                first += 1
            paid = size * prices[there] if rest else 0.0
            gain = _line(hull[first], rest, made, saved) + day * rest - paid
            if gain > most:
                most, copy, out = gain, hull[first], there
        saved.append(most)
        before.append(copy)
        left_on.append(out)
    return _traced(vm, days, saved, before, left_on)


def _line(copy: int, rest: int, made: list[int], saved: list[float]) -> float:
    return saved[copy] - made[copy] * rest


def _add_line(hull: list[int], first: int, new: int, made: list[int], saved: list[float]) -> None:
    """Adds the line of copy ``new`` and drops those that it covers; none before place ``first`` counts any more."""
    while len(hull) - first >= 2:
        low, high = hull[-2], hull[-1]
        if (saved[new] - saved[high]) * (made[high] - made[low]) < (saved[high] - saved[low]) * (
            made[new] - made[high]
        ):
            break
        hull.pop()
    hull.append(new)


def _traced(vm: SimVm, days: int, saved: list[float], before: list[int], left_on: list[int]) -> _Way:
    last = max(range(len(saved)), key=saved.__getitem__)
    untouched = sum(day - vm.offsite for day in range(days))
    cost, leaves = untouched - saved[last], []
    while last > 0:
        if left_on[last] < days:
            leaves.append((left_on[last], vm.dumps[last - 1][1]))
        last = before[last]
    return _Way(cost, leaves)


def least_worst(workload: Workload) -> float:
    """What the highest age over its target of any VM cannot be below, after the passes, where all are dumped daily.

    To stay under ``worst`` targets a VM must leave again and again, each time before its copy is too old; the smallest
    of its dumps each time is the least that it takes. Until each day all of them together must have had their room.
    """
    low, high = 0.0, 100.0
    while high - low > 0.001:
        middle = (low + high) / 2
        low, high = (low, middle) if _can_be(workload, middle) else (middle, high)
    return low


def _can_be(workload: Workload, worst: float) -> bool:
    needed = [0] * workload.days
    for vm, target in zip(workload.vms, workload.targets(), strict=True):
        size, copy = min(size for _, size in vm.dumps), vm.offsite
        while (latest := max(0, copy + floor(worst * target) + 1)) < workload.days:
            needed[latest] += size
            copy = latest
    rooms = map(workload.room, range(workload.days))
    return all(due <= room for due, room in zip(accumulate(needed), accumulate(rooms), strict=True))
