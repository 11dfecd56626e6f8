"""Sizes, spans and times: what people write is read, and what is shown can be read again."""

import contextlib
import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.units import format_size, format_span, format_time, last_reached, parse_size, parse_span, parse_time

ANY_TEXT = st.text() | st.from_regex(r"\A[-+0-9. ]{0,6}[a-zA-Z]{0,4}\Z")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10 GB", 10_000_000_000),
        ("10GB", 10_000_000_000),
        ("10 gb", 10_000_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("0.1 kB", 100),
        ("500", 500),
        ("0 B", 0),
        ("  7 MB ", 7_000_000),
        ("9007199.254740993 GB", 9_007_199_254_740_993),
    ],
)
def test_sizes_are_decimal_unless_they_say_binary(text: str, size: int) -> None:
    """10 GB are 10^10 bytes, and none is lost on the way."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "GB", "ten GB", "10 G", "10 apples", "-1 GB", "+1 GB", "1,5 GB", "1e9", "1 GB 5", "٣ GB", "9" * 31],
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    """10 G is refused too: it is 10^10 to one and 2^30 times ten to another."""
    with pytest.raises(ValueError, match=r'is not a size; write it like "10 GB" or "1\.5 GiB"'):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (8_123_456_789, "8.12 GB"),
        (10**10, "10 GB"),
        (12_345 * 10**15, "12345 PB"),
        (-5_000_000, "-5 MB"),
    ],
)
def test_sizes_are_shown_with_three_digits(size: int, text: str) -> None:
    """As much as an eye takes in."""
    assert format_size(size) == text


@given(st.integers(0, 10**18))
def test_a_size_that_is_shown_reads_back_as_nearly_the_same(size: int) -> None:
    """Within the half percent that three digits leave."""
    assert abs(parse_size(format_size(size)) - size) <= size * 0.005


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20h", 72_000),
        ("7d", 604_800),
        ("1h 30m", 5_400),
        ("1h30m", 5_400),
        ("0s", 0),
        ("1.5h", 5_400),
        ("2 w", 1_209_600),
    ],
)
def test_spans_add_up(text: str, seconds: float) -> None:
    """Parts may be written together or apart."""
    assert parse_span(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "20", "h", "-1h", "1h-", "5min", "1 0h", "1.5.5h", "1h, 30m", "one day", "1H", "9" * 40 + "h"],
)
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    """Nothing of it is read where not all of it can be."""
    with pytest.raises(ValueError, match='is not a duration; write it like "20h", "7d" or "1h 30m"'):
        parse_span(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.4, "0s"), (-0.4, "0s"), (59.6, "1m"), (3_600, "1h"), (273_661, "3d 4h"), (-90, "-1m 30s")],
)
def test_spans_are_shown_in_two_units(seconds: float, text: str) -> None:
    """The third would tell nobody anything."""
    assert format_span(seconds) == text


@given(st.integers(0, 10**9))
def test_a_span_that_is_shown_reads_back_as_nearly_the_same(seconds: int) -> None:
    """Never more than it was, and short of it by less than the second unit shown."""
    shown = parse_span(format_span(seconds))
    assert 0 <= seconds - shown < max(1, seconds / 24)


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T03:00:00+01:00", "2026-11-22T02:00:00Z", "2026-11-22 02:00:00.9+00:00"],
)
def test_times_carry_their_offset(text: str) -> None:
    """The same instant however it is written."""
    assert int(parse_time(text)) == 1_795_312_800


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22", "2026-11-22T03:00:00", "2026-13-01T00:00:00Z"])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    """It could be any of a day's hours."""
    with pytest.raises(ValueError, match="is not a time with an offset"):
        parse_time(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_no_dump_can_have_is_refused(text: str) -> None:
    """Whatever is read can be shown again, in every zone."""
    with pytest.raises(ValueError, match="between 1970 and 9999"):
        parse_time(text)


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_that_is_read_is_shown_as_the_same_second(time: datetime.datetime) -> None:
    """Whatever comes in a marker: the same second, or a sentence."""
    try:
        seconds = parse_time(time.isoformat())
    except ValueError:
        return
    assert int(parse_time(format_time(seconds))) == int(seconds)
    assert int(parse_time(format_time(seconds, time.tzinfo or datetime.UTC))) == int(seconds)


@given(ANY_TEXT)
def test_any_text_is_either_read_or_refused(text: str) -> None:
    """A parser raises ValueError and nothing else, and never gives less than 0."""
    for parse in (parse_size, parse_span, parse_time):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0


# --- a local time reached --------------------------------------------------------------------------------

HOUR, DAY = 3600.0, 86_400.0


def utc(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("time", "zone", "reached"),
    [
        pytest.param("18:30", "Europe/Berlin", "2026-11-22T17:30", id="winter"),
        pytest.param("18:30", "Europe/Berlin", "2026-07-22T16:30", id="summer"),
        pytest.param("02:30", "Europe/Berlin", "2026-03-29T01:00", id="skipped: the first instant after the gap"),
        pytest.param("02:00", "Europe/Berlin", "2026-03-29T01:00", id="the gap's own first instant"),
        pytest.param("03:00", "Europe/Berlin", "2026-03-29T01:00", id="the first time after the gap"),
        pytest.param("03:30", "Europe/Berlin", "2026-03-29T01:30", id="half an hour after the gap"),
        pytest.param("01:59", "Europe/Berlin", "2026-03-29T00:59", id="the last minute before the gap"),
        pytest.param("02:30", "Europe/Berlin", "2026-10-25T00:30", id="twice: the first time"),
        pytest.param("03:00", "Europe/Berlin", "2026-10-25T02:00", id="the first time after the overlap"),
        pytest.param("00:00", "America/Havana", "2026-03-08T05:00", id="a skipped midnight"),
        pytest.param("00:30", "America/Havana", "2026-11-01T04:30", id="half past twelve twice"),
        pytest.param("02:15", "Australia/Lord_Howe", "2026-10-03T15:30", id="a gap of half an hour"),
        pytest.param("12:00", "Pacific/Apia", "2011-12-30T10:00", id="a date that never was"),
    ],
)
def test_each_date_has_one_instant_whatever_the_clock_does_to_it(time: str, zone: str, reached: str) -> None:
    """Where the time does not exist, the first instant after it counts; where it comes twice, the first time."""
    at, where, instant = datetime.time.fromisoformat(time), zoneinfo.ZoneInfo(zone), utc(reached)
    assert last_reached(at, where, instant) == instant
    assert last_reached(at, where, instant + HOUR / 2) == instant
    assert last_reached(at, where, instant + 2 * HOUR) == instant
    assert last_reached(at, where, instant - 1) < instant


def test_a_clock_that_is_set_back_over_midnight_reaches_it_once() -> None:
    """St. John's once went from 00:01 back to 23:01 of the day before."""
    zone, midnight = zoneinfo.ZoneInfo("America/St_Johns"), utc("2010-11-07T02:30")
    for later in (0, HOUR / 2, HOUR, 24 * HOUR):  # it is 23:30, then 00:00 for the second time
        assert last_reached(datetime.time(), zone, midnight + later) == midnight
    assert last_reached(datetime.time(), zone, midnight + 25 * HOUR) == midnight + 25 * HOUR


@given(
    now=st.floats(min_value=0, max_value=4e9),
    at=st.times().map(lambda time: time.replace(second=0, microsecond=0)),
    zone=st.timezones(),
)
def test_it_is_never_ahead_and_never_more_than_a_long_day_ago(
    now: float, at: datetime.time, zone: datetime.tzinfo
) -> None:
    """In every zone, through every change of its clocks. Islands have moved over the date line: a date was skipped."""
    assert 0 <= now - last_reached(at, zone, now) < 2 * DAY + HOUR
