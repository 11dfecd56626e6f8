"""What is drawn, chosen and said, without a browser."""

import datetime
import itertools
import zoneinfo
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.page import drawing, words
from exporters.page.choice import Choice, leaf
from exporters.page.look import COMING_DAYS, PAST_DAYS, Mark, midnights
from exporters.server import is_our_name

DAY = 86_400.0

# --- bars and strips


@given(st.lists(st.tuples(st.just("out"), st.integers(0, 10**15))), st.integers(0, 10**15))
def test_the_parts_of_a_bar_stand_beside_each_other_and_fit(parts: list[tuple[str, int]], whole: int) -> None:
    """Whatever they weigh; also where more was let out than the day had."""
    found = drawing.segments(parts, whole)
    assert len(found) == sum(1 for _, size in parts if size)
    for one, beside in itertools.pairwise(found):
        assert one.x + one.width == pytest.approx(beside.x, abs=0.02)
    assert sum(one.width for one in found) <= 1000.01 + 0.005 * len(found)


def test_a_strip_shows_how_far_the_dumps_of_each_date_came_and_what_failed() -> None:
    """The furthest alone, and a failure beside it."""
    past = bytearray(PAST_DAYS)
    past[0] = Mark.DUMPED
    past[1] = Mark.DUMPED | Mark.RELEASED
    past[59] = Mark.DUMPED | Mark.RELEASED | Mark.CONFIRMED | Mark.FAILED
    drawn = drawing.strip(bytes(past), (0, 29, 30))
    assert drawn.dumped == "M0 15h8v5h-8z"
    assert drawn.released == "M10 8h8v12h-8z"
    assert drawn.confirmed == "M590 0h8v20h-8z"
    assert drawn.failed == "M591 1l6 6m0-6l-6 6"
    assert drawn.coming == "M601 1h6v18h-6zM891 1h6v18h-6z"  # the day after the last is not drawn
    assert drawing.WIDTH == (PAST_DAYS + COMING_DAYS) * 10


@pytest.mark.parametrize(("lateness", "width"), [(0, 0), (0.5, 50), (1, 100), (1.5, 150), (2, 200), (9, 200)])
def test_the_bar_of_an_age_is_at_its_middle_when_the_target_is_reached(lateness: float, width: float) -> None:
    assert drawing.age_width(lateness) == width


def test_the_dates_of_the_grid_are_those_of_the_clock_on_the_wall() -> None:
    """Over a change of the clock each date begins at its own midnight, once."""
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    now = datetime.datetime(2026, 11, 3, 0, 30, tzinfo=zone).timestamp()
    begins = midnights(now, zone)
    dates = [datetime.datetime.fromtimestamp(one, zone) for one in begins]
    assert len(begins) == PAST_DAYS
    assert {one.time() for one in dates} == {datetime.time()}
    assert dates[-1].date() == datetime.date(2026, 11, 3)
    assert {b - a for a, b in itertools.pairwise(begins)} == {DAY, DAY + 3600}


def test_a_strip_is_told_by_its_dates_over_a_change_of_the_clock_too() -> None:
    """At half past midnight, when an hour more or less is another date."""
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    now = datetime.datetime(2026, 10, 26, 0, 30, tzinfo=zone).timestamp()
    past = bytearray(PAST_DAYS)
    past[59] = past[58] = past[57] = Mark.DUMPED
    look = SimpleNamespace(as_of=now, zone=zone)
    told = "dumped on 3 of 60 days, last Mon 26 Oct, Sun 25 Oct, Sat 24 Oct; expected to leave: next pass, Thu 29 Oct"
    assert words.strip(look, bytes(past), (0, 3)) == told  # type: ignore[arg-type]


# --- what is chosen


@pytest.mark.parametrize(
    ("query", "choice"),
    [
        ("", Choice()),
        ("vm=web&set=weekly&page=2", Choice("web", "weekly", 2)),
        ("vm=a%26b%3D%3Cc&page=0", Choice("a&b=<c")),
        ("page=-1", Choice()),
        ("page=9999999999999", Choice()),
        ("page=²", Choice()),
        ("page=x&vm=%ff", Choice("\udcff")),
        ("vm=a&vm=b&other=1", Choice("a")),
    ],
)
def test_a_query_is_understood_or_ignored(query: str, choice: Choice) -> None:
    """And written, it says the same again."""
    assert Choice.of(query) == choice
    assert Choice.of(choice.query(choice.page).removeprefix("?")) == choice


def test_a_query_with_too_many_words_is_as_if_it_were_not() -> None:
    """parse_qs refuses it; the page does not."""
    assert Choice.of("&".join(["vm=a"] * 1000)) == Choice()


@given(st.integers(0, 400), st.integers(1, 20), st.integers(1, 50))
def test_pages_hold_everything_once(count: int, page: int, size: int) -> None:
    """And one past the last is the last."""
    rows = range(count)
    pages = leaf(rows, lambda _: True, page, size).pages
    assert [row for number in range(1, pages + 1) for row in leaf(rows, lambda _: True, number, size).rows] == [*rows]
    beyond = leaf(rows, lambda _: True, pages + page, size)
    assert beyond.page == pages
    assert not count or beyond.first + len(beyond.rows) - 1 == count


# --- what is said


@pytest.mark.parametrize(
    ("ahead", "told"),
    [(0, "09:33"), (-3600, "08:33"), (-10 * 3600, "Sun 22 Nov 23:33"), (400 * DAY, "Tue 28 Dec 2027 09:33")],
)
def test_a_moment_is_told_as_shortly_as_it_can_be(ahead: float, told: str) -> None:
    now = datetime.datetime(2026, 11, 23, 9, 33, tzinfo=datetime.UTC).timestamp()
    assert words.moment(now + ahead, now, datetime.UTC) == told


# --- whose name it is


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ("localhost", "127.0.0.1"),
        ("localhost.:80", "127.0.0.1"),
        ("127.0.0.1:9877", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::FFFF:127.0.0.1]", "127.0.0.1"),
        ("192.0.2.7:9877", "192.0.2.7"),
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("[fe80::1]:9877", "fe80::1%eth0"),
        ("Page.Example:443", "192.0.2.7"),
    ],
)
def test_a_name_of_ours_is_known(said: str, own: str) -> None:
    """Loopback, the address that was reached, and what the admin named."""
    assert is_our_name(said, own, ("page.example",))


def test_who_says_no_name_is_no_browser() -> None:
    """And no page of others can have sent him here."""
    assert is_our_name(None, "192.0.2.7", ())


@pytest.mark.parametrize(
    "said",
    [
        "",
        ":80",
        "evil.example",
        "192.0.2.8",
        "localhost.evil.example",
        "page.example.evil",
        "127.0.0.1, x",
        "[::1",
        "::1]",
    ],
)
def test_another_name_is_not(said: str) -> None:
    assert not is_our_name(said, "192.0.2.7", ("page.example",))


@pytest.mark.parametrize(
    "said", ["page.example:80:80", "a" * 300, "2130706433", "0x7f000001", "page.example/", "@localhost"]
)
def test_what_no_browser_says_is_not_ours_either(said: str) -> None:
    assert not is_our_name(said, "192.0.2.7", ("page.example",))
