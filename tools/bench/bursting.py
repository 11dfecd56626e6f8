"""A burst of 100,000 markers until the last is recorded, beside a plain loop that looks at each and inserts a row."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tools.bench.contestants import Tidegate, listening, wait_for_all
from tools.bench.markers import Ground, ground
from tools.bench.paired import median, rounds
from tools.bench.results_page import Aim, Line, Section, each_second

BURST = 100_000
ROUNDS = 3
BATCH = 1000
AIM = 12_000
_COLUMNS = "path text, inode integer, bytes integer, changed integer, vm text, state text, marked integer"


def measure(scratch: Path) -> Section:
    """The dumps lie in memory, so that their writer is in nobody's way; the state is on the disk."""
    with ground(BURST) as dumps:
        rates = rounds(
            ROUNDS,
            {
                "service": lambda _: _recorded(scratch, dumps),
                "loop": lambda number: _looped(scratch / f"{number}.db", dumps),
            },
        )
    found = median(rates["service"])
    return Section(
        f"A burst of {BURST:,} markers",
        f"Of a thousand VMs, in one folder; {ROUNDS} rounds, markers a second from the first that is written to the "
        "last that is recorded on the disk. The plain loop comes when all are written: it stats each marker, opens "
        f"its dump and inserts a row, {BATCH:,} in one commit of SQLite (WAL, synchronous = FULL); it knows no VM, "
        "has no history, and nobody wakes it.",
        "the plain loop",
        (
            Line("`tidegate watch`", rates["service"], each_second, rates["loop"]),
            Line("the plain loop", rates["loop"], each_second),
        ),
        (Aim(f"{AIM:,} a second", each_second(found), found >= AIM),),
    )


def _recorded(scratch: Path, dumps: Ground) -> float:
    one = Tidegate()
    with listening(one, dumps.all_folders(), scratch / "contestant"):
        begun = time.perf_counter()
        dumps.mark(BURST)
        if wait_for_all(one, BURST, 60) < BURST:
            raise RuntimeError("markers of the burst were lost")
        took = time.perf_counter() - begun
    dumps.clear()
    return BURST / took


def _looped(file: Path, dumps: Ground) -> float:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", f"CREATE TABLE dump ({_COLUMNS})"):
            connection.execute(statement)
        begun = time.perf_counter()
        dumps.mark(BURST)
        markers = [entry for entry in os.scandir(dumps.root) if entry.name.endswith(".done")]
        for start in range(0, len(markers), BATCH):
            rows = [_row(marker) for marker in markers[start : start + BATCH]]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO dump VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        took = time.perf_counter() - begun
    dumps.clear()
    return BURST / took


def _row(marker: os.DirEntry[str]) -> tuple[object, ...]:
    marked, path = marker.stat(), marker.path.removesuffix(".done")
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    found = os.fstat(opened)
    os.close(opened)
    name = os.path.basename(path)
    return name, found.st_ino, found.st_size, found.st_ctime_ns, name.partition("-")[0], "waiting", marked.st_ctime_ns
