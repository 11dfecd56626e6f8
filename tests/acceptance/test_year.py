"""A year of sixty VMs through the real watcher, passes and reports, beside the planner alone, day by day."""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core import dump_history
from core.config.load import load
from core.state import ledger, vms
from core.state.vms import VmRow
from core.units import format_time
from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Dump, Rules, Vm
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, HOUR, GivenClock
from tests.waiting import WAIT_SECONDS, until
from tests.watcher.site import Site
from watcher.service import Watcher

pytestmark = pytest.mark.slow

#: `make year` takes a whole one.
DAYS = int(os.environ.get("TIDEGATE_DAYS", "40"))
LIMIT = 40_000
FAILING = 0.03


@dataclass(frozen=True)
class Job:
    """The dumps of one VM: one each ``every`` days from ``first`` on, which grow slowly."""

    vm: str
    every: int
    first: int
    size: int

    def is_due(self, day: int) -> bool:
        return day >= self.first and (day - self.first) % self.every == 0

    def size_on(self, day: int) -> int:
        return int(self.size * (1 + day / 730))


def jobs(dice: random.Random) -> list[Job]:
    """Daily, weekly and monthly ones, of sizes that differ a hundredfold; a tenth begins in the course of the year."""
    return [
        Job(
            f"vm{number:02}",
            every,
            dice.randrange(every) if dice.random() < 0.9 else dice.randrange(DAYS // 2),
            min(LIMIT // 3, int(dice.lognormvariate(8, 1))),
        )
        for number, every in enumerate([1] * 25 + [7] * 25 + [30] * 10)
    ]


@dataclass
class Alone:
    """The planner and nothing else: what it is told, and what it lets out."""

    vms: dict[str, Vm] = field(default_factory=dict)
    waiting: dict[str, Dump] = field(default_factory=dict)
    rows: dict[str, VmRow] = field(default_factory=dict)
    made: int = 0

    def failed(self, vm: str, now: float) -> None:
        """A dump has failed; the VM is known from now on."""
        self.vms.setdefault(vm, Vm(vm, None, now, 0))

    def dumped(self, vm: str, path: str, size: int, dump_time: float, now: float) -> None:
        """A dump has finished, and is known at ``now``."""
        self.made += 1
        self.waiting[vm] = Dump(self.made, vm, path, size, dump_time)
        row = self.rows.get(vm) or vms.new(vm, None, now)
        times = dump_history.remembered(row.dump_times, dump_time)
        self.rows[vm] = row._replace(dump_times=times, period=dump_history.period(times), last_dump_time=dump_time)
        known = self.vms.get(vm) or Vm(vm, None, now, 0)
        self.vms[vm] = known._replace(bytes=size, period=self.rows[vm].period)

    def live(self, number: int, now: float) -> dict[str, int]:
        """What leaves on this day, and is brought by its sync."""
        day = Day(number, now, DayAccount(LIMIT))
        released = decide(self.vms.values(), self.waiting.values(), day, Rules(LIMIT), now).released
        for one in released:
            del self.waiting[one.dump.vm]
            self.vms[one.dump.vm] = self.vms[one.dump.vm]._replace(offsite_time=one.dump.dump_time)
        return {one.dump.vm: one.dump.bytes for one in released}


class Year:
    """A host whose clock is given: the service beside it, its admin, and the planner alone."""

    def __init__(self, folder: Path) -> None:
        self.dice = random.Random(60)
        self.clock = GivenClock()
        self.site = Site(folder)
        self.site.host.configure(daily=LIMIT, day={"at_least": "0s"}, offsite={"confirm": "report"})
        self.site.config = load(self.site.host.file)
        self.admin = AtGivenTime(self.site.host, self.clock)
        self.alone = Alone()
        self.jobs = jobs(self.dice)

    def live(self, day: int) -> tuple[dict[str, int], dict[str, int]]:
        """One day of everybody: what the ledger says that left, and what the planner alone lets out."""
        marked = [self.dump(job, day) for job in self.jobs if job.is_due(day)]
        until(lambda: all(map(self.site.is_recorded, marked)), "the watcher has missed a marker")
        self.admin.run("pass")
        with self.site.state.read() as connection:
            left = {row.vm or "": row.bytes for row in ledger.of_day(connection, day + 1)}
        told = self.alone.live(day + 1, self.clock.wall)
        self.admin.run("synced", "--all")
        self.clock.advance(DAY)
        return left, told

    def dump(self, job: Job, day: int) -> str:
        """A dump or a failed one, the dumps before the last of this VM rotated away. Returns its path."""
        path, started = f"{job.vm}-{day}.img", round(self.clock.wall - self.dice.random() * 6 * HOUR)
        for old in sorted(self.site.dumps.glob(f"{job.vm}-*.img"), key=os.path.getmtime)[:-2]:
            old.unlink()
        body: dict[str, Any] = {"vm": job.vm, "started": format_time(started)}
        if self.dice.random() < FAILING:
            self.site.host.mark(path, "failed", **body)
            self.alone.failed(job.vm, self.clock.wall)
        else:
            self.site.host.dump(path, job.size_on(day), **body)
            self.alone.dumped(job.vm, path, job.size_on(day), started, self.clock.wall)
        return path

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While the service records, by the same clock."""
        ready = threading.Event()
        watcher = Watcher(self.site.config, self.site.state, self.clock, on_ready=ready.set)
        thread = threading.Thread(target=watcher.run)
        thread.start()
        try:
            assert ready.wait(WAIT_SECONDS)
            yield
        finally:
            watcher.stop()
            thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


def test_the_ledger_is_what_the_planner_says_day_by_day(tmp_path: Path) -> None:
    """Nothing between the marker and the link adds to what the planner decides, and nothing takes away."""
    year = Year(tmp_path)
    with year.watched():
        for day in range(DAYS):
            left, told = year.live(day)
            assert left == told, f"day {day + 1}"
    assert {job.vm for job in year.jobs if job.first < DAYS} == set(year.alone.vms)
