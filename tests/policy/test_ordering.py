"""The parts of the queue's order, each by itself: price, utility, deadlines and knapsack."""

from collections.abc import Sequence
from itertools import accumulate, compress, product, repeat
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.planner.knapsack import WORTHWHILE, Item, best_set
from policy.planner.model import Rules, Vm
from policy.planner.ordering import HORIZON, RELIED_ON, Deadline, days_left, lateness, must_leave
from policy.planner.price import Offer, dump_interval, dumps_per_release, fair_interval, shadow_price, utility
from tests.policy.planner_facts import DAY, GB, a_vm

# --- the price and the fair interval


@pytest.mark.parametrize(
    ("sizes", "periods", "daily"),
    [
        pytest.param([GB], [1], 10 * GB, id="one VM"),
        pytest.param([], [], 10 * GB, id="no VM at all"),
        pytest.param([5 * GB, 35 * GB], [1, 7], 10 * GB, id="a day is exactly full"),
        pytest.param([20 * GB], [1], 10 * GB, id="what never leaves takes nothing"),
        pytest.param([0], [1], 0, id="a limit of nothing"),
    ],
)
def test_where_every_dump_can_leave_the_price_is_nothing(sizes: list[int], periods: list[int], daily: int) -> None:
    vms = [
        a_vm(f"vm{n}", bytes=size, period=days * DAY) for n, (size, days) in enumerate(zip(sizes, periods, strict=True))
    ]

    price = shadow_price(vms, Rules(daily))

    assert price == pytest.approx(0.0)
    assert all(fair_interval(vm, 0.0) == dump_interval(vm) for vm in vms)


vms_in_need = st.lists(
    st.tuples(st.integers(1, 10 * GB), st.sampled_from((None, 0.0, DAY / 24, DAY, 3 * DAY, 7 * DAY, 30 * DAY))),
    min_size=1,
    max_size=12,
)


@given(vms_in_need, st.integers(10 * GB, 40 * GB))
def test_at_the_price_all_turns_together_fill_the_limit(sizes: list[tuple[int, float | None]], daily: int) -> None:
    """Turns as they would be if a VM could leave at any moment: the square root, never below the period."""
    vms = [a_vm(f"vm{n}", bytes=size, period=period) for n, (size, period) in enumerate(sizes)]

    price = shadow_price(vms, Rules(daily))

    taken = sum(vm.bytes / max(dump_interval(vm), sqrt(2 * price * vm.bytes)) for vm in vms) * DAY
    at_most = sum(vm.bytes / dump_interval(vm) for vm in vms) * DAY
    assert taken == pytest.approx(min(daily, at_most))


@pytest.mark.parametrize(("cost", "dumps"), [(0, 1), (1, 1), (1.1, 2), (3, 2), (3.1, 3), (6, 3), (10.5, 5)])
def test_a_fair_interval_is_the_whole_number_of_dump_intervals_that_costs_least(cost: float, dumps: int) -> None:
    def a_step(n: int) -> float:
        return n / 2 + cost / n

    assert dumps_per_release(cost) == dumps
    assert a_step(dumps) == min(a_step(n) for n in range(1, 20))


# --- the value

PRICE = 72 * DAY * DAY / GB  # a dump of 1 GB every day: its fair interval is 12 days


@pytest.mark.parametrize("days", [12, 13, 30])
def test_at_its_fair_interval_a_dump_is_worth_its_bytes_and_the_more_the_later(days: int) -> None:
    def worth(days: int) -> float:
        return utility(Offer(GB, days * DAY, DAY, DAY), PRICE)

    assert worth(days) >= PRICE * GB * (1 - 1e-9)
    assert worth(days) > worth(days - 1) > worth(1) > 0


def test_before_its_fair_interval_a_dump_is_worth_what_it_saves_until_then() -> None:
    """A day old instead of two, for the ten days until the fair interval of twelve."""
    assert utility(Offer(GB, DAY, DAY, DAY), PRICE) == pytest.approx((12 - 0.5) * DAY * DAY, rel=0.01)


def test_a_dump_that_can_wait_until_tomorrow_gains_a_day_of_what_it_is_newer() -> None:
    """A weekly dump, long due: the same dump is there tomorrow, and only a day is lost."""
    assert utility(Offer(GB, 40 * DAY, 7 * DAY, 5 * DAY), PRICE) == pytest.approx(PRICE * GB + 40 * DAY * DAY)


def test_where_every_dump_can_leave_a_dump_is_worth_the_days_until_the_next() -> None:
    assert utility(Offer(GB, 7 * DAY, 7 * DAY, DAY), 0.0) == pytest.approx(7 * DAY * DAY)


# --- deadlines


@pytest.mark.parametrize(
    ("age", "target", "days"),
    [(0, 7, 7), (6, 7, 1), (6.01, 7, 0), (6.5, 7, 0), (7, 7, 0), (7.01, 7, 0), (30, 7, 0)],
)
def test_the_last_pass_is_the_last_before_the_copy_is_too_old(age: float, target: float, days: int) -> None:
    assert days_left(age * DAY, target * DAY) == days


@pytest.mark.parametrize(
    ("deadlines", "leave"),
    [
        pytest.param([], [], id="none"),
        pytest.param([(0, 5)], [0], id="due today"),
        pytest.param([(1, 8)], [], id="tomorrow carries it"),
        pytest.param([(1, 8), (1, 1)], [1], id="tomorrow carries one of them"),
        pytest.param([(2, 8), (2, 8)], [], id="two days carry both"),
        pytest.param([(2, 9), (1, 8)], [1], id="the first due leaves, though it is the later that is too much"),
        pytest.param([(HORIZON + 1, 10**6)], [], id="beyond what is looked at"),
    ],
)
def test_only_what_the_coming_days_do_not_carry_leaves_today(
    deadlines: list[tuple[int, int]], leave: list[int]
) -> None:
    """The coming days have 10 each, of which 8 are relied on. Of one day's the heaviest is last."""
    line = [Deadline(days, 0.0, size, "vm", place) for place, (days, size) in enumerate(deadlines)]

    assert [one.place for one in must_leave(line, repeat(10))] == leave


@given(st.lists(st.tuples(st.integers(0, HORIZON), st.integers(1, 9)), max_size=12), st.integers(1, 20))
def test_what_deadlines_leave_behind_fits_into_the_coming_days_and_not_one_more(
    deadlines: list[tuple[int, int]], whole: int
) -> None:
    line = [Deadline(days, 0.0, size, "vm", place) for place, (days, size) in enumerate(deadlines)]

    leave = [one.place for one in must_leave(line, repeat(whole))]

    assert _carried([one for one in line if one.place not in leave], whole)
    if leave:
        assert not _carried([one for one in line if one.place not in leave[:-1]], whole)


def _carried(line: Sequence[Deadline], whole: int) -> bool:
    """Whether each coming day's part carries all that is due until then."""
    due = list(accumulate(sum(one.size for one in line if one.days == day) for day in range(HORIZON + 1)))
    return all(size <= RELIED_ON * whole * day + 1e-6 for day, size in enumerate(due))


def test_in_need_a_byte_is_worth_the_more_the_later_its_vm_is() -> None:
    """Also beyond any age that a VM has by right: else a heavy one could keep a small one back for ever."""
    worth = [lateness(age, 1.0) for age in (0.0, 0.5, 1.0, 1.1, 2.0, 20.0, 24.0, 4800.0, 1e8)]

    assert worth == sorted(set(worth))
    assert lateness(4e12, 1e-9) == lateness(1e9, 1.0)
    assert lateness(10.0, 5.0) == lateness(28.0, 14.0)


# --- the knapsack


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=9), st.integers(0, 150))
def test_the_set_is_the_best_of_all(pairs: list[tuple[int, int]], room: int) -> None:
    items = _dense_first(pairs)

    chosen = best_set(items, room)

    best = max(
        sum(item.value for item in kept)
        for kept in (tuple(compress(items, bits)) for bits in product((0, 1), repeat=len(items)))
        if sum(item.size for item in kept) <= room
    )
    assert chosen == sorted(set(chosen))
    assert sum(items[place].size for place in chosen) <= room
    assert sum(items[place].value for place in chosen) >= best * (1 - WORTHWHILE)


@given(st.lists(st.tuples(st.floats(1e-3, 1e30), st.integers(1, 10**15)), max_size=60), st.integers(0, 10**16))
def test_the_set_fits_and_is_no_worse_than_the_greedy_one(pairs: list[tuple[float, int]], room: int) -> None:
    items = _dense_first(pairs)

    chosen = best_set(items, room)

    greedy, left = 0.0, room
    for item in items:
        if item.size > left:
            break
        greedy, left = greedy + item.value, left - item.size
    assert sum(items[place].size for place in chosen) <= room
    assert sum(items[place].value for place in chosen) >= greedy * (1 - 1e-9)


def _dense_first(pairs: Sequence[tuple[float, int]]) -> list[Item]:
    return sorted((Item(value, size) for value, size in pairs), key=lambda item: -item.value / item.size)


def test_a_vm_without_a_known_period_has_a_step_of_a_day() -> None:
    vms: list[Vm] = [a_vm(period=period) for period in (None, 0.0, 3600.0, DAY, 7 * DAY)]

    assert [dump_interval(vm) for vm in vms] == [DAY, DAY, DAY, DAY, 7 * DAY]
