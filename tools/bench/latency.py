"""From a marker to its record at 100 a second: alone, and while a pass releases 100,000 dumps."""

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tools.bench.bench_host import BenchHost
from tools.bench.paired import ROOT, median, rounds
from tools.bench.results_page import Aim, Line, Section, milliseconds, seconds

ROUNDS = 5
RATE = 100
PACED = 500
ALONE = 300
RELEASED = 100_000
#: Enough for two minutes of a pass.
MEANWHILE = 12_500
#: Seconds for p50 and p99.
AIMS = {50: 0.010, 99: 0.050}
_WAIT_SECONDS = 300.0
_COLUMNS = "watch text, path blob, fingerprint text, bytes integer, vm text, state text, dump_time real, signature text"
_ROW = ("dumps", b"vm000000", "1234567:2048:1790000000000000000", 2048, "vm000000", "pending", 1.79e9, "done:1:2")


def measure(scratch: Path) -> Section:
    """Each round has a watcher of its own."""
    figures = rounds(
        ROUNDS,
        {
            "paced": lambda number: _paced(scratch / f"paced-{number}"),
            "plain": lambda number: _plain(scratch / f"plain-{number}.db"),
        },
    )
    plain = [percentile(one, 50) for one in figures["plain"]]
    found = {which: [percentile(one, which) for one in figures["paced"]] for which in AIMS}
    beside, whole = _beside_a_pass(scratch / "pass")
    return Section(
        f"From a marker to its record at {RATE} a second",
        f"`tidegate watch` runs, and {PACED} markers come by `touch`, {ROUNDS} rounds, each timed until its row can be "
        "read, which is after the fsync. Beside it plain SQLite with the same settings (WAL, synchronous = FULL): one "
        f"row, one commit. Then the same while one `tidegate pass` releases {RELEASED:,} dumps beside it.",
        "plain SQLite",
        (
            *(Line(f"p{which}", found[which], milliseconds, plain) for which in AIMS),
            Line("the slowest", [max(one) for one in figures["paced"]], milliseconds, plain),
            Line("plain SQLite: one row, one commit", plain, milliseconds),
            *(Line(f"beside the pass: p{which}", [percentile(beside, which)], milliseconds) for which in AIMS),
            Line("beside the pass: the slowest", [max(beside)], milliseconds),
            Line("that pass", [whole], seconds),
        ),
        tuple(
            Aim(
                f"p{which} within {milliseconds(most)}",
                milliseconds(median(found[which])),
                median(found[which]) <= most,
            )
            for which, most in AIMS.items()
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


def _await(is_so: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + _WAIT_SECONDS
    while not is_so():
        if time.perf_counter() > deadline:
            sys.exit("bench: the watcher does not get done")
        time.sleep(0.002)


def _paced(folder: Path) -> list[float]:
    host = BenchHost(folder)
    names = host.dump(PACED)
    with watched(host) as (state, _, _):
        took = touched(host, state, names)
    host.remove()
    return took


def touched(
    host: BenchHost, state: sqlite3.Connection, names: Sequence[str], goes_on: Callable[[], bool] = lambda: True
) -> list[float]:
    """Marks these dumps, RATE a second, as long as it goes on. Seconds from each touch to its row."""
    begun = time.perf_counter()
    (newest,) = state.execute("SELECT ifnull(max(id), 0) FROM dump").fetchone()
    at: dict[bytes, float] = {}
    took: list[float] = []
    while (is_on := len(at) < len(names) and goes_on()) or len(took) < len(at):
        now = time.perf_counter()
        if now - begun > _WAIT_SECONDS:
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


def _beside_a_pass(folder: Path) -> tuple[list[float], float]:
    """Seconds of each marker meanwhile, and of the pass, which is a process beside the service as its own would be."""
    host = BenchHost(folder)
    names = host.dump(RELEASED + MEANWHILE)
    host.mark(names[:RELEASED])
    with watched(host) as (state, _, _):
        begun = time.perf_counter()
        with subprocess.Popen(host.command("pass"), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            took = touched(host, state, names[RELEASED:], lambda: process.poll() is None)
        whole = time.perf_counter() - begun
    host.remove()
    return took, whole


def _plain(file: Path) -> list[float]:
    """Seconds of each row."""
    took = []
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", f"CREATE TABLE dump ({_COLUMNS})"):
            connection.execute(statement)
        for _ in range(ALONE):
            begun = time.perf_counter()
            connection.execute("INSERT INTO dump VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _ROW)
            took.append(time.perf_counter() - begun)
    return took
