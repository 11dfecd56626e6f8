"""The wall clock jumps, at each hour around changes of local time: real commands on a host whose clock is given.

Time is true by the uptime, which no jump touches. Around each change of the clock a host lives three days by the hour:
a pass every four hours and each hour around the change, just before and just after the full one, and two syncs a day.
A jump lasts for one pass, so whatever it makes of the day must be kept when the clock is right again.
"""

import datetime
import itertools
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock
from zoneinfo import ZoneInfo

from tests.clock import DAY, HOUR, GivenClock
from tests.host import Host
from tools.torture import invariants
from tools.torture.expected_state import Dump, Truth, standing, written
from tools.torture.forked_command import Having, nothing, run, tidegate
from tools.torture.points import Point

LIMIT = 6000
_DUMP = 2000


class Change(NamedTuple):
    """A change of local time, or of the date; ``at`` is when the day ends where it ends at a local time."""

    zone: str
    date: str
    at: str = "00:00"


CHANGES = (
    Change("Africa/Cairo", "2026-04-24"),  # in these four midnight does not exist on that date
    Change("America/Havana", "2026-03-08"),
    Change("Asia/Beirut", "2026-03-29"),
    Change("America/Santiago", "2026-09-06"),
    Change("America/Havana", "2026-11-01"),  # midnight comes twice
    Change("Europe/Berlin", "2026-03-29", at="02:30"),  # does not exist
    Change("Europe/Berlin", "2026-10-25", at="02:30"),  # comes twice
    Change("Australia/Lord_Howe", "2026-10-04", at="02:15"),  # half an hour
    Change("UTC", "2026-06-30"),
)
#: None: the clock is right all the time.
JUMPS = (None, -400 * DAY, -26 * HOUR, -HOUR, HOUR, 26 * HOUR, 400 * DAY)


def points(having: Having = nothing) -> list[Point]:
    """One for each change, each way in which days end, and each jump."""
    found = []
    for change, ends, jump in itertools.product(CHANGES, ("at", "sync"), JUMPS):
        told = "right" if jump is None else f"{jump / HOUR:+.0f} h"
        name = f'clock {change.zone} {change.date} ends = "{ends}" {told}'
        found.append(Point(name, partial(live, change, ends, jump, having)))
    return found


def live(change: Change, ends: str, jump: float | None, having: Having, folder: Path) -> list[str]:
    """Three days around the change."""
    own = folder / f"clock-{abs(hash((change, ends, jump)))}"
    days = _Days(own, change, ends, having)
    try:
        for hour in range(72):
            if faults := days.hour(hour, jump):
                return [f"{days.told()}: {fault}" for fault in faults]
        return days.ended(jump)
    finally:
        shutil.rmtree(own)


class _Days:
    """One host, its storage, and its clock. There is always more to let out than the limit allows."""

    def __init__(self, folder: Path, change: Change, ends: str, having: Having) -> None:
        self._having = having
        self._zone = ZoneInfo(change.zone)
        noon = datetime.datetime.fromisoformat(f"{change.date}T12:00").replace(tzinfo=self._zone)
        self._start = noon.timestamp() - 36 * HOUR - 1  # each hour falls just before the full one
        self._clock = GivenClock(self._start)
        day = {"ends": ends, "timezone": change.zone, **({"at": change.at} if ends == "at" else {})}
        self._host = Host(folder, daily=LIMIT, day=day, offsite={"storage": "mirror", "confirm": "report"})
        self._ends = ends
        self._truth = Truth(LIMIT)
        self._release_all: list[tuple[float, int]] = []
        self._full_days: set[int] = set()

    def hour(self, hour: int, jump: float | None) -> list[str]:
        """It passes; the change is near its 24th, where the date begins."""
        faults: list[str] = []
        if hour % 4 == 3 or 21 <= hour <= 28:
            faults += self._one_pass()
            if jump is not None:
                self._clock.jump_wall(jump)
                faults += self._one_pass()
                self._clock.jump_wall(-jump)
            self._clock.advance(2)
            faults += self._one_pass()
            self._clock.advance(-2)
        if hour % 12 == 3 and not faults:
            faults += self._sync()
        self._clock.advance(HOUR)
        return faults

    def ended(self, jump: float | None) -> list[str]:
        """By a right clock three days have brought three limits: none is lost to a change of local time."""
        if jump is None and len(self._full_days) < 3:
            return [f"in three days only {len(self._full_days)} let out a whole limit"]
        return []

    def told(self) -> str:
        now = datetime.datetime.fromtimestamp(self._clock.wall, self._zone)
        return f"at {now:%Y-%m-%d %H:%M:%S%z}, {(self._now() - 1000) / HOUR:.1f} h after the start"

    def _now(self) -> float:
        return self._clock.now().uptime

    def _one_pass(self) -> Iterator[str]:
        self._dump()
        before = set(standing(self._host.folder).values())
        shown = self._run("pass", "--json")
        new = set(standing(self._host.folder).values()) - before
        self._release_all.append((self._now(), sum(self._truth.dumps[made].bytes for made in new)))
        day = json.loads(shown)["day"]
        if day["outstanding_bytes"] + day["used_bytes"] >= LIMIT:
            self._full_days.add(day["number"])
        yield from invariants.after_a_pass(self._host.folder, self._truth, day)
        if new:  # of a clock that was set back the account may hold more: then nothing is let out
            yield from invariants.within_the_account(day)
        yield from self._within_20_hours()

    def _within_20_hours(self) -> Iterator[str]:
        """A day that a sync ends is 20 hours old at least, and so two of them may meet in 20 hours; others may not."""
        recent = sum(size for at, size in self._release_all if self._now() - at < 20 * HOUR)
        if recent > (LIMIT if self._ends == "at" else 2 * LIMIT):
            yield f"{recent} bytes were let out within 20 hours"

    def _sync(self) -> Iterator[str]:
        self._run("sync-started")
        yield from invariants.at_once(self._host.folder, self._truth)
        self._truth.had |= set(standing(self._host.folder).values())
        self._clock.advance(1)
        self._run("synced")
        self._clock.advance(-1)
        yield from invariants.at_once(self._host.folder, self._truth)

    def _dump(self) -> None:
        """Three dumps wait at any time."""
        out = set(standing(self._host.folder).values())
        waiting = len(self._truth.dumps.keys() - out - self._truth.had)
        for number in range(len(self._truth.dumps), len(self._truth.dumps) + 3 - waiting):
            name = f"vm{number}.img"
            made = written(self._host.dumps / name, _DUMP, "x")
            self._truth.dumps[made] = Dump(f"vm{number}", name, _DUMP, is_finished=True)
            self._host.mark(name)

    def _run(self, *words: str) -> str:
        with mock.patch("core.clock.SystemClock", return_value=self._clock):
            ended = run(self._having(tidegate(*words)), self._host.folder)
        assert ended.code == 0, ended
        return ended.stdout
