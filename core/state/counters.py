"""Counters, watch folders' condition, and passes: what the metrics and the history show."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from sqlite3 import Connection
from typing import Any, NamedTuple

from core.state.statements import insert, update

_COUNT = (
    "INSERT INTO counter (name, label, value) VALUES (?, ?, ?) "
    "ON CONFLICT (name, label) DO UPDATE SET value = value + excluded.value"
)


def count(connection: Connection, name: str, amount: int = 1, label: str = "") -> None:
    """Adds to a counter."""
    count_many(connection, name, {label: amount})


def count_many(connection: Connection, name: str, amounts: Mapping[str, int]) -> None:
    """Adds to the counters of one name: label -> amount."""
    connection.executemany(_COUNT, [(name, label, amount) for label, amount in amounts.items() if amount])


def counters(connection: Connection) -> Mapping[str, Mapping[str, int]]:
    """Name -> label -> value."""
    found: dict[str, dict[str, int]] = {}
    for name, label, value in connection.execute("SELECT name, label, value FROM counter"):
        found.setdefault(name, {})[label] = value
    return found


# --- how long it took from markers to their records: a histogram that outlives restarts

#: Upper bounds in seconds.
DELAY_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 900.0, 3600.0)
_DELAY_LABELS = (*(f"{bound:g}" for bound in DELAY_BOUNDS), "+Inf")
#: Counters: how many took at most so long and longer than the bound before, and the sum in microseconds.
_DELAY_COUNTS = "marker_record_seconds"
_DELAY_SUM = "marker_record_microseconds"


class Histogram(NamedTuple):
    """``buckets``: (upper bound as text, how many took at most so long), ascending. ``sum`` is in seconds."""

    buckets: tuple[tuple[str, int], ...]
    sum: float


def count_delays(connection: Connection, seconds: Sequence[float]) -> None:
    """Adds the times from markers to their records. A clock that was set back makes none negative."""
    if not seconds:
        return
    taken = [max(0.0, one) for one in seconds]
    labels = Counter(_DELAY_LABELS[bisect_left(DELAY_BOUNDS, one)] for one in taken)
    count_many(connection, _DELAY_COUNTS, labels)
    count(connection, _DELAY_SUM, round(sum(taken) * 1e6))


def delays(counted: Mapping[str, Mapping[str, int]]) -> Histogram:
    """Of all times from markers to their records; ``counted``: what ``counters`` returns."""
    by_label = counted.get(_DELAY_COUNTS, {})
    totals = accumulate(by_label.get(label, 0) for label in _DELAY_LABELS)
    return Histogram(tuple(zip(_DELAY_LABELS, totals, strict=True)), counted.get(_DELAY_SUM, {}).get("", 0) / 1e6)


# --- watch folders


class WatchStatus(NamedTuple):
    """How a watch folder was when it was last looked at."""

    watch: str
    up: bool
    detail: str
    last_scan_at: float | None
    last_scan_seconds: float | None
    filesystem_id: str | None = None
    unmounted_since: float | None = None
    listening: bool | None = None
    free_bytes: int | None = None
    pinned_bytes: int | None = None


_WATCH_FIELDS = WatchStatus._fields
_WATCHES = f"SELECT {', '.join(_WATCH_FIELDS)} FROM watch_status"


def watch_statuses(connection: Connection) -> dict[str, WatchStatus]:
    """Condition of every watch folder ever looked at, by name."""
    rows = (dict(zip(_WATCH_FIELDS, row, strict=True)) for row in connection.execute(_WATCHES))
    return {row["watch"]: _watch_status(**row) for row in rows}


def _watch_status(*, up: int, listening: int | None, **others: Any) -> WatchStatus:
    return WatchStatus(up=up == 1, listening=None if listening is None else listening == 1, **others)


def set_watch_status(connection: Connection, watch: str, **values: Any) -> None:
    """Updates the condition of one watch folder: fields of WatchStatus. One that is new is down unless they say up."""
    connection.execute("INSERT OR IGNORE INTO watch_status (watch, up) VALUES (?, 0)", (watch,))
    update(connection, "watch_status", values, "watch = ?", watch)


# --- passes


class PassRow(NamedTuple):
    """One run of the policy. ``finished_at`` None: it runs, or was killed."""

    id: int
    started_at: float
    finished_at: float | None
    day: int | None
    released: int
    released_bytes: int
    held: int
    failures: int


_PASSES = f"SELECT {', '.join(PassRow._fields)} FROM pass ORDER BY id DESC LIMIT ?"


def start_pass(connection: Connection, now: float) -> int:
    """Records that a pass begins and returns its id."""
    return insert(connection, "pass", {"started_at": now})


def finish_pass(connection: Connection, pass_id: int, **values: Any) -> None:
    """Records what a pass did."""
    update(connection, "pass", values, "id = ?", pass_id)


def last_passes(connection: Connection, limit: int) -> list[PassRow]:
    """The newest passes, newest first."""
    return [PassRow(*row) for row in connection.execute(_PASSES, (limit,))]


def pass_times(connection: Connection) -> tuple[float | None, float | None]:
    """When the newest pass started and when one last ran to its end; None each before the first."""
    started, finished = connection.execute("SELECT max(started_at), max(finished_at) FROM pass").fetchone()
    return started, finished


_DAY = 86_400.0
#: More than two weeks of a pass each workday, so that two weekends are among them.
_PASSES_LOOKED_AT = 16


def pass_interval(connection: Connection, *, is_daily: bool) -> float:
    """Seconds in which a pass is meant to come: a day where the service runs it (``is_daily``), else as others run it.

    A day at least. Where passes stop at weekends, or come with a weekly dump, it is the longest gap that has come
    twice: one that has come once is a host that was down.
    """
    if is_daily:
        return _DAY
    starts = [one.started_at for one in last_passes(connection, _PASSES_LOOKED_AT)]
    gaps = sorted(later - earlier for later, earlier in pairwise(starts))
    return max(_DAY, gaps[-2]) if len(gaps) > 1 else _DAY
