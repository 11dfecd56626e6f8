"""What may go of a dump that is sent in slices, and when it will be whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.planner.records import Allowance, Day, Rules
from policy.planner.slices import Slice, set_aside, slice_of_today
from tests.policy.planner_facts import GB, NOW, a_day

RULES = Rules(10 * GB)


@pytest.mark.parametrize(
    ("sent", "day", "others", "expected"),
    [
        pytest.param(0, a_day(), 5 * GB, Slice(0, 5 * GB, 16), id="half a day, and four more"),
        pytest.param(0, a_day(), 0, Slice(0, 10 * GB, 15), id="a day that nobody else wants"),
        pytest.param(5 * GB, a_day(used=9 * GB), 0, Slice(5 * GB, GB, 16), id="what is left"),
        pytest.param(24 * GB, a_day(), 5 * GB, Slice(24 * GB, GB, 12), id="the last one"),
        pytest.param(25 * GB, a_day(), 5 * GB, Slice(25 * GB, 0, 12), id="all has gone"),
        pytest.param(0, a_day(limit=0), 0, Slice(0, 0, 17), id="a day without a sync"),
    ],
)
def test_a_slice_begins_where_the_last_one_ended(sent: int, day: Day, others: int, expected: Slice) -> None:
    """25 GB at 10 GB a day."""
    assert slice_of_today(25 * GB, sent, day, RULES, others=others) == expected


def test_half_of_the_day_is_set_aside_and_never_more_than_is_needed_or_left() -> None:
    assert set_aside(25 * GB, 0, a_day().allowance) == 5 * GB
    assert set_aside(25 * GB, 23 * GB, a_day().allowance) == 2 * GB
    assert set_aside(25 * GB, 0, a_day(used=9 * GB).allowance) == GB


def test_more_than_there_is_cannot_have_gone() -> None:
    with pytest.raises(ValueError, match="26 of 25 bytes"):
        slice_of_today(25, 26, a_day(), RULES)


def test_where_no_day_lets_anything_out_nobody_knows_when() -> None:
    assert slice_of_today(25, 0, a_day(limit=0), Rules(10, coming=(0,))).whole_on is None


@given(
    st.integers(0, 300),
    st.lists(st.integers(0, 30), min_size=1, max_size=7).filter(lambda limits: max(limits) > 1),
    st.lists(st.integers(0, 30), min_size=1, max_size=20),
)
def test_the_slices_are_the_dump_within_every_limit_and_whole_when_it_was_said(
    size: int, limits: list[int], wanted: list[int]
) -> None:
    """Whatever the others want, they leave what is set aside."""
    sent, promised = 0, []
    for number in range(len(limits) * 301):
        rest = number % len(limits) + 1
        rules = Rules(1, coming=(*limits[rest:], *limits[:rest]))
        day = Day(number, NOW, Allowance(limits[number % len(limits)]))
        aside = set_aside(size, sent, day.allowance)
        others = min(wanted[number % len(wanted)], day.allowance.left - aside)
        slice_ = slice_of_today(size, sent, day, rules, others=others)
        assert slice_.first == sent
        assert aside <= slice_.bytes <= day.allowance.left - others
        assert slice_.whole_on is not None
        promised.append(slice_.whole_on)
        sent += slice_.bytes
        if sent == size:
            break
    assert sent == size
    assert min(promised) == number
    assert promised == sorted(promised, reverse=True)
