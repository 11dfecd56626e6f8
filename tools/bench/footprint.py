"""Processor time and memory of the service: at rest, at a pace, and after a burst."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.burst import Ground
from tools.bench.contestants import Tidegate, listening, wait_for_all
from tools.bench.lost import ground
from tools.bench.report import Aim, Line, Section, milliseconds, percent

MARKED = 10_000
RATE, SECONDS = 100, 20
BURST = 100_000
#: A window of the idle time; one in which a scan fell is counted for itself.
_WINDOW_SECONDS = 5.0
#: After a burst, until its memory is looked at.
_SETTLE_SECONDS = 20.0
#: What the processor's own clock cannot tell from nothing: a tenth of a percent of a core.
_MEASURABLE = 0.001


@dataclass(frozen=True, slots=True)
class Use:
    """Of one process: seconds of processor time since its start, and bytes of memory that it holds."""

    cpu: float
    resident: int


def measure(dry_run: Path) -> Section:
    """One service through a pace and a burst."""
    count = RATE * SECONDS + BURST
    with ground(count, 1) as dumps, _service(dumps, dry_run) as one:
        pid = one.process.pid
        begun = use(pid)
        dumps.mark_at(RATE, RATE * SECONDS)
        wait_for_all(one, RATE * SECONDS, 30)
        paced = use(pid)
        dumps.mark(BURST)
        most = _highest(one, count)
        burst = use(pid)
        time.sleep(_SETTLE_SECONDS)
        after = use(pid)
    back = after.resident / paced.resident - 1
    each = (burst.cpu - paced.cpu) / BURST
    return Section(
        "What the service takes",
        f"One service: {RATE} markers a second for {SECONDS} s, then {BURST:,} at once, then {_SETTLE_SECONDS:.0f} s "
        "of rest. Processor time as the kernel accounts for it, of all threads; memory is what it holds resident. "
        "What stays after the burst is what the allocator keeps of the scan that the overflow brings.",
        "",
        (
            Line(f"processor at {RATE} a second", [(paced.cpu - begun.cpu) / SECONDS], percent),
            Line(f"processor for each of {BURST:,} at once", [each], _microseconds),
            Line("memory when it listens", [begun.resident], _megabytes),
            Line(f"memory at {RATE} a second", [paced.resident], _megabytes),
            Line("memory at its most in the burst", [most], _megabytes),
            Line(f"memory {_SETTLE_SECONDS:.0f} s after the burst", [after.resident], _megabytes),
        ),
        (Aim("after the burst within 20 % of the memory before", f"{back:+.0%}", back <= 0.2),),
    )


def measure_idle(dry_run: Path, minutes: float = 1) -> Section:
    """At rest with 10,000 marked folders."""
    with ground(MARKED, MARKED) as dumps:
        dumps.mark(MARKED)
        with _service(dumps, dry_run) as one:
            wait_for_all(one, MARKED, 60)
            time.sleep(_WINDOW_SECONDS)
            rest, scans = _windows(one, minutes * 60)
            held = use(one.process.pid).resident
    share = sum(rest) / (len(rest) * _WINDOW_SECONDS)
    lines = [Line("processor between scans", [one / _WINDOW_SECONDS for one in rest], percent)]
    if scans:
        lines.append(Line("processor for a scan", scans, milliseconds))
    return Section(
        f"At rest with {MARKED:,} marked folders",
        f"{minutes:g} minutes, in windows of {_WINDOW_SECONDS:.0f} s; {len(scans)} of them held a scan, which comes "
        "every five minutes.",
        "",
        (*lines, Line("memory", [held], _megabytes)),
        (Aim("no measurable processor time between scans (< 0.1 %)", percent(share), share < _MEASURABLE),),
    )


def use(pid: int) -> Use:
    """To the nanosecond: the ticks of /proc/PID/stat are too coarse for a service at rest."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    ran = sum(int(task.read_text().split()[0]) for task in tasks)
    return Use(ran / 1e9, resident(pid))


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@contextmanager
def _service(dumps: Ground, dry_run: Path) -> Iterator[Tidegate]:
    one = Tidegate()
    with listening(one, dumps.all_folders(), dry_run / "contestant"):
        yield one


def _highest(one: Tidegate, count: int) -> int:
    most = 0
    while one.told() < count:
        most = max(most, use(one.process.pid).resident)
        time.sleep(0.05)
    return most


def _windows(one: Tidegate, seconds: float) -> tuple[list[float], list[float]]:
    """Processor time of each window: of those without a scan, and of those with one."""
    rest, scans = list[float](), list[float]()
    deadline = time.monotonic() + seconds
    while not rest or time.monotonic() < deadline:
        scanned, before = _last_scan(one), use(one.process.pid).cpu
        time.sleep(_WINDOW_SECONDS)
        took = use(one.process.pid).cpu - before
        (rest if _last_scan(one) == scanned else scans).append(took)
    return rest, scans


def _last_scan(one: Tidegate) -> int:
    return one.seen.count("select cast(max(last_scan_at) * 1000 as integer) from watch_status")


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
