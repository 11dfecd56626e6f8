"""When somebody is told of a trouble: when it begins, as a reminder, and when it is over."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.enums import News, Trouble
from core.state.alerts import Item, Key, Known, news

VM1, VM2 = Key(Trouble.STALE, "vm1"), Key(Trouble.STALE, "vm2")
FORCED = Key(Trouble.OVER_LIMIT, "vm1")
HOUR, REMIND = 3600.0, 24 * 3600.0


def everything(_: Key) -> bool:
    return True


@pytest.mark.parametrize(
    ("known", "present", "told"),
    [
        ({}, {}, []),
        ({}, {VM1: "old"}, [(VM1, News.NEW)]),
        ({VM1: Known(0, 10 * HOUR, "old")}, {VM1: "older"}, []),
        ({VM1: Known(0, 9 * HOUR, "old")}, {VM1: "older", VM2: "old"}, [(VM2, News.NEW)]),
        ({VM1: Known(0, -15 * HOUR, "old")}, {VM1: "older"}, [(VM1, News.STILL)]),
        ({VM1: Known(0, -14 * HOUR + 300, "old")}, {VM1: "older"}, [(VM1, News.STILL)]),
        ({VM1: Known(0, 9 * HOUR, "old")}, {}, [(VM1, News.OVER)]),
        ({VM1: Known(11 * HOUR, 11 * HOUR, "told by a clock that was ahead")}, {VM1: "old"}, [(VM1, News.STILL)]),
        ({FORCED: Known(0, 9 * HOUR, "")}, {FORCED: "above"}, [(FORCED, News.NEW)]),
    ],
    ids=["nothing", "new", "told", "one more", "reminder", "a daily pass that comes sooner", "over", "clock", "event"],
)
def test_what_is_told(known: Mapping[Key, Known], present: Mapping[Key, str], told: list[tuple[Key, News]]) -> None:
    assert [(item.key, item.news) for item in news(known, present, everything, 10 * HOUR, REMIND)] == told


def test_a_run_that_could_not_know_does_not_say_that_it_is_over() -> None:
    """A pass that failed has looked at no VM."""
    known = {VM1: Known(0, 0, "old")}
    assert news(known, {}, lambda _: False, HOUR, REMIND) == []


def test_what_is_over_is_told_in_the_words_of_before() -> None:
    (item,) = news({VM1: Known(5, 5, "vm1 is old")}, {}, everything, HOUR, REMIND)
    assert (item.since, str(item)) == (5, "over: vm1 is old")


RUNS = st.lists(st.tuples(st.integers(1, 40 * 3600), st.sets(st.sampled_from([VM1, VM2]))), max_size=40)


@given(RUNS)
def test_each_trouble_is_told_once_then_as_a_reminder_and_once_when_it_is_over(
    runs: list[tuple[int, set[Key]]],
) -> None:
    """However often it is looked at: a trouble begins, is still there a day or more after it was told, and ends."""
    known: dict[Key, Known] = {}
    told: dict[Key, list[tuple[float, News]]] = {VM1: [], VM2: []}
    now = 0.0
    for passed, present in runs:
        now += passed
        for item in news(known, dict.fromkeys(present, "old"), everything, now, REMIND):
            told[item.key].append((now, item.news))
            known.pop(item.key, None)
            if item.news is not News.OVER:
                known[item.key] = Known(item.since, now, item.detail)
        assert known.keys() == present
    for history in told.values():
        for (before, last), (at, next_) in pairwise(history):
            assert (next_ is News.NEW) == (last is News.OVER)
            assert next_ is not News.STILL or at - before >= REMIND - HOUR


def test_the_new_comes_first() -> None:
    items: list[Item] = news({VM1: Known(0, 0, "")}, {VM2: ""}, everything, 2 * REMIND, REMIND)
    assert [item.news for item in items] == [News.NEW, News.OVER]
