"""When a day is over, and that a wrong clock may cost a day and never gives one."""

import datetime
import zoneinfo
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.enums import DayEnd
from policy.planner.day import DayRules, OpenDay, counts_as_used, is_over, mend_stamp

HOUR = 3600.0
DAY = 24 * HOUR
UTC = datetime.UTC
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def at(text: str, zone: datetime.tzinfo = UTC, *, second_time: bool = False) -> float:
    """Seconds since the epoch of a local time; ``second_time`` where a clock set back shows it twice."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=zone, fold=int(second_time))
    return moment.timestamp()


def ends_at(time: str, zone: datetime.tzinfo = UTC) -> DayRules:
    return DayRules(DayEnd.AT, 20 * HOUR, HOUR, datetime.time.fromisoformat(time), zone)


def ends_with_sync(*, at_least: float = 20 * HOUR, quiet: float = HOUR) -> DayRules:
    return DayRules(DayEnd.SYNC, at_least, quiet, datetime.time(), UTC)


NOW = at("2026-11-22T12:00")


# --- ends = "sync"


@pytest.mark.parametrize(
    ("reported", "read_ago", "age", "over"),
    [
        pytest.param(True, None, 20 * HOUR, True, id="reported, and old enough to the second"),
        pytest.param(True, None, 20 * HOUR - 1, False, id="reported, a second too young"),
        pytest.param(False, None, 30 * DAY, False, id="no sync came, however long"),
        pytest.param(False, HOUR, 20 * HOUR, True, id="read, and quiet since"),
        pytest.param(False, HOUR - 1, 30 * HOUR, False, id="read a moment ago: it may still run"),
        pytest.param(False, HOUR, 19 * HOUR, False, id="read and quiet, but too young"),
        pytest.param(True, 1.0, 20 * HOUR, True, id="a report does not wait for quiet"),
    ],
)
def test_a_day_ends_when_a_sync_has_passed_and_it_is_old_enough(
    reported: bool, read_ago: float | None, age: float, over: bool
) -> None:
    last_read = None if read_ago is None else NOW - read_ago
    day = OpenDay(3, age, NOW - age, sync_reported=reported, last_read=last_read)

    assert is_over(day, ends_with_sync(), NOW) is over


def test_at_least_of_nothing_gives_the_bare_definition() -> None:
    """When the sync has passed, the day is over."""
    assert is_over(OpenDay(3, 0.0, NOW, sync_reported=True), ends_with_sync(at_least=0.0), NOW)


def test_a_clock_set_ahead_makes_no_day_old_enough() -> None:
    """The wall says that ten days have passed; the trusted age says two hours."""
    day = OpenDay(3, 2 * HOUR, NOW, sync_reported=True)

    assert not is_over(day, ends_with_sync(), NOW + 10 * DAY)


def test_a_clock_set_back_before_the_last_read_only_makes_the_day_longer() -> None:
    day = OpenDay(3, 30 * HOUR, NOW - 30 * HOUR, last_read=NOW)

    assert not is_over(day, ends_with_sync(), NOW - 5 * HOUR)
    assert is_over(day, ends_with_sync(), NOW + HOUR)


@pytest.mark.parametrize(("age", "over"), [(20 * HOUR, True), (20 * HOUR - 1, False)])
def test_a_day_without_a_sync_ends_without_one(age: float, over: bool) -> None:
    """Nothing was let out in it; the next one may have a limit, and its sync only comes if that is let out."""
    assert is_over(OpenDay(3, age, NOW - age, needs_no_sync=True), ends_with_sync(), NOW) is over


# --- ends = "at"


@pytest.mark.parametrize(
    ("opened", "now", "over"),
    [
        pytest.param("2026-11-22T23:50", "2026-11-22T23:59:59", False, id="the same date"),
        pytest.param("2026-11-22T23:50", "2026-11-23T00:00", True, id="midnight to the second"),
        pytest.param("2026-11-23T00:00", "2026-11-23T23:59:59", False, id="opened at the very boundary"),
        pytest.param("2026-11-20T12:00", "2026-11-23T12:00", True, id="nobody looked for days"),
        pytest.param("2026-11-23T12:00", "2026-11-22T12:00", False, id="the clock was set back over midnight"),
    ],
)
def test_a_day_ends_at_midnight(opened: str, now: str, over: bool) -> None:
    assert is_over(OpenDay(3, 0.0, at(opened)), ends_at("00:00"), at(now)) is over


def test_a_sync_report_ends_no_day_that_ends_at_a_time() -> None:
    day = OpenDay(3, 30 * HOUR, at("2026-11-22T01:00"), sync_reported=True, last_read=at("2026-11-22T02:00"))

    assert not is_over(day, ends_at("00:00"), at("2026-11-22T23:00"))


def test_an_hour_that_comes_twice_ends_one_day() -> None:
    """At half past two for the first time, and neither at two nor at half past two for the second."""
    rules = ends_at("02:30", BERLIN)
    first = at("2026-10-25T02:30", BERLIN)

    assert is_over(OpenDay(3, 0.0, at("2026-10-25T02:10", BERLIN)), rules, first)
    for opened in (first, at("2026-10-25T02:10", BERLIN, second_time=True)):
        assert not is_over(OpenDay(4, 0.0, opened), rules, at("2026-10-25T23:00", BERLIN))


@dataclass
class Host:
    """A host whose clock may be wrong: it looks whether the day is over and opens the next one, as a pass does."""

    rules: DayRules
    opened: float
    ended: int = 0

    def look(self, now: float) -> None:
        self.opened, _ = mend_stamp(self.opened, now)
        if is_over(OpenDay(self.ended, 0.0, self.opened), self.rules, now):
            self.opened = now
            self.ended += 1


times = st.times().map(lambda time: time.isoformat(timespec="seconds"))
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia"]
)


@given(times, zones, st.integers(0, 40 * 365), st.integers(20, 60))
def test_a_right_clock_ends_one_day_a_date(time: str, zone: str, start_day: int, minutes: int) -> None:
    """However often one looks, and through every change of the clock of the last decades."""
    start = at("1985-01-01T12:00") + start_day * DAY
    host = Host(ends_at(time, zoneinfo.ZoneInfo(zone)), start)
    for look in range(int(10 * DAY / 60) // minutes):
        host.look(start + look * minutes * 60)

    assert host.ended in {9, 10, 11}


@given(times, zones, st.integers(0, 40 * 365), st.integers(0, 48 * 60))
def test_looking_twice_changes_nothing(time: str, zone: str, start_day: int, minute: int) -> None:
    now = at("1985-01-01T12:00") + start_day * DAY + minute * 60
    host = Host(ends_at(time, zoneinfo.ZoneInfo(zone)), now - 2 * DAY)
    host.look(now)
    host.look(now)

    assert host.ended == 1


@given(st.lists(st.integers(-24 * 60, 24 * 60), max_size=30))
def test_a_clock_that_steps_back_and_forth_by_less_than_a_day_ends_no_day_twice(steps: list[int]) -> None:
    """All these times lie around one midnight: one day ends, in whatever order they are shown."""
    noon = at("2026-11-22T12:00")
    host = Host(ends_at("00:00"), noon)
    for minutes in steps:
        host.look(noon + (12 * 60 + minutes / 2) * 60)

    assert host.ended <= 1


# --- a clock that jumps


@dataclass
class Jumpy:
    """A host whose wall clock jumps while its uptime does not; each look lets out what the day has left."""

    rules: DayRules
    wall: float = NOW
    uptime: float = 0.0
    number: int = 1
    opened: tuple[float, float] = (NOW, 0.0)
    grants: list[tuple[int, float, float, int]] = field(default_factory=list)

    LIMIT = 3

    def pass_time(self, hours: float, jump: float) -> None:
        self.uptime += hours * HOUR
        self.wall += (hours + jump) * HOUR

    def look(self, wanted: int) -> None:
        if mend_stamp(self.opened[0], self.wall).wrong:
            self.opened = (self.wall, self.uptime)
        day = OpenDay(self.number, self._age(*self.opened), self.opened[0], sync_reported=True)
        if is_over(day, self.rules, self.wall):
            self.number += 1
            self.opened = (self.wall, self.uptime)
        used = sum(
            size
            for number, wall, uptime, size in self.grants
            if counts_as_used(number, self.number, self._age(wall, uptime), self.rules.ends)
        )
        self.grants.append((self.number, self.wall, self.uptime, min(wanted, max(0, self.LIMIT - used))))

    def let_out_since(self, uptime: float) -> int:
        return sum(size for _, _, released, size in self.grants if released > uptime)

    def _age(self, wall: float, uptime: float) -> float:
        """As ``core.clock.Instant`` tells it within one boot."""
        return max(0.0, min(self.wall - wall, self.uptime - uptime))


looks = st.lists(
    st.tuples(
        st.integers(0, 240).map(lambda eighths: eighths / 8),
        st.sampled_from([0, 0, 0, 1, -1, 30, -30, 8760, -8760]),
        st.integers(0, 3),
    ),
    max_size=25,
)


@given(looks)
def test_a_day_that_ends_at_a_time_is_never_given_by_a_clock_that_jumps(
    steps: list[tuple[float, float, int]],
) -> None:
    """In any 20 hours that really pass no more than one limit is let out, all of it confirmed at once."""
    host = Jumpy(ends_at("00:00"))
    for hours, jump, wanted in steps:
        host.pass_time(hours, jump)
        host.look(wanted)
        assert host.let_out_since(host.uptime - 20 * HOUR) <= Jumpy.LIMIT


@given(looks)
def test_a_day_that_ends_with_a_sync_is_never_given_by_a_clock_that_jumps(
    steps: list[tuple[float, float, int]],
) -> None:
    """With a sync reported at every look, no more days end than ``at_least`` fits into the time that passed."""
    host = Jumpy(ends_with_sync())
    for hours, jump, wanted in steps:
        host.pass_time(hours, jump)
        host.look(wanted)
        assert (host.number - 1) * 20 * HOUR <= host.uptime


# --- what still counts, and stamps from the future


@pytest.mark.parametrize(
    ("day", "age", "ends", "used"),
    [
        pytest.param(7, 90 * HOUR, DayEnd.SYNC, True, id="of this day, however long ago"),
        pytest.param(7, 90 * HOUR, DayEnd.AT, True, id="of this day, at"),
        pytest.param(6, HOUR, DayEnd.SYNC, False, id="its sync has passed"),
        pytest.param(6, 20 * HOUR - 1, DayEnd.AT, True, id="of the day before, in the last 20 hours"),
        pytest.param(5, 20 * HOUR - 1, DayEnd.AT, True, id="of whatever day"),
        pytest.param(6, 20 * HOUR, DayEnd.AT, False, id="20 hours ago"),
        pytest.param(8, 90 * HOUR, DayEnd.SYNC, True, id="of a day that is not open yet: never too little"),
    ],
)
def test_what_was_let_out_today_counts_as_used_and_by_a_time_also_the_last_20_hours(
    day: int, age: float, ends: DayEnd, used: bool
) -> None:
    assert counts_as_used(day, 7, age, ends) is used


@pytest.mark.parametrize(
    ("ahead", "mended"),
    [(-30 * DAY, False), (25 * HOUR, False), (25 * HOUR + 1, True), (3650 * DAY, True)],
    ids=["long ago", "25 hours ahead", "a second more", "ten years ahead"],
)
def test_a_stamp_from_far_in_the_future_is_set_to_now_and_told(ahead: float, mended: bool) -> None:
    stamp, wrong = mend_stamp(NOW + ahead, NOW)

    assert (stamp, wrong) == (NOW if mended else NOW + ahead, mended)


def test_one_jump_ahead_holds_the_days_up_for_no_longer_than_a_day() -> None:
    """Opened while the clock was a year ahead; once it is right, the day ends at the next midnight."""
    host = Host(ends_at("00:00"), opened=NOW + 365 * DAY)
    host.look(NOW)
    host.look(NOW + 11 * HOUR)
    assert host.ended == 0

    host.look(NOW + 12 * HOUR)
    assert host.ended == 1
