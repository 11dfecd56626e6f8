"""From a marker to its record: one now and then, a steady stream, and a burst, by the service that really runs."""

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tools.bench.host import BenchHost
from tools.bench.paired import ROOT, rounds
from tools.bench.report import Line, Section, each_second, milliseconds

ROUNDS = 5
RATE = 100
PACED = 500
BURST = 10_000
ONE_BY_ONE = 300
_PATIENCE = 300.0
_COLUMNS = "watch text, path blob, fingerprint text, bytes integer, vm text, state text, dump_time real, signature text"
_ROW = ("dumps", b"vm000000", "1234567:2048:1790000000000000000", 2048, "vm000000", "pending", 1.79e9, "done:1:2")


def measure(dry_run: Path) -> Section:
    """Each round has a watcher of its own."""
    latencies = rounds(ROUNDS, {"paced": lambda number: _paced(dry_run / f"paced-{number}")})["paced"]
    figures = rounds(
        ROUNDS,
        {
            "burst": lambda number: _burst(dry_run / f"burst-{number}"),
            "batches": lambda number: plain(dry_run / f"batches-{number}.db", BURST, 1000),
            "singles": lambda number: plain(dry_run / f"singles-{number}.db", ONE_BY_ONE, 1),
        },
    )
    singles = [1 / rate for rate in figures["singles"]]
    return Section(
        "From a marker to its record",
        f"`tidegate watch` runs; markers come by `touch`. {ROUNDS} rounds: {PACED} markers at {RATE} a second, each "
        f"timed until its row can be read, which is after the fsync; and {BURST:,} markers as fast as they can be "
        "touched, from the first touch to the last row. Beside it plain SQLite with the same settings (WAL, "
        "synchronous = FULL), which looks at no file and knows no VM.",
        "plain SQLite",
        (
            Line(f"{RATE} a second: p50", [percentile(one, 50) for one in latencies], milliseconds, singles),
            Line(f"{RATE} a second: p99", [percentile(one, 99) for one in latencies], milliseconds, singles),
            Line(f"{RATE} a second: the slowest", [max(one) for one in latencies], milliseconds, singles),
            Line("plain SQLite: one row, one commit", singles, milliseconds),
            Line(f"a burst of {BURST:,}", figures["burst"], each_second, figures["batches"]),
            Line("plain SQLite: 1,000 rows a commit", figures["batches"], each_second),
            Line("plain SQLite: one row a commit", figures["singles"], each_second, figures["batches"]),
        ),
    )


def percentile(figures: Sequence[float], which: int) -> float:
    """The one that so many percent stay under."""
    return statistics.quantiles(figures, n=100)[which - 1]


class Watched(NamedTuple):
    """A watcher that listens and has scanned, so many seconds after its start; and a reader of its state."""

    state: sqlite3.Connection
    pid: int
    seconds: float


@contextmanager
def watched(host: BenchHost) -> Iterator[Watched]:
    """As long as the block runs."""
    log = (host.folder / "watch.log").open("wb")
    with log, closing(_reader(host)) as state:
        begun = time.perf_counter()
        watcher = subprocess.Popen(host.command("watch"), cwd=ROOT, stdout=log, stderr=log)
        try:
            _await(lambda: state.execute("SELECT count(*) FROM watch_status WHERE last_scan_at > 0").fetchone() == (1,))
            yield Watched(state, watcher.pid, time.perf_counter() - begun)
        finally:
            watcher.terminate()
            watcher.wait()


def _reader(host: BenchHost) -> sqlite3.Connection:
    host.record()  # makes the state
    connection = sqlite3.connect(host.folder / "state.db", isolation_level=None)
    connection.execute("UPDATE watch_status SET last_scan_at = 0")
    return connection


def _paced(folder: Path) -> list[float]:
    """Seconds from each touch to its row."""
    host = BenchHost(folder)
    names = host.dump(PACED)
    with watched(host) as (state, _, _):
        took = touched(host, state, names)
    host.remove()
    return took


def touched(
    host: BenchHost, state: sqlite3.Connection, names: Sequence[str], goes_on: Callable[[], bool] = lambda: True
) -> list[float]:
    """Marks these dumps by RATE a second, as long as it goes on. Seconds from each touch to its row."""
    begun = time.perf_counter()
    (newest,) = state.execute("SELECT ifnull(max(id), 0) FROM dump").fetchone()
    at: dict[bytes, float] = {}
    took: list[float] = []
    while (is_on := len(at) < len(names) and goes_on()) or len(took) < len(at):
        now = time.perf_counter()
        if now - begun > _PATIENCE:
            raise RuntimeError(f"{len(at) - len(took)} of {len(at)} markers were not recorded")
        if is_on and now - begun >= len(at) / RATE:
            name = names[len(at)]
            at[name.encode()] = time.perf_counter()
            host.mark([name])
        for row_id, path in state.execute("SELECT id, path FROM dump WHERE id > ? ORDER BY id", (newest,)):
            took.append(time.perf_counter() - at[path])
            newest = row_id
        time.sleep(0.001)
    return took


def _burst(folder: Path) -> float:
    """Markers recorded a second."""
    host = BenchHost(folder)
    names = host.dump(BURST)
    with watched(host) as (state, _, _):
        begun = time.perf_counter()
        host.mark(names)
        _await(lambda: state.execute("SELECT count(*) FROM dump").fetchone() == (BURST,))
        rate = BURST / (time.perf_counter() - begun)
    host.remove()
    return rate


def plain(file: Path, count: int, batch: int) -> float:
    """Rows a second."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", f"CREATE TABLE dump ({_COLUMNS})"):
            connection.execute(statement)
        begun = time.perf_counter()
        for _ in range(count // batch):
            connection.execute("BEGIN IMMEDIATE")
            for _ in range(batch):
                connection.execute("INSERT INTO dump VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _ROW)
            connection.execute("COMMIT")
        return count / (time.perf_counter() - begun)


def _await(is_so: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + _PATIENCE
    while not is_so():
        if time.perf_counter() > deadline:
            sys.exit("bench: the watcher does not get done")
        time.sleep(0.002)
