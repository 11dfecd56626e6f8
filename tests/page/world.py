"""Hosts to look at: so many VMs with two months behind them, of every kind that there is.

The dumps are real files with holes for contents, recorded by a real scan and let out by a real pass; what came before
is written into the books.
"""

import json
import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from core.clock import SystemClock
from core.state.database import State
from tests.host import Host
from watcher.scanner import scan_and_record

DAY = 86_400.0
HOUR = 3600.0
_NAMES = ("web", "db", "mail", "files", "build", "git", "wiki", "ldap", "proxy", "cache", "shop", "crm", "log", "vpn")
_SETS = ("daily", "weekly", "monthly")
_PERIODS = {"daily": 1, "weekly": 7, "monthly": 28}


class World:
    """A host of ``count`` VMs; ``days`` of them are behind it. Alike at each run, but for the time of day."""

    def __init__(self, folder: Path, count: int, days: int = 70, *, port: int | None = None) -> None:
        self.dice = random.Random(count)
        self.now = time.time()
        self.days = days
        self.sizes = {name: self._size(number) for number, name in enumerate(_names(count))}
        a_day = sum(size / _PERIODS[self.set_of(name)] for name, size in self.sizes.items())
        self.daily = max(int(a_day * 0.9), int(max(self.sizes.values()) * 1.2))
        http = {} if port is None else {"exporters.http": {"listen": f"127.0.0.1:{port}"}}
        sets = {f"backup_sets.{name}": {"target": f"{_PERIODS[name] * 2 + 1}d"} for name in _SETS}
        at = time.strftime("%H:%M", time.localtime(self.now + 5 * HOUR))
        more: dict[str, Any] = {"pass": {"at": at}, **http, **sets}
        self.host = Host(folder, daily=self.daily, limit={"reserve": f"{self.daily // 20} B"}, **more)
        self._dump()
        self._remember()

    def set_of(self, name: str) -> str:
        return _SETS[min(2, sum(map(ord, name)) % 5 // 2)]

    def _size(self, number: int) -> int:
        return int(self.dice.lognormvariate(1.6, 0.9) * 10**9)

    # --- what waits now

    def _dump(self) -> None:
        for name, size in self.sizes.items():
            age = self.dice.random() * min(_PERIODS[self.set_of(name)], 6) * DAY
            path = self.host.dumps / f"{name}-{time.strftime('%Y-%m-%d', time.gmtime(self.now - age))}"
            path.touch()
            os.truncate(path, size)
            os.utime(path, (self.now - age, self.now - age))
            body = {"vm": name, "backup_set": self.set_of(name), "started": _told(self.now - age)}
            path.with_name(f"{path.name}.done").write_text(json.dumps(body))
        config = self.host.config()
        state = State(config.state.path)
        scan_and_record(config, state, SystemClock())
        state.close()

    # --- what was

    def _remember(self) -> None:
        with closing(sqlite3.connect(self.host.state)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")
            start = self.now - self.days * DAY
            days: list[tuple[Any, ...]] = [
                (
                    number,
                    start + (number - 1) * DAY,
                    "",
                    0,
                    start + number * DAY,
                    "report",
                    self.daily,
                    self.daily // 20,
                )
                for number in range(1, self.days)
            ]
            days.append((self.days, self.now - 9 * HOUR, "", 0, None, None, self.daily, self.daily // 20))
            connection.executemany(
                "INSERT INTO day (number, opened_at, opened_boot, opened_uptime, closed_at, closed_by, limit_bytes,"
                " reserve_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                days,
            )
            for number, name in enumerate(self.sizes):
                self._remember_vm(connection, number, name, start)
            # The day that is open began this morning; what it let out so far came of a pass.
            connection.execute(
                "INSERT INTO pass (started_at, finished_at, day, released, held) VALUES (?, ?, ?, 9, 0)",
                (self.now - 7 * HOUR, self.now - 7 * HOUR + 4, self.days),
            )

    def _remember_vm(self, connection: sqlite3.Connection, number: int, name: str, start: float) -> None:
        period = _PERIODS[self.set_of(name)]
        kind = self.dice.random()
        offsite: float | None = None
        at = start + self.dice.random() * period * DAY
        # One in forty has not left for long, one in fifty never did.
        until = self.now - period * DAY * (self.dice.uniform(2.2, 5) if kind < 0.025 else self.dice.uniform(0.2, 1.3))
        if kind > 0.98:
            until = start
        dumps: list[tuple[Any, ...]] = []
        links: list[tuple[Any, ...]] = []
        while at < until:
            row_id = 1_000_000 + number * 1000 + len(dumps)
            size = int(self.sizes[name] * self.dice.uniform(0.9, 1.1))
            if self.dice.random() < 0.03:
                dumps.append((row_id, "dumps", name, "", 0, name, "superseded", at, at, at, "failed:1:1", 0))
            else:
                leaves = at + self.dice.uniform(0.1, 0.9) * min(period, 3) * DAY
                here = leaves + 0.4 * DAY
                state = "confirmed" if here < self.now else "superseded"
                dumps.append(
                    (row_id, "dumps", name, f"{row_id}:{size}:1", size, name, state, at, at, here, "done:1:1", 0)
                )
                if here < self.now:
                    day = min(self.days, int((leaves - start) / DAY) + 1)
                    became = ("confirmed", leaves, "", 0, leaves, here, "report", here, 0)
                    links.append((row_id, day, "dumps", row_id, name, name, f"{row_id}:{size}:1", size, *became))
                    offsite = at
            at += period * DAY
        connection.executemany(
            "INSERT INTO dump (id, watch, path, fingerprint, bytes, vm, state, dump_time, recorded_at, ended_at,"
            " signature, has_marker) VALUES (?, ?, cast(? as blob) || '-' || ?1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            dumps,
        )
        connection.executemany(
            "INSERT INTO link (id, day, watch, dump_id, vm, export_name, fingerprint, bytes, state, released_at,"
            " released_boot, released_uptime, linked_at, confirmed_at, confirmed_by, ended_at, in_tree)"
            " VALUES (?, ?, ?, ?, ?, cast(? as blob), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            links,
        )
        failed = kind < 0.05
        connection.execute(
            "UPDATE vm SET first_seen = ?, period = ?, offsite_time = ?, offsite_by = ?, offsite_at = ?,"
            " last_dump_failed = ?, on_hold = ?, offsite_dump_id = NULL WHERE name = ?",
            (
                start,
                period * DAY,
                offsite,
                offsite and "report",
                offsite and min(offsite + DAY, self.now - HOUR),
                failed,
                kind == 0,
                name,
            ),
        )


def _names(count: int) -> list[str]:
    return [f"{_NAMES[number % len(_NAMES)]}{number // len(_NAMES) + 1}" for number in range(count)]


def _told(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
