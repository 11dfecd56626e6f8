"""From a marker to its durable record: at a pace, and in a burst of 100,000."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from tools.bench.burst import Ground
from tools.bench.contestants import Tidegate, listening, wait_for_all
from tools.bench.lost import ground
from tools.bench.paired import median, ratios, rounds
from tools.bench.recording import plain
from tools.bench.report import Aim, Line, Section, each_second, milliseconds, seconds, times
from tools.soak.seen import StateFile

ROUNDS = 3
SLOW, FAST = 100, 6000
SECONDS = 8
BURST = 100_000
_RECORD = b"x" * 200
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One run. Seconds from each marker to its row, sorted; the rate that was reached; an fsync meanwhile."""

    latencies: Sequence[float]
    rate: float
    fsync: float

    def percentile(self, which: int) -> float:
        """The latency that so many percent stay under."""
        return self.latencies[min(len(self.latencies) - 1, len(self.latencies) * which // 100)]


def measure(dry_run: Path) -> Section:
    """The state is on the disk. Where the dumps lie there too, their writer waits for it as well."""
    runs = rounds(ROUNDS, {"slow": lambda _: _slow(dry_run), "fast": lambda _: _fast(dry_run)})
    slow, fast = runs["slow"], runs["fast"]
    fsyncs = [one.fsync for one in slow]
    found = {which: median(ratios([one.percentile(which) for one in slow], fsyncs)) for which in (50, 99)}
    slowest = median([one.percentile(99) for one in fast])
    return Section(
        "From a marker to its durable record",
        f"Markers written and renamed at a pace for {SECONDS} s, {ROUNDS} rounds; the state is on the disk. At {SLOW} "
        f"a second the dumps are on the same disk; at {FAST:,} they lie in memory, since the disk would hold their "
        "writer up. A row that another process can read was fsynced before. Beside it an fsync of 200 appended bytes "
        "on that disk, taken ten times a second meanwhile. A record takes about a millisecond of processor time "
        "besides its fsync, which is more than two of a fast disk; and one thread that looks at every marker and dump "
        "does not keep up with 6,000 a second beside their writer on two cores.",
        "an fsync",
        (
            Line(f"{SLOW} a second: p50", [one.percentile(50) for one in slow], milliseconds, fsyncs),
            Line(f"{SLOW} a second: p99", [one.percentile(99) for one in slow], milliseconds, fsyncs),
            Line("an fsync meanwhile, the median", fsyncs, milliseconds),
            Line(f"{FAST:,} a second wanted: reached", [one.rate for one in fast], each_second),
            Line("… p50", [one.percentile(50) for one in fast], milliseconds, [one.fsync for one in fast]),
            Line("… p99", [one.percentile(99) for one in fast], milliseconds, [one.fsync for one in fast]),
        ),
        (
            Aim(f"at {SLOW} a second p50 within 2 fsyncs", times(found[50]), found[50] <= 2),
            Aim(f"at {SLOW} a second p99 within 5 fsyncs", times(found[99]), found[99] <= 5),
            Aim(f"at {FAST:,} a second p99 below 100 ms", milliseconds(slowest), slowest < 0.1),
        ),
    )


def measure_burst(dry_run: Path) -> Section:
    """100,000 markers until the last row, beside a loop that knows what to insert."""
    with ground(BURST, 1) as dumps:
        figures = rounds(
            ROUNDS,
            {
                "burst": lambda _number: _burst(dry_run, dumps),
                "plain": lambda number: (BURST / plain(dry_run / f"plain-{number}.db", BURST, 1000), 0.0),
            },
        )
    ours, wrote = ([one[part] for one in figures["burst"]] for part in (0, 1))
    loop = [one[0] for one in figures["plain"]]
    ratio = median(ratios(ours, loop))
    return Section(
        f"A burst of {BURST:,} until all of it is durable",
        f"Of a thousand VMs, in one folder, in memory; the state is on the disk. {ROUNDS} rounds, from the first "
        f"marker to the last row. Beside it a plain loop that inserts {BURST:,} rows into SQLite (WAL, synchronous = "
        "FULL), 1,000 a commit: it looks at no file and knows no VM. Tidegate looks at each marker and each dump, "
        "keeps the row of the VM and writes a line of log for it: more than a hundred microseconds a marker, of which "
        "the rows are a part.",
        "the plain loop",
        (
            Line("the burst, recorded", ours, seconds, loop),
            Line("… of it the writing of the markers", wrote, seconds),
            Line("the plain loop", loop, seconds),
        ),
        (Aim("within 3 × the plain loop", times(ratio), ratio <= 3),),
    )


def _burst(dry_run: Path, dumps: Ground) -> tuple[float, float]:
    one = Tidegate()
    with listening(one, dumps.all_folders(), dry_run / "contestant"):
        begun = time.perf_counter()
        wrote = dumps.mark(dumps.count)
        if wait_for_all(one, dumps.count, 60) < dumps.count:
            raise RuntimeError("markers of the burst were lost")
        took = time.perf_counter() - begun
    dumps.clear()
    return took, wrote


def _slow(dry_run: Path) -> Arrival:
    return _paced(dry_run, Ground(dry_run / "dumps", SLOW * SECONDS), SLOW)


def _fast(dry_run: Path) -> Arrival:
    with ground(FAST * SECONDS, 1) as dumps:
        return _paced(dry_run, dumps, FAST)


def _paced(dry_run: Path, dumps: Ground, rate: int) -> Arrival:
    one = Tidegate()
    with (
        listening(one, dumps.all_folders(), dry_run / "contestant"),
        _beside(_follow, one.state) as rows,
        _beside(_sync, dry_run / "fsync") as fsyncs,
    ):
        paced = dumps.mark_at(rate, dumps.count)
        wait_for_all(one, dumps.count, 30)
    dumps.clear()
    took = sorted((rows[path] - at) / 1e9 for path, at in paced.times.items())
    return Arrival(took, paced.rate, median(list(fsyncs.values())))


# --- what runs beside, each in a process of its own: it gathers until it is told to stop


@contextmanager
def _beside(work: Callable[[Path, Event], dict[str, float]], path: Path) -> Iterator[dict[str, float]]:
    """The result is filled in when the block has ended."""
    ours, theirs = _FORK.Pipe(duplex=False)
    stop, result = _FORK.Event(), dict[str, float]()
    process = _FORK.Process(target=_send, args=(work, path, stop, theirs), daemon=True)
    process.start()
    try:
        yield result
        stop.set()
        result.update(ours.recv())
    finally:
        process.kill()
        process.join()


def _send(work: Callable[[Path, Event], dict[str, float]], path: Path, stop: Event, pipe: Connection) -> None:
    pipe.send(work(path, stop))


def _follow(state: Path, stop: Event) -> dict[str, float]:
    """Path -> when its row could be read, monotonic nanoseconds."""
    seen, version, last, found = StateFile(state), 0, 0, dict[str, float]()
    while True:
        is_last = stop.is_set()
        if (now := seen.version()) != version:
            version = now
            for row in seen.rows(after=last):
                last = row.id
                found.setdefault(row.path, time.monotonic_ns())
        elif is_last:
            return found
        else:
            time.sleep(0.0005)


def _sync(path: Path, stop: Event) -> dict[str, float]:
    """Ten times a second: when -> how long it took, seconds."""
    found = dict[str, float]()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    while not stop.wait(0.1):
        begun = time.perf_counter()
        os.write(file, _RECORD)
        os.fsync(file)
        found[f"{begun}"] = time.perf_counter() - begun
    os.close(file)
    return found
