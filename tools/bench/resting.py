"""Memory and processor time of the service: at rest with 1,000 VMs, and after a burst."""

import time
from pathlib import Path

from tools.bench.contestants import Tidegate, listening, wait_for_all
from tools.bench.markers import ground
from tools.bench.results_page import Aim, Line, Section, milliseconds, percent

VMS = 1_000
BURST = 100_000
AIM_BYTES = 50_000_000
#: A window of the idle time; one in which a scan fell is counted for itself.
_WINDOW_SECONDS = 5.0
#: After a burst, until its memory is looked at.
_SETTLE_SECONDS = 20.0
#: What the processor's own clock cannot tell from nothing: a tenth of a percent of a core.
_MEASURABLE = 0.001


def measure(scratch: Path, minutes: float = 1) -> Section:
    """One service."""
    one = Tidegate()
    with ground(VMS + BURST) as dumps, listening(one, dumps.all_folders(), scratch / "contestant"):
        dumps.mark(VMS)
        wait_for_all(one, VMS, 60)
        rest, scans = _windows(one, minutes * 60)
        before = resident(one.process.pid)
        used = cpu(one.process.pid)
        dumps.mark(BURST)
        wait_for_all(one, VMS + BURST, 60)
        each = (cpu(one.process.pid) - used) / BURST
        time.sleep(_SETTLE_SECONDS)
        after = resident(one.process.pid)
    share = sum(rest) / (len(rest) * _WINDOW_SECONDS)
    lines = [
        Line("memory at rest", [before], megabytes),
        Line("processor between scans", [took / _WINDOW_SECONDS for took in rest], percent),
        *([Line("processor for a scan", scans, milliseconds)] if scans else []),
        Line(f"processor for each marker of a burst of {BURST:,}", [each], _microseconds),
        Line(f"memory {_SETTLE_SECONDS:.0f} s after it", [after], megabytes),
    ]
    return Section(
        f"The service at rest with {VMS:,} VMs",
        f"{minutes:g} minutes, in windows of {_WINDOW_SECONDS:.0f} s; a scan comes every five minutes. Memory is what "
        f"the process holds resident. Then {BURST:,} markers at once.",
        "",
        tuple(lines),
        (
            Aim(f"{AIM_BYTES / 1e6:.0f} MB at rest", megabytes(before), before <= AIM_BYTES),
            Aim("no measurable processor time between scans (< 0.1 %)", percent(share), share < _MEASURABLE),
        ),
    )


def cpu(pid: int) -> float:
    """Seconds of all threads, to the nanosecond: the ticks of /proc/PID/stat are too coarse for a service at rest."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def _windows(one: Tidegate, seconds: float) -> tuple[list[float], list[float]]:
    """Processor time of each window: of those without a scan, and of those with one."""
    time.sleep(_WINDOW_SECONDS)
    rest, scans = list[float](), list[float]()
    deadline = time.monotonic() + seconds
    while not rest or time.monotonic() < deadline:
        scanned, before = _last_scan(one), cpu(one.process.pid)
        time.sleep(_WINDOW_SECONDS)
        took = cpu(one.process.pid) - before
        (rest if _last_scan(one) == scanned else scans).append(took)
    return rest, scans


def _last_scan(one: Tidegate) -> int:
    return one.seen.count("select cast(max(last_scan_at) * 1000 as integer) from watch_status")


def _microseconds(value: float) -> str:
    return f"{value * 1e6:.0f} µs"


def megabytes(size: float) -> str:
    """Of bytes."""
    return f"{size / 1e6:.1f} MB"
