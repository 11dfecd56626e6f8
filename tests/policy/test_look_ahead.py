"""A day that a few dumps fill is chosen together with the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.planner.knapsack import Item, best_set
from policy.planner.ordering import FEW, best_of_two_days
from policy.planner.price import Offer, utility
from tests.policy.planner_facts import DAY, a_day, a_dump, a_vm, plan_of, released_ids

WEEK = 7 * DAY


def weekly(size: int, gain: int = 14) -> Offer:
    """A weekly dump that will be there tomorrow too."""
    return Offer(size, gain * DAY, WEEK, 5 * DAY)


def chosen(offers: list[Offer], expected: list[Offer], rooms: tuple[int, int], price: float = 0.0) -> list[int]:
    """The sizes of today's set; ``offers`` may come in any order."""
    dense = sorted(offers, key=lambda one: -utility(one, price) / one.size)
    best = best_set([Item(utility(one, price), one.size) for one in dense], rooms[0])
    return sorted(dense[place].size for place in best_of_two_days(dense, best, expected, rooms, price))


def test_what_fills_two_days_goes_before_what_gains_most_today() -> None:
    """Today alone 3 and 4 are best, with 6 and then 7 on two days more; 6 and 4 today leave 7 and 3 for tomorrow."""
    offers = [weekly(6), weekly(4), weekly(7), weekly(3)]

    assert chosen(offers, [], (10, 10)) in ([3, 7], [4, 6])


def test_what_the_next_day_has_room_for_anyway_changes_nothing() -> None:
    offers = [weekly(6), weekly(4), weekly(7), weekly(3)]

    assert chosen(offers, [], (10, 100)) == [3, 4]


def test_what_is_expected_tomorrow_takes_its_room() -> None:
    """An old one of 7 comes tomorrow: then 3 is kept for it."""
    offers = [weekly(6), weekly(4), weekly(3)]
    coming = Offer(7, 60 * DAY, WEEK, WEEK)

    assert chosen(offers, [coming], (10, 10)) == [4, 6]


offers_of_a_day = st.lists(
    st.builds(
        Offer,
        st.integers(1, 12),
        st.integers(1, 30).map(lambda days: days * DAY),
        st.sampled_from((DAY, WEEK)),
        st.sampled_from((DAY, 3 * DAY)),
    ),
    max_size=FEW + 6,
)


@given(offers_of_a_day, offers_of_a_day, st.integers(0, 30), st.integers(0, 30), st.floats(0, 1e12))
def test_the_set_always_fits(today: list[Offer], expected: list[Offer], room: int, coming: int, price: float) -> None:
    fitting = [one for one in today if utility(one, price) > 0 and one.size <= room]

    assert sum(chosen(fitting, expected, (room, coming), price)) <= room


@pytest.mark.parametrize("order", [1, -1])
def test_in_a_plan_the_next_day_counts(order: int) -> None:
    vms = [a_vm(f"vm{size}", bytes=size, period=WEEK, target=90 * DAY) for size in (6, 4, 7, 3)][::order]
    dumps = [a_dump(vm.bytes, vm.vm, bytes=vm.bytes, age=DAY) for vm in vms]

    assert sorted(released_ids(plan_of(vms, dumps, day=a_day(limit=10)))) in ([3, 7], [4, 6])
