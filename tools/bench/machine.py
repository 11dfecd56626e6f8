"""On what was measured: without it no figure means anything."""

import os
import platform
import sqlite3
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.version import __version__
from tools.bench.paired import median
from tools.bench.results_page import milliseconds

_PACKAGES = ("click", "watchdog", "filelock")


def facts(scratch: Path) -> list[tuple[str, str]]:
    """Name and value of each. ``scratch`` is the folder that was measured in."""
    return [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d")),
        ("processor", f"{os.cpu_count()} × {_processor()}; {_load()}"),
        ("system", f"Linux {platform.release()}"),
        ("filesystem", f"{_filesystem(scratch)}; an fsync of 4 KiB takes {milliseconds(_fsync(scratch))}"),
        ("versions", ", ".join(_versions())),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _load() -> str:
    return f"load {os.getloadavg()[1]:.1f} over the five minutes before"


def _filesystem(folder: Path) -> str:
    """The type of the mount that holds ``folder``, with what makes a difference of its options."""
    found, longest = "unknown", 0
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split()
        if folder.is_relative_to(mount) and len(mount) >= longest:
            shown = [one for one in options.split(",") if "atime" in one or one.startswith(("data=", "compress"))]
            found, longest = " ".join([kind, *shown]), len(mount)
    return found


def _fsync(folder: Path) -> float:
    took = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(30):
            file.write(b"x" * 4096)
            begun = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - begun)
    return median(took)


def _versions() -> list[str]:
    own = [
        f"Tidegate {__version__}",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
    ]
    for name in _PACKAGES:
        try:
            own.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            sys.stderr.write(f"bench: the version of {name} is not known\n")
    return own
