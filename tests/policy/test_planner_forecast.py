"""The planner run forward: what it foretells is what comes when every dump comes as it was learned."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.reasons import Reason
from policy.planner.decide import decide
from policy.planner.forecast import Start, first_day_out, needed_limit, next_dump, run_forward
from policy.planner.model import Day, DayAccount, Rules, Vm
from tests.policy.planner_facts import DAY, GB, HOUR, LIMIT, NOW, a_day, a_dump, a_vm


def a_start(vms: int = 3, *, size: int = GB, period: float = DAY, limit: int = LIMIT) -> Start:
    """VMs that are all dumped an hour ago and every ``period``, and have been off-site for three days."""
    names = [f"vm{number}" for number in range(vms)]
    return Start(
        tuple(a_vm(name, bytes=size, period=period) for name in names),
        tuple(a_dump(number, name, bytes=size) for number, name in enumerate(names, 1)),
        a_day(limit=limit),
        Rules(limit),
        NOW,
    )


def days_out(start: Start, days: int) -> dict[str, tuple[int, ...]]:
    return {one.vm.vm: one.days_out for one in run_forward(start, days).vms}


def test_today_is_what_a_pass_would_do_now() -> None:
    start = a_start(20)
    plan = decide(start.vms, start.dumps, start.day, start.rules, start.now)
    today = {name for name, days in days_out(start, 1).items() if days == (0,)}
    assert today == {one.dump.vm for one in plan.released}


def test_what_fits_every_day_leaves_every_day_and_its_copy_is_a_day_old() -> None:
    future = run_forward(a_start(3), 10)
    assert all(one.days_out == tuple(range(10)) for one in future.vms)
    assert all(one.ages[1:] == (DAY + HOUR,) * 9 for one in future.vms)
    assert future.within_from == 0


def test_a_weekly_vm_leaves_once_a_week() -> None:
    assert days_out(a_start(1, period=7 * DAY), 21) == {"vm0": (0, 7, 14)}


def test_a_set_twice_as_heavy_as_the_limit_takes_turns_and_nobody_is_left_behind() -> None:
    future = run_forward(a_start(20), 30)
    assert all(one.days_out for one in future.vms)
    assert all(day.released == day.left == LIMIT for day in future.days)
    assert future.used == 1.0
    assert future.days[0].waiting == 10 * GB


def test_a_vm_without_a_copy_has_no_age_until_it_left() -> None:
    start = a_start(1)
    start = dataclasses.replace(start, vms=(start.vms[0]._replace(offsite_time=None),))
    (one,) = run_forward(start, 3).vms
    assert one.ages == (None, DAY + HOUR, DAY + HOUR)
    assert one.oldest is None
    assert one.within_from == 1


def test_a_target_that_is_missed_at_the_end_is_said() -> None:
    future = run_forward(a_start(20).with_target(DAY), 10)
    assert future.within_from is None
    assert future.density.value == pytest.approx(2)
    assert future.density.needed == 20 * GB


def test_what_another_limit_a_target_or_one_vm_less_changes() -> None:
    start = a_start(20)
    assert run_forward(start.with_limit(20 * GB), 5).days[1].released == 20 * GB
    assert run_forward(start.with_limit(20 * GB), 5).days[0].left == LIMIT, "today keeps its own"
    one = start.with_target(HOUR, "vm3").vms[3]
    assert (one.vm, one.target, start.vms[3].target) == ("vm3", HOUR, 7 * DAY)
    assert {one.vm.vm for one in run_forward(start.without("vm3"), 1).vms} == {vm.vm for vm in start.vms} - {"vm3"}


def test_a_link_that_is_outstanding_is_fetched_by_todays_sync() -> None:
    start = Start(
        (a_vm(outstanding_since_day=11),), (a_dump(outstanding=True),), a_day(outstanding=GB), Rules(LIMIT), NOW
    )
    (one,) = run_forward(start, 2).vms
    assert one.days_out == (1,), "yesterday's link is no new turn"
    assert one.ages[1] == DAY + HOUR


def test_days_without_a_sync_and_days_with_a_larger_limit() -> None:
    start = a_start(20)
    start = dataclasses.replace(start, rules=dataclasses.replace(start.rules, coming=(0, 20 * GB)))
    future = run_forward(start, 5)
    assert [day.left for day in future.days] == [LIMIT, 0, 20 * GB, 0, 20 * GB]
    assert [day.released for day in future.days] == [10 * GB, 0, 20 * GB, 0, 20 * GB]


def test_a_vm_that_nobody_dumps_any_more_is_not_expected_to_be() -> None:
    silent = a_vm("old", period=DAY, offsite_time=NOW - 30 * DAY)
    start = dataclasses.replace(a_start(1), vms=(*a_start(1).vms, silent))
    future = {one.vm.vm: one for one in run_forward(start, 5).vms}
    assert future["old"].days_out == ()
    assert future["old"].ages[-1] == 34 * DAY


@pytest.mark.parametrize(
    ("age", "period", "due"),
    [
        (HOUR, DAY, NOW + 23 * HOUR),
        (DAY, DAY, NOW + DAY),
        (2.5 * DAY, DAY, NOW + DAY / 2),  # two were missed; the third keeps the time of day
        (40 * DAY, DAY, float("inf")),
        (40 * DAY, 30 * DAY, NOW + 20 * DAY),
    ],
)
def test_the_next_dump_keeps_the_time_of_the_last(age: float, period: float, due: float) -> None:
    assert next_dump(a_vm(period=period), [a_dump(age=age)], NOW) == due


def test_the_first_day_out_is_that_of_the_whole_forecast() -> None:
    start = a_start(20)
    told = days_out(start, 10)
    for name, days in told.items():
        assert first_day_out(start, name, 10) == days[0]
    assert first_day_out(start, "vm0", 0) is None


def test_a_sync_that_runs_now_is_over_with_the_day() -> None:
    start = a_start(1)
    syncing = start.vms[0]._replace(replaces_while_syncing=True)
    assert days_out(dataclasses.replace(start, vms=(syncing,)), 3) == {"vm0": (1, 2)}


def test_a_vm_of_which_no_dump_ever_succeeded_is_not_expected_to_leave() -> None:
    start = a_start(1)
    failed = a_dump(1, "vm0", bytes=0, block_reason=Reason.DUMP_FAILED)
    never = start.vms[0]._replace(bytes=0, offsite_time=None)
    (one,) = run_forward(dataclasses.replace(start, vms=(never,), dumps=(failed,)), 3).vms
    assert one.days_out == ()
    assert one.within_from is None


def test_a_held_vm_waits_and_its_age_grows() -> None:
    start = a_start(1)
    start = dataclasses.replace(start, vms=(start.vms[0]._replace(on_hold=True),))
    (one,) = run_forward(start, 3).vms
    assert one.days_out == ()
    assert one.ages == (3 * DAY, 4 * DAY, 5 * DAY)


@pytest.mark.parametrize(("target", "limit"), [(1.1 * DAY, 20 * GB), (2.1 * DAY, 10 * GB), (5.1 * DAY, 4 * GB)])
def test_the_limit_that_keeps_the_targets_is_found(target: float, limit: int) -> None:
    found = needed_limit(a_start(20).with_target(target), 30)
    assert found is not None
    assert limit <= found <= limit * 1.021


@pytest.mark.parametrize("size", range(1, 12))
def test_the_limit_of_a_few_bytes_is_found_too(size: int) -> None:
    """Between whole numbers the search has nothing to halve, and ends."""
    found = needed_limit(a_start(1, size=size).with_target(1.1 * DAY), 30)
    assert found is not None
    assert size <= found <= size + 1


def test_no_limit_keeps_a_target_below_the_period() -> None:
    assert needed_limit(a_start(3, period=7 * DAY).with_target(5 * DAY), 30) is None


_VMS = st.lists(
    st.tuples(
        st.integers(0, 15 * GB),
        st.floats(0, 40 * DAY),
        st.none() | st.floats(0, 60 * DAY),
        st.none() | st.floats(0, 30 * DAY),
    ),
    max_size=8,
)


@given(_VMS, st.lists(st.integers(0, 20 * GB), max_size=3), st.integers(1, 12))
def test_whatever_was_learned_no_day_exceeds_its_limit_and_each_vm_has_an_age_for_each_day(
    facts: list[tuple[int, float, float | None, float | None]], coming: list[int], days: int
) -> None:
    vms = tuple(
        Vm(f"vm{n}", None, NOW - 50 * DAY, size, None if unmounted is None else NOW - unmounted, period, target)
        for n, (size, period, unmounted, target) in enumerate(facts)
    )
    dumps = tuple(a_dump(n, vm.vm, bytes=vm.bytes, age=HOUR * n) for n, vm in enumerate(vms, 1))
    start = Start(vms, dumps, Day(1, NOW, DayAccount(LIMIT)), Rules(LIMIT, coming=tuple(coming)), NOW)
    future = run_forward(start, days)
    assert len(future.days) == days
    assert all(day.released <= day.left for day in future.days)
    assert all(len(one.ages) == days for one in future.vms)
    assert start.dumps == dumps
    plan = decide(vms, dumps, start.day, start.rules, NOW)
    assert future.days[0].waiting == sum(one.dump.bytes for one in plan.decisions if one.reason is Reason.LIMIT_REACHED)
