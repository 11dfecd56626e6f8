"""What the times of a VM's dumps tell of its period, however odd they are."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dump_history import REMEMBERED, period, remembered, remembered_sizes, shrunk_from

HOUR, DAY = 3600, 86_400
START = 1_795_000_000


def told(*days: float) -> str:
    """The history of a VM with dumps at these days."""
    times = ""
    for day in days:
        times = remembered(times, START + day * DAY)
    return times


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param([], None, id="never dumped"),
        pytest.param([0], None, id="dumped once"),
        pytest.param([0, 0.02], None, id="one turn made twice"),
        pytest.param([0, 7], 7, id="two turns"),
        pytest.param([0, 7, 7.04, 14, 14.01, 21], 7, id="weekly, some of them twice in an hour"),
        pytest.param([0, 0.03, 1, 1.03, 2, 2.03, 3, 3.03], 1, id="each night at three and again soon after"),
        pytest.param([0, 7, 8, 14, 21], 7, id="one by hand the day after"),
        pytest.param([0, 1, 2, 3, 34, 35], 1, id="a month of silence"),
        pytest.param([0, 1, 2, 3, 34, 35, 66, 67], 1, id="two of them"),
        pytest.param([0, 7, 14, 21, 28, 29, 30, 31], 1, id="moved from weekly to daily, three turns ago"),
        pytest.param([0, 7, 14, 21, 28, 29, 30], 7, id="... two turns ago"),
        pytest.param([0, 1, 2, 3, 4, 11, 18, 25], 7, id="moved from daily to weekly, three turns ago"),
        pytest.param([0, 2, 4, 6, 8], 2, id="every other of its dumps fails"),
        pytest.param([21, 0, 14, 7], 7, id="found in another order"),
    ],
)
def test_odd_histories(days: list[float], expected: float | None) -> None:
    assert period(told(*days)) == (None if expected is None else pytest.approx(expected * DAY, rel=0.05))


periods = st.integers(6 * HOUR, 60 * DAY)
seeds = st.integers(0, 10**6)


def regular(every: int, turns: int, seed: int) -> list[float]:
    """Turns of this period, each up to a twentieth of it late."""
    dice = random.Random(seed)
    return [(number * every + dice.uniform(0, every / 20)) / DAY for number in range(turns)]


@given(periods, st.integers(2, 30), seeds)
def test_a_regular_period_is_learned_from_the_second_turn_on(every: int, turns: int, seed: int) -> None:
    assert period(told(*regular(every, turns, seed))) == pytest.approx(every, rel=0.1)


@given(periods, st.integers(6, 20), st.integers(0, 19), st.floats(2, 50), seeds)
def test_a_silence_of_any_length_moves_it_nowhere(every: int, turns: int, at: int, missed: float, seed: int) -> None:
    days = [day + (missed * every / DAY if n > at else 0) for n, day in enumerate(regular(every, turns, seed))]

    assert period(told(*days)) == pytest.approx(every, rel=0.11)


@given(periods, st.integers(6, 20), st.integers(0, 19), st.floats(0, 1), seeds)
def test_a_dump_between_moves_it_nowhere(every: int, turns: int, at: int, part: float, seed: int) -> None:
    """Wherever between two turns it was made: by hand, or once more."""
    days = regular(every, turns, seed)
    extra = days[at % turns] + part * every / DAY

    assert period(told(*days, extra)) == pytest.approx(every, rel=0.11)


@given(periods, periods, seeds)
def test_another_period_is_known_after_three_turns(old: int, new: int, seed: int) -> None:
    before = regular(old, 20, seed)
    after = [before[-1] + (number + 1) * new / DAY for number in range(6)]
    learned = [period(told(*before, *after[:turns])) for turns in range(1, 7)]

    assert learned[2:] == [pytest.approx(new, rel=0.12)] * 4


@given(st.lists(st.integers(0, 400), max_size=20), st.randoms())
def test_the_order_in_which_dumps_are_found_says_nothing(days: list[int], dice: random.Random) -> None:
    shuffled = dice.sample(days, len(days))

    assert told(*days) == told(*shuffled, *shuffled)


@given(st.lists(st.floats(0, 3000), max_size=40))
def test_it_is_one_of_the_gaps_that_were_and_little_is_remembered(days: list[float]) -> None:
    times = told(*days)
    known = [int(time) for time in times.split()]
    learned = period(times)

    assert len(known) <= REMEMBERED
    assert learned is None or HOUR <= learned <= max(known) - min(known)
    assert learned is None or any(learned == b - a for a in known for b in known)


# --- sizes


def sized(*sizes: int) -> str:
    """The history of a VM with dumps of these sizes, a day apart."""
    told = ""
    for day, size in enumerate(sizes):
        told = remembered_sizes(told, START + day * DAY, size)
    return told


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        pytest.param([], None, id="never dumped"),
        pytest.param([10], None, id="dumped once"),
        pytest.param([10, 4], 10, id="the second is below half of the first"),
        pytest.param([10, 5], None, id="half is not below half"),
        pytest.param([10, 100], None, id="growing is nobody's alarm"),
        pytest.param([10, 10, 100, 10], None, id="one odd dump makes nothing usual"),
        pytest.param([10, 10, 10, 1, 10], None, id="the alarm ends with the next whole dump"),
        pytest.param([10, 10, 10, 1, 1], 10, id="two small ones"),
        pytest.param([10, 10, 10, 1, 1, 1], 10, id="three"),
        pytest.param([10, 10, 10, 1, 1, 1, 1], None, id="then the small ones are the usual ones"),
    ],
)
def test_a_dump_below_half_of_the_usual_size_is_suspicious(sizes: list[int], expected: int | None) -> None:
    assert shrunk_from(sized(*sizes)) == expected


def test_two_dumps_of_one_second_have_their_order() -> None:
    """The smaller one is not the earlier one for that."""
    told = remembered_sizes(remembered_sizes("", START + 0.25, 10), START + 0.75, 4)
    assert shrunk_from(told) == 10


@given(st.lists(st.integers(0, 10**12), max_size=20), seeds)
def test_the_order_in_which_dumps_are_found_does_not_matter_for_their_sizes(sizes: list[int], seed: int) -> None:
    found = list(enumerate(sizes))
    random.Random(seed).shuffle(found)
    told = ""
    for day, size in found:
        told = remembered_sizes(told, START + day * DAY, size)
    assert shrunk_from(told) == shrunk_from(sized(*sizes))
