"""On which coming day a dump leaves: the first with room, in the order of turns."""

from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.planner.knapsack import HORIZON, first_days_that_fit


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        pytest.param([], [], id="nothing waits"),
        pytest.param([10, 10, 10], [1, 2, 3], id="a whole day each"),
        pytest.param([6, 5, 4, 5], [1, 2, 1, 2], id="a later one fills the gap of an earlier day"),
        pytest.param([11, 1], [None, 1], id="what no day can hold is in nobody's way"),
        pytest.param([10, 0], [1, 1], id="a size of 0 fits a full day"),
    ],
)
def test_each_leaves_on_the_first_day_that_has_room(sizes: list[int], expected: list[int | None]) -> None:
    assert first_days_that_fit(sizes, repeat(10)) == expected


def test_beyond_the_horizon_no_day_is_named() -> None:
    """Not even where the tree has a leaf: 400 is no power of two."""
    days = first_days_that_fit([1] * (HORIZON + 200), repeat(1))

    assert days == [*range(1, HORIZON + 1), *[None] * 200]


@given(st.lists(st.integers(0, 12), max_size=40), st.lists(st.integers(0, 10), min_size=1, max_size=9))
def test_the_tree_tells_the_same_as_walking_over_the_days(sizes: list[int], days: list[int]) -> None:
    free = list(days)
    walked: list[int | None] = []
    for size in sizes:
        day = next((number for number, room in enumerate(free) if room >= size), None)
        walked.append(None if day is None else day + 1)
        if day is not None:
            free[day] -= size

    assert first_days_that_fit(sizes, days) == walked
