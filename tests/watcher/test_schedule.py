"""When the daily pass is due: once for each local date, whatever the clock does."""

import datetime
import threading
import zoneinfo
from pathlib import Path

import pytest

from core.config.settings import Config, PassSettings
from core.state import counters
from core.units import parse_time
from tests.clock import DAY, HOUR, GivenClock
from tests.watcher.place import Place
from watcher.schedule import DailyPass

UTC = zoneinfo.ZoneInfo("UTC")


def at_noon(config: Config) -> Config:
    """The configuration with a daily pass."""
    return config.replace(daily_pass=PassSettings(at=datetime.time(12)))


class Daily:
    """A daily pass whose runs are counted; each is a row of the state like a pass."""

    def __init__(self, folder: Path, start: str) -> None:
        place = Place(folder)
        self.clock = GivenClock(parse_time(start))
        self.state = place.state
        self.config = at_noon(place.config).replace(day=place.config.day.replace(timezone=UTC))
        self.runs = 0
        self.restart()

    def restart(self) -> None:
        """The service starts anew."""
        self.daily = DailyPass(self.config, self.state, self.clock, self._run)

    def _run(self) -> None:
        self.runs += 1
        self.a_pass()

    def a_pass(self) -> None:
        """A pass that begins now, whoever runs it."""
        with self.state.write() as connection:
            counters.start_pass(connection, self.clock.wall)

    def ran(self) -> int:
        """How many it has begun within this turn."""
        before = self.runs
        self.daily.run_if_due()
        while self.daily.is_running():
            threading.Event().wait(0.001)
        return self.runs - before


@pytest.fixture
def daily(tmp_path: Path) -> Daily:
    daily = Daily(tmp_path, "2026-11-22T11:00:00Z")
    daily.a_pass()
    return daily


def test_it_runs_once_a_day_at_its_time(daily: Daily) -> None:
    """Asked every ten minutes for three days."""
    runs = []
    for step in range(3 * 144):
        if daily.ran():
            runs.append(step / 6)
        daily.clock.advance(600)
    assert runs == [1, 25, 49]


def test_what_was_missed_while_the_host_was_off_runs_at_the_start(daily: Daily) -> None:
    """Once, however many days it was off."""
    daily.clock.reboot(down_for=3 * DAY)
    daily.restart()
    assert [daily.ran(), daily.ran()] == [1, 0]


def test_a_restart_does_not_run_it_twice(daily: Daily) -> None:
    """The state knows of it."""
    daily.clock.advance(2 * HOUR)
    assert daily.ran() == 1
    daily.restart()
    assert daily.ran() == 0


def test_a_pass_by_hand_after_the_time_stands_for_it_and_one_before_does_not(tmp_path: Path) -> None:
    """The service was down at noon, and the admin did not wait."""
    daily = Daily(tmp_path, "2026-11-22T11:59:00Z")
    daily.a_pass()
    daily.clock.advance(120)
    assert daily.ran() == 1
    daily.clock.advance(DAY)
    daily.a_pass()
    daily.restart()
    assert daily.ran() == 0


def test_at_the_very_first_start_it_runs_at_once(tmp_path: Path) -> None:
    """A host that is never up at noon would else never run it."""
    daily = Daily(tmp_path, "2026-11-22T18:00:00Z")
    assert [daily.ran(), daily.ran()] == [1, 0]


def test_a_clock_set_back_runs_nothing_twice(daily: Daily) -> None:
    """Neither by an hour after noon nor by a day."""
    daily.clock.advance(HOUR + 60)
    assert daily.ran() == 1
    for jump in (-HOUR, HOUR, -DAY + HOUR, DAY):
        daily.clock.jump_wall(jump)
        assert daily.ran() == 0


def test_a_pass_stamped_by_a_wrong_clock_does_not_stop_it_for_years(daily: Daily) -> None:
    """The clock was in 2030 for a moment."""
    daily.clock.jump_wall(4 * 365 * DAY)
    daily.a_pass()
    daily.clock.jump_wall(-4 * 365 * DAY)
    daily.clock.advance(2 * HOUR)
    assert daily.ran() == 1


def test_without_a_time_or_without_a_pass_nothing_runs(daily: Daily) -> None:
    """``[pass] at`` is left out where cron runs the pass."""
    daily.clock.advance(2 * HOUR)
    daily.config = daily.config.replace(daily_pass=PassSettings())
    daily.restart()
    assert daily.ran() == 0
    DailyPass(at_noon(daily.config), daily.state, daily.clock, None).run_if_due()
    assert daily.runs == 0


def test_a_pass_that_takes_long_holds_nobody_up_and_is_not_begun_twice(daily: Daily) -> None:
    """It has a thread of its own."""
    may_end, begun = threading.Event(), threading.Semaphore(0)

    def run() -> None:
        begun.release()
        may_end.wait(60)

    long = DailyPass(daily.config, daily.state, daily.clock, run)
    daily.clock.advance(2 * HOUR)
    long.run_if_due()
    assert begun.acquire(timeout=60)
    daily.clock.advance(DAY)
    long.run_if_due()
    assert long.is_running()
    may_end.set()
    while long.is_running():
        threading.Event().wait(0.001)
    assert not begun.acquire(blocking=False)


def test_a_pass_that_fails_is_logged_and_tried_again_the_next_day(
    daily: Daily, caplog: pytest.LogCaptureFixture
) -> None:
    """The service goes on."""

    def fail() -> None:
        daily.runs += 1
        raise RuntimeError("no such luck")

    failing = DailyPass(daily.config, daily.state, daily.clock, fail)
    for _ in range(2):
        daily.clock.advance(DAY)
        failing.run_if_due()
        while failing.is_running():
            threading.Event().wait(0.001)
    assert daily.runs == 2
    assert "no such luck" in caplog.text
