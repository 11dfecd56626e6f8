"""The simulator against itself, and the short part of what ``make bench-policy`` shows at length."""

from dataclasses import replace
from math import exp, log
from random import Random

import pytest

from tests.simulation.bound import cheapest_way, lower_bound
from tests.simulation.exact import optimum
from tests.simulation.policies import BASELINES, Tidegate
from tests.simulation.simulate import run
from tests.simulation.workloads import FEASIBLE, Kind, SimVm, Workload

SMALL = Kind("small", 4, (0.2, 0.7), ((1, 0.7), (3, 0.3)), days=9)


def tiny(seed: int) -> Workload:
    return SMALL.make(seed)


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_below_the_optimum_and_the_optimum_below_every_policy(seed: int) -> None:
    workload = tiny(seed)

    bound, best = lower_bound(workload, 80).total, optimum(workload)

    assert 0 < bound <= best + 1e-6
    assert all(best <= run(workload, policy).total for policy in (*BASELINES.values(), Tidegate()))


@pytest.mark.parametrize("seed", range(20))
def test_the_cheapest_way_of_a_vm_is_the_cheapest_of_all(seed: int) -> None:
    """Against trying each set of dumps and each day that each of them can leave on."""
    chance = Random(seed)
    days = 8
    made = sorted(chance.sample(range(days), chance.randint(1, 4)))
    vm = SimVm(1, 5, -chance.randint(1, 5), tuple((day, chance.randint(1, 9)) for day in made))
    prices = [chance.uniform(0, 3) for _ in range(days)]

    cost, leaves = cheapest_way(vm, days, prices)

    assert cost == pytest.approx(min(_costs(vm, days, prices)))
    assert {day for day, _ in leaves} <= set(range(days))


def _costs(vm: SimVm, days: int, prices: list[float]) -> list[float]:
    """The cost of each way, tried day by day: what stays off-site from then on, and what was paid."""
    ways = {(vm.offsite, 0.0)}
    newest: tuple[int, int] | None = None
    dumps = dict(vm.dumps)
    for day in range(days):
        newest = (day, dumps[day]) if day in dumps else newest
        if newest is not None:
            made, size = newest
            ways |= {(made, cost + size * prices[day]) for copy, cost in ways if copy < made}
        ways = {(copy, cost + day - copy) for copy, cost in ways}
    return [cost for _, cost in ways]


@pytest.mark.parametrize("seed", [1, 11])
def test_a_year_of_a_weekly_set_of_ten_limits_uses_the_line_and_keeps_three_weeks(seed: int) -> None:
    """30 VMs, 100 GB a week at 10 GB a day: at least 9.5 of them leave; with a target of 21 days none is older."""
    kind = next(kind for kind in FEASIBLE if kind.name == "user")

    result = run(replace(kind, targets=(21,)).make(seed), Tidegate())

    assert (result.over, result.starved) == (0, 0)
    assert result.oldest <= 21
    assert result.used >= 0.95


@pytest.mark.parametrize("name", ["few", "targets", "outages"])
def test_targets_that_can_be_met_are_met(name: str) -> None:
    workload = next(kind for kind in FEASIBLE if kind.name == name).make(1)

    result = run(workload, Tidegate())

    assert (result.over, result.starved) == (0, 0)


def test_on_small_workloads_the_order_is_near_the_optimum() -> None:
    """The geometric mean over exactly solved ones."""
    workloads = [tiny(seed) for seed in range(100, 112)]

    ratios = [run(one, Tidegate()).total / optimum(one) for one in workloads]

    assert exp(sum(map(log, ratios)) / len(ratios)) <= 1.035
