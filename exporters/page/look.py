"""What the page shows: one look at the state for all that ask, and what single pages need besides.

Sizes are bytes, spans seconds, times seconds since the epoch. Names and paths are as they were found; whatever writes
them out escapes them.
"""

import datetime
import platform
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntFlag
from functools import cached_property
from sqlite3 import Connection
from typing import NamedTuple

from core.clock import Instant
from core.config.settings import Config
from core.enums import Freshness
from core.reasons import Reason, Severity, Verdict
from core.state import counters, decisions, history, ledger, vms
from core.state.counters import PassRow, WatchStatus
from core.state.decisions import DecisionRow
from core.state.ledger import LinkRow
from core.units import last_reached
from core.version import __version__
from exporters import health
from exporters.findings import Finding
from exporters.health import VmStatus

#: Of the grid: so many dates until today, and so many that come.
PAST_DAYS = 60
COMING_DAYS = 30
DAY = 86_400.0
#: Of what was released today so many links are named, the largest.
_NAMED = 24
#: Of passes that were killed there may be a few, one after another.
_PASSES = 20


class Mark(IntFlag):
    """What happened to a VM on one date."""

    DUMPED = 1
    RELEASED = 2
    CONFIRMED = 4
    FAILED = 8


class Look:
    """All that is shown, as it was at ``as_of``."""

    def __init__(self, connection: Connection, config: Config, now: Instant) -> None:
        self.config = config
        self.as_of = now.wall
        self.host = platform.node()
        self.version = __version__
        self.zone = config.day.timezone
        self.report = health.report(connection, config, now)
        self.day = self.report.day
        self.took, self.took_count = ([], 0) if self.day is None else _taking(connection, self.day.number)
        self.watches = _watches(connection, config)
        self.last_pass = _last_pass(connection)
        self.fetched = vms.last_fetched(connection)
        self._forecast = decisions.forecast(connection)

    @property
    def next_pass(self) -> float | None:
        """None: others run it."""
        at = self.config.daily_pass.at
        return None if at is None else last_reached(at, self.zone, self.as_of + DAY)

    @cached_property
    def by_name(self) -> Mapping[str, VmStatus]:
        """The VMs by their names."""
        return {one.name: one for one in self.report.vms}

    def findings(self, *severities: Severity) -> Sequence[Finding]:
        """Those that are so bad."""
        return [one for one in self.report.findings if one.severity in severities]

    def count(self, freshness: Freshness) -> int:
        """VMs whose copies are so."""
        return self.report.count(freshness)

    @cached_property
    def backup_sets(self) -> Sequence[str]:
        """Of the VMs."""
        return sorted({one.row.backup_set for one in self.report.vms if one.row.backup_set})

    @cached_property
    def queue(self) -> Sequence[DecisionRow]:
        """Dumps that wait or are blocked. What needs nothing, or was released, is not in it."""
        shown = (Verdict.WAITING, Verdict.BLOCKED)
        return [one for one in self.report.decisions if one.verdict in shown and one.reason is not Reason.OUTSTANDING]

    def coming(self, vm: str) -> Sequence[int]:
        """The days from today on which it is expected to leave, as the last pass expected it."""
        if self._forecast is None:
            return ()
        since = (self.as_of - self._forecast.decided_at) // DAY
        days = [int(one.day - since) for one in self._forecast.releases.get(vm, ())]
        return [day for day in days if 0 <= day < COMING_DAYS]

    def leaves(self, one: DecisionRow) -> float | None:
        """When this dump is expected to leave; None where nobody can say, or a person must act before."""
        if one.vm is None or one.verdict is not Verdict.WAITING or one.reason.unfinished:
            return None
        coming = self.coming(one.vm)
        return self.as_of + coming[0] * DAY if coming else None


def _taking(connection: Connection, day: int) -> tuple[Sequence[LinkRow], int]:
    """The largest links that take of the open day, and how many there are."""
    return ledger.largest_of_day(connection, day, _NAMED), ledger.count_of_day(connection, day)


def _watches(connection: Connection, config: Config) -> Sequence[tuple[str, WatchStatus | None]]:
    statuses = counters.watch_statuses(connection)
    return [(one.name, statuses.get(one.name)) for one in config.watches]


def _last_pass(connection: Connection) -> PassRow | None:
    """The last that came to its end."""
    return next((one for one in counters.last_passes(connection, _PASSES) if one.finished_at is not None), None)


# --- the grid of VMs and dates


def midnights(now: float, zone: datetime.tzinfo) -> list[float]:
    """When each of the last PAST_DAYS dates began in this zone; the last of them is that of ``now``."""
    today = datetime.datetime.fromtimestamp(now, zone).date()
    dates = (today - datetime.timedelta(days=days) for days in range(PAST_DAYS - 1, -1, -1))
    return [datetime.datetime.combine(date, datetime.time(), zone).timestamp() for date in dates]


def marks(connection: Connection, names: Collection[str], begins: Sequence[float]) -> Mapping[str, bytes]:
    """VM -> a ``Mark`` for each of the dates that begin so."""
    found = {name: bytearray(len(begins)) for name in names}
    since = begins[0]
    _mark(found, begins, Mark.DUMPED, history.dumped(connection, names, since))
    _mark(found, begins, Mark.FAILED, history.failed(connection, names, since))
    _mark(found, begins, Mark.RELEASED, history.released(connection, names, since))
    _mark(found, begins, Mark.CONFIRMED, history.confirmed(connection, names, since))
    return {vm: bytes(days) for vm, days in found.items()}


def _mark(
    found: Mapping[str, bytearray], begins: Sequence[float], mark: Mark, events: Iterable[tuple[str, float]]
) -> None:
    bit = int(mark)
    for vm, when in events:
        found[vm][bisect_right(begins, when) - 1] |= bit


# --- the past of one VM


class PastDump(NamedTuple):
    """One time that a dump of a VM was released; ``link`` None: it never was. ``transferred`` None: no log has it."""

    path: str
    dump_time: float
    bytes: int
    state: str
    link: LinkRow | None
    transferred: int | None


def past_dumps(connection: Connection, vm: str) -> Sequence[PastDump]:
    """What became of its dumps, newest first."""
    found: list[PastDump] = []
    for one in history.of_vm(connection, vm, 0.0):
        row = one.dump
        if not one.released:
            found.append(PastDump(row.path, row.dump_time, row.bytes, row.state, None, None))
        found += (
            PastDump(row.path, row.dump_time, each.link.bytes, each.link.state, each.link, each.crossed)
            for each in reversed(one.released)
        )
    return found
