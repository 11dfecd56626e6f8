"""Some weeks of a host's life, hour by hour, by a given clock and through the real commands."""

import datetime
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.state import counters
from core.state.database import State
from exporters.exposition import Exposition
from exporters.host_metrics import Loading
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, HOUR, GivenClock
from tests.host import Host
from tools.life import fleet
from tools.life.dump_jobs import DumpJobs
from tools.life.puller import Puller
from tools.life.scrapes import Scrapes
from watcher.scanner import scan_and_record

PASS_HOUR, CHANGE_HOUR, PULL_HOUR, PULLED_HOUR = 12, 15, 20, 23
_LISTEN = "127.0.0.1:9877"
_TARGETS = {"nightly": "4d", "weekly": "12d", "monthly": "45d"}


@dataclass
class Event:
    """What happens once, in the first hour ``hour`` of the day after the part ``after`` of the life in which it can."""

    after: float
    hour: int
    act: Callable[[], bool]
    has_happened: bool = False


class Life:
    """``folder`` is made: config.toml, state.db, dumps/. It ends at ``end``, ``days`` before which it begins."""

    def __init__(self, folder: Path, *, count: int, days: int, end: float, listen: str = _LISTEN) -> None:
        dice = random.Random(200)
        self.vms = fleet.fleet(count, dice)
        self.limit = fleet.limit_of(count)
        self.host = Host(folder)
        self.told = folder / "told.jsonl"
        self._hypervisor = folder / "hypervisor.txt"
        self._hypervisor.write_text("".join(f"{vm}\n" for vm in [*(vm.name for vm in self.vms), fleet.UNLISTED]))
        self._configure(listen)
        self._config = self.host.config()
        self.state = State(self._config.state.path)
        self._end, self._days = end // HOUR * HOUR, days
        self.clock = GivenClock(self._end - days * DAY)
        self._exposition = Exposition(self.state, self.clock)
        self.admin = AtGivenTime(self.host, self.clock)
        self.jobs = DumpJobs(self.host, self.vms, dice)
        self.puller = Puller(self.admin, folder / "rsync.log", dice)
        self.scrapes = Scrapes()
        #: Bytes that the passes have let out, and those of them above the limit, which the admin has forced.
        self.released = self.beyond = 0
        self.events = list(self._events())

    def _configure(self, listen: str) -> None:
        sets = {
            name: {"target": target, "vms": [vm.name for vm in self.vms if vm.backup_set == name]}
            for name, target in _TARGETS.items()
        }
        passes: dict[str, Any] = {"pass": {"at": f"{PASS_HOUR}:00"}}  # a word of Python's
        self.host.configure(
            watch={"min_free": "1 GB"},
            limit={"daily": f"{self.limit // fleet.GB} GB"},
            offsite={"confirm": "report"},
            backup_sets=sets,
            notify={"command": ["sh", "-c", f"cat >> {self.told}; echo >> {self.told}"]},
            hypervisor={"list": ["cat", str(self._hypervisor)]},
            exporters={"http": {"listen": listen}},
            **passes,
        )

    def live(self, *, every: int = 1) -> None:
        """All of it. What /metrics would have answered is kept each ``every`` hours."""
        for hour in range(self._days * 24 + 1):
            self._hour(self._now())
            if hour % every == 0:
                self.scrapes.keep(self._metrics(), self.clock.wall)
            if self.clock.wall < self._end:
                self.clock.advance(HOUR)

    def close(self) -> None:
        """Nothing is done there any more."""
        self._exposition.close()
        self.state.close()

    @property
    def part(self) -> float:
        """0 at its beginning, 1 at its end."""
        return 1 - (self._end - self.clock.wall) / (self._days * DAY)

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.clock.wall, self._config.day.timezone)

    def _hour(self, now: datetime.datetime) -> None:
        if now.hour == 0:
            left = datetime.datetime.fromtimestamp(self._end, self._config.day.timezone).date() - now.date()
            self.jobs.begin_day(now, left.days)
        self.jobs.go_on(self.clock.wall)
        scan_and_record(self._config, self.state, self.clock)
        if now.hour == PASS_HOUR:
            self.run_pass()
        for event in self.events:
            if not event.has_happened and now.hour == event.hour and self.part >= event.after:
                event.has_happened = event.act()
        if now.hour == PULL_HOUR:
            self.puller.begin()
        if now.hour == PULLED_HOUR:
            self.puller.end()

    def run_pass(self) -> list[str]:
        """A pass; returns the VMs that wait for nothing but room, in the order of their turns."""
        shape = self.admin.json("pass")
        released = [one["bytes"] for one in shape["decisions"] if one["verdict"] == "released"]
        self.released += sum(released)
        return [one["vm"] for one in shape["decisions"] if one["reason"] == "limit_reached"]

    def _metrics(self) -> str:
        loading = Loading(successful=True, at=self._end - self._days * DAY)
        return self._exposition.text(self._config, loading).decode()

    # --- what happens once

    def _events(self) -> Iterator[Event]:
        yield Event(0.25, 18, self._puller_goes)
        yield Event(0.35, 18, self._puller_comes_back)
        yield Event(0.4, CHANGE_HOUR, self._a_linked_dump_is_rewritten)
        yield Event(0.5, 18, lambda: self._add(self.jobs.ended, fleet.LEGACY))
        yield Event(0.55, 18, lambda: self._admin("hold", self._first("web").name))
        yield Event(0.6, PASS_HOUR + 1, self._force_above_the_limit)
        yield Event(0.7, 18, self._puller_pulls_twice)
        yield Event(0.75, 18, lambda: self._add(self.jobs.shrinking, self._first("mail").name))
        yield Event(0.78, 18, lambda: self._add(self.jobs.broken, self._first("db").name))
        # So late that no newer dump of it has come when the life ends.
        yield Event(1 - 2.9 / self._days, PASS_HOUR - 1, self._a_waiting_dump_is_rewritten)

    def _first(self, kind: str) -> fleet.Vm:
        return next(vm for vm in self.vms if vm.name.startswith(kind))

    def _add(self, names: set[str], name: str) -> bool:
        names.add(name)
        return True

    def _admin(self, *words: str) -> bool:
        self.admin.run(*words)
        return True

    def _puller_goes(self) -> bool:
        self.puller.is_down = True
        return True

    def _puller_comes_back(self) -> bool:
        self.puller.is_down = False
        return True

    def _puller_pulls_twice(self) -> bool:
        self.puller.pulls_twice = True
        return True

    def _a_linked_dump_is_rewritten(self) -> bool:
        return self._rewrite("linked", "nightly")

    def _a_waiting_dump_is_rewritten(self) -> bool:
        return self._rewrite("pending", "weekly")

    def _rewrite(self, state: str, backup_set: str) -> bool:
        for vm in sorted(self.admin.json("status")["vms"], key=lambda one: one["vm"]):
            newest = vm["newest_dump"]
            if newest is not None and newest["state"] == state and vm["backup_set"] == backup_set:
                self.jobs.write_over(newest["path"])
                return True
        return False

    def _force_above_the_limit(self) -> bool:
        """The last in line leaves today all the same. On a day on which nothing waits there is nothing to force."""
        waiting = self.run_pass()
        if not waiting:
            return False
        self.admin.run("force", waiting[-1], "--over-limit")
        self.run_pass()
        self.beyond = self.counter("limit_exceeded_bytes")
        return True

    def counter(self, name: str) -> int:
        """One that lives in the state."""
        with self.state.read() as connection:
            return counters.counters(connection).get(name, {}).get("", 0)
