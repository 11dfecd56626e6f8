"""A state to be shown, made up: so many VMs of every kind. What is looked at in a browser needs no dumps behind it."""

import os
import random
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from core.clock import Instant
from core.config.settings import Config
from core.enums import DumpState, Evidence, Force, LinkState
from core.reasons import Reason
from core.state import counters, decisions, ledger, vms
from core.state.database import State
from core.state.decisions import Decided, ForecastRow, Load
from tests.clock import GivenClock
from tests.host import Host

NOW = 1_795_430_000.0
HOUR, DAY = 3600.0, 86_400.0
GB = 10**9
LIMIT = 90 * GB

#: Each is the name of a VM: what means something to a browser, what turns or hides text, what is too long.
HOSTILE = (
    "<script>hacked=1</script>",
    '"><img src=x onerror=hacked=1>',
    "' onmouseover='hacked=1",
    "{{ 7 * 7 }}<!--notice-->",
    "right\N{RIGHT-TO-LEFT OVERRIDE}to left",
    "zero\N{ZERO WIDTH SPACE}width",
    "עברית",
    "two\nlines",
    "a/b?c=d&e#f%20g",
    "x" * 255,
)
_WAITING = [one for one in Reason if one.verdict in ("waiting", "blocked") and not one.recorded]
_PAST = 12


class Made:
    """``count`` VMs at NOW; from 100 on the hostile ones are among them. ``bad`` False: nothing is wrong with any."""

    def __init__(self, folder: Path, count: int, *, bad: bool = True) -> None:
        self.host = Host(folder, daily=LIMIT, **{"pass": {"at": "03:00"}})
        self.config: Config = self.host.config()
        self.clock = GivenClock(NOW)
        self.names = [f"vm{number:04}" for number in range(count)]
        if count >= 100:
            self.names[: len(HOSTILE)] = HOSTILE
        self._dice = random.Random(count)
        self.state = State(self.config.state.path)
        with self.state.write() as connection:
            self._fill(connection, bad=bad)

    def heal(self) -> None:
        """From now on nothing is wrong."""
        with self.state.write() as connection:
            connection.execute(
                "UPDATE vm SET offsite_time = ?, offsite_at = ?, last_dump_failed = 0, on_hold = 0", (NOW - HOUR, NOW)
            )
            connection.execute("DELETE FROM decision")
            connection.execute("UPDATE watch_status SET up = 1")
            connection.execute("UPDATE dump SET state = 'confirmed', ended_at = ? WHERE ended_at IS NULL", (NOW,))

    def _fill(self, connection: Connection, *, bad: bool) -> None:
        ledger.add_day(connection, 70, _at(NOW - 9 * HOUR), LIMIT, GB)
        counters.set_watch_status(
            connection, "dumps", up=True, last_scan_at=NOW - 60, last_scan_seconds=0.2, listening=False,
            free_bytes=9 * GB, pinned_bytes=GB,
        )  # fmt: skip
        vms.save(connection, [self._vm(name, bad=bad) for name in self.names])
        pass_id = counters.start_pass(connection, NOW - 3 * HOUR)
        counters.finish_pass(connection, pass_id, finished_at=NOW - 3 * HOUR + 4, day=70, released=12)
        decisions.set_load(connection, pass_id, Load(0.8, 80 * GB, LIMIT))
        decided: list[Decided] = []
        forecast: list[ForecastRow] = []
        for number, name in enumerate(self.names):
            self._remember(connection, number, name)
            decided += self._newest(connection, number, name, bad=bad)
            forecast += (ForecastRow(name, day, GB) for day in range(self._dice.randrange(1, 7), 30, 7))
        decisions.replace(connection, decided)
        decisions.replace_forecast(connection, pass_id, 30, forecast)
        if bad and len(self.names) > 10:
            connection.execute(
                "INSERT INTO dump (watch, path, fingerprint, state, reason, detail, dump_time, recorded_at, signature) "
                "VALUES ('dumps', ?, '', 'bad', 'bad_marker', 'it is <b>no</b> JSON', ?, ?, '')",
                (b"not utf-8 \xff", NOW, NOW),
            )

    def _vm(self, name: str, *, bad: bool) -> vms.VmRow:
        dice = self._dice
        target = dice.choice((3, 8, 15)) * DAY
        lateness = dice.choice((0.1, 0.3, 0.7, 0.9, 1.3, 3.0) if bad else (0.1, 0.3, 0.7))
        has_copy = not bad or dice.random() > 0.1
        row = vms.new(name, dice.choice((None, "daily", "weekly", "<b>")), NOW - dice.choice((1, 400)) * DAY)
        values: dict[str, Any] = {
            "target": target,
            "period": DAY,
            "last_dump_time": NOW - HOUR,
            "last_dump_bytes": GB,
            "last_dump_failed": bad and dice.random() < 0.1,
            "on_hold": bad and dice.random() < 0.05,
            "forced": Force.WITHIN_LIMIT if dice.random() < 0.05 else None,
        }
        copy: dict[str, Any] = {
            "offsite_time": NOW - lateness * target,
            "offsite_by": Evidence.READ,
            "offsite_at": NOW - HOUR,
        }
        return row._replace(**values | (copy if has_copy else {}))

    def _remember(self, connection: Connection, number: int, name: str) -> None:
        """Dumps of the last weeks, each on another way."""
        for past in range(1, _PAST):
            dump_id, at = 1_000_000 + number * 100 + past, NOW - past * 4 * DAY
            failed = self._dice.random() < 0.1
            _dump(connection, dump_id, name, at, DumpState.SUPERSEDED if failed else DumpState.CONFIRMED, failed=failed)
            if not failed and self._dice.random() < 0.8:
                confirmed = at + 2 * HOUR if self._dice.random() < 0.9 else None
                state = LinkState.CONFIRMED if confirmed else LinkState.REVOKED
                _link(connection, 70 - past, dump_id, name, at + HOUR, state, confirmed)

    def _newest(self, connection: Connection, number: int, name: str, *, bad: bool) -> list[Decided]:
        dump_id = number + 1
        if self._dice.random() < 0.05:
            return []
        if number % 10 == 0 or not bad:
            _dump(connection, dump_id, name, NOW - HOUR, DumpState.LINKED)
            _link(connection, 70, dump_id, name, NOW - HOUR, LinkState.LINKED, None)
            return [Decided(dump_id, Reason.RELEASED, "released on day 70, not confirmed yet")]
        _dump(connection, dump_id, name, NOW - HOUR, DumpState.PENDING)
        reason = Reason.LIMIT_REACHED if number % 2 else self._dice.choice(_WAITING)
        detail = f"6.1 GB do not fit into the 1.93 GB that are left for {name}"
        return [Decided(dump_id, reason, detail, reason is Reason.LIMIT_REACHED, 70 + number % 9)]


def _at(wall: float) -> Instant:
    return Instant(wall, "boot-1", wall - NOW + 1000.0)


def _dump(connection: Connection, dump_id: int, vm: str, at: float, state: DumpState, *, failed: bool = False) -> None:
    ended = None if state in (DumpState.PENDING, DumpState.LINKED) else at + 3 * HOUR
    signature, fingerprint = ("failed:1:1", "") if failed else ("done:1:1", f"{dump_id}:1:1")
    connection.execute(
        "INSERT INTO dump (id, watch, path, fingerprint, bytes, vm, state, dump_time, recorded_at, ended_at, signature,"
        " has_marker) VALUES (?, 'dumps', ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (dump_id, os.fsencode(f"{vm}-{dump_id}.img"), fingerprint, GB, vm, state, at, at, ended, signature),
    )


def _link(
    connection: Connection, day: int, dump_id: int, vm: str, at: float, state: LinkState, confirmed: float | None
) -> None:  # fmt: skip
    if day < 70:
        connection.execute(
            "INSERT OR IGNORE INTO day (number, opened_at, opened_boot, opened_uptime, closed_at, limit_bytes,"
            " reserve_bytes) VALUES (?, ?, '', 0, ?, ?, 0)",
            (day, at, at + DAY, LIMIT),
        )
    ended = None if state is LinkState.LINKED else at + DAY
    evidence = None if confirmed is None else Evidence.READ
    connection.execute(
        "INSERT INTO link (day, watch, dump_id, vm, export_name, fingerprint, bytes, state, released_at, released_boot,"
        " released_uptime, linked_at, confirmed_at, confirmed_by, ended_at, in_tree)"
        " VALUES (?, 'dumps', ?, ?, ?, '', ?, ?, ?, '', 0, ?, ?, ?, ?, 0)",
        (
            day,
            dump_id,
            vm,
            os.fsencode(f"{vm}-{dump_id}.img"),
            GB,
            state,
            at,
            at,
            confirmed,
            evidence,
            ended,
        ),
    )
