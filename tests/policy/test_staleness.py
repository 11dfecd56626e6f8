"""How old a copy may get, which age gives a VM its queue position, and whether the limit can keep the targets."""

import pytest

from core.enums import Freshness
from policy.planner.model import Rules
from policy.planner.staleness import density, freshness, full_set_days, offsite_age, queue_age, target_of, targets
from tests.policy.planner_facts import DAY, GB, NOW, a_vm

RULES = Rules(daily=10 * GB)


@pytest.mark.parametrize(
    ("sizes", "rules", "days"),
    [
        pytest.param([], RULES, 1, id="no VM at all"),
        pytest.param([GB], RULES, 1, id="at least one day"),
        pytest.param([5 * GB, 5 * GB], RULES, 1, id="exactly one day"),
        pytest.param([5 * GB, 5 * GB, 1], RULES, 2, id="a byte more is a day more"),
        pytest.param([GB] * 100, RULES, 10, id="100 GB at 10 GB a day"),
        pytest.param([GB] * 100, Rules(12 * GB, reserve=2 * GB), 10, id="the reserve is never released"),
        pytest.param([GB, 11 * GB], RULES, 1, id="what never leaves takes no time"),
        pytest.param([GB, 0], Rules(GB, reserve=GB), 1, id="a limit that is all reserve"),
    ],
)
def test_a_full_set_takes_as_many_days_as_its_bytes_need(sizes: list[int], rules: Rules, days: int) -> None:
    vms = [a_vm(f"vm{n}", bytes=size) for n, size in enumerate(sizes)]

    assert full_set_days(vms, rules) == days


@pytest.mark.parametrize(
    ("target", "period", "set_days", "expected"),
    [
        pytest.param(5 * DAY, 7 * DAY, 10, 5 * DAY, id="the configured one wins"),
        pytest.param(None, DAY, 10, 30 * DAY, id="three times what a full set takes"),
        pytest.param(None, 30 * DAY, 10, 90 * DAY, id="three times the period"),
        pytest.param(None, None, 1, 3 * DAY, id="an unknown period is a day"),
        pytest.param(0.0, DAY, 10, 1.0, id="a configured 0 still divides"),
    ],
)
def test_an_unset_target_is_three_fair_intervals(
    target: float | None, period: float | None, set_days: int, expected: float
) -> None:
    assert target_of(a_vm(target=target, period=period), set_days) == expected


def test_the_targets_of_all_vms_see_the_whole_set() -> None:
    """Twenty GB at ten a day: two days, so six; the one with a target of its own keeps it."""
    vms = [a_vm("a", bytes=10 * GB, target=None), a_vm("b", bytes=10 * GB, target=DAY)]

    assert targets(vms, RULES) == {"a": 6 * DAY, "b": DAY}


def test_density_is_the_part_of_the_limit_that_the_targets_need() -> None:
    """10 GB every 2 days and 14 GB every 7 are 7 GB of the 10 GB a day."""
    vms = [a_vm("a", bytes=10 * GB, target=2 * DAY), a_vm("b", bytes=7 * GB, target=3.5 * DAY)]

    assert density(vms, RULES) == (0.7, 7 * GB)


def test_above_a_density_of_one_the_limit_that_would_do_is_named_with_its_reserve() -> None:
    vms = [a_vm("a", bytes=8 * GB, target=DAY), a_vm("b", bytes=4 * GB, target=DAY)]

    value, needed = density(vms, Rules(daily=10 * GB, reserve=2 * GB))

    assert (value, needed) == (1.5, 14 * GB)


def test_what_is_heavier_than_a_day_is_no_part_of_the_density() -> None:
    """No target of it can be kept by any order; it is held and alerted on its own."""
    assert density([a_vm(bytes=11 * GB, target=DAY)], RULES) == (0.0, 0)


def test_implied_targets_are_never_too_dense() -> None:
    """Three fair intervals leave the limit two thirds of slack."""
    vms = [a_vm(f"vm{n}", bytes=n * GB, target=None) for n in range(1, 11)]

    assert density(vms, RULES).value <= 1 / 3


def test_the_off_site_age_is_none_without_a_copy_and_never_negative() -> None:
    assert offsite_age(a_vm(offsite_time=None), NOW) is None
    assert offsite_age(a_vm(offsite_time=NOW - 5.0), NOW) == 5.0
    assert offsite_age(a_vm(offsite_time=NOW + 5.0), NOW) == 0.0


def test_without_a_copy_the_age_of_the_turn_counts_from_a_period_before_the_vm_was_seen_and_grows() -> None:
    vm = a_vm(offsite_time=None, first_seen=NOW, period=7 * DAY)

    assert [queue_age(vm, NOW + days * DAY) for days in (0, 1, 5)] == [7 * DAY, 8 * DAY, 12 * DAY]


@pytest.mark.parametrize(
    ("offsite_time", "verdict"),
    [
        (NOW - 7 * DAY, Freshness.FRESH),
        (NOW - 7 * DAY - 1, Freshness.STALE),
        (None, Freshness.NEVER),
    ],
    ids=["at its target", "past its target", "never off-site"],
)
def test_a_copy_is_stale_once_it_is_past_its_target(offsite_time: float | None, verdict: Freshness) -> None:
    assert freshness(a_vm(offsite_time=offsite_time), 7 * DAY, NOW) is verdict
