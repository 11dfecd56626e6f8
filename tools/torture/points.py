"""Points at which something is disturbed, tried by several processes at once."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

_FORK = multiprocessing.get_context("fork")
_TELL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Point:
    """``attempt`` disturbs at this point, in a folder for its files, and returns what was wrong then."""

    name: str
    attempt: Callable[[Path], list[str]]


@dataclass(slots=True)
class Found:
    """What one kind of disturbance has shown. ``faults``: the point and what was seen, a line each."""

    tried: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


#: What the processes find when they are forked.
_points: list[Point] = []
_enough = _FORK.Event()


def try_all(what: str, points: Sequence[Point], folder: Path, *, until_found: bool = False) -> Found:
    """Tries them on all processors and tells how far it is. ``until_found``: the first fault is enough."""
    _points[:] = points
    _enough.clear()
    found, begun = Found(), time.monotonic()
    told = begun
    with _FORK.Pool(os.cpu_count(), _begin) as pool:
        for name, faults in pool.imap_unordered(partial(_attempt, folder), range(len(points))):
            if faults is None:
                continue
            found.tried += 1
            found.faults += [f"{name}: {fault}; {_again(name)}" for fault in faults]
            if faults and until_found:
                _enough.set()
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                done = f"{found.tried} of {len(points)} points, {len(found.faults)} violations"
                print(f"torture: {what}: {done}, {told - begun:.0f} s", file=sys.stderr, flush=True)
        pool.close()
        pool.join()
    found.seconds = time.monotonic() - begun
    return found


def _again(name: str) -> str:
    return f"again: python -m tools.torture --no-defects --kinds {name.partition(' ')[0]} --only '{name}'"


def _begin() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # not what the one who started it does on them


def _attempt(folder: Path, number: int) -> tuple[str, list[str] | None]:
    point = _points[number]
    if _enough.is_set():
        return point.name, None
    try:
        return point.name, point.attempt(folder)
    except Exception:  # noqa: BLE001 - what the harness cannot judge is no success
        return point.name, [f"the harness failed: {traceback.format_exc()}"]


def sampled(points: Sequence[Point], most: int | None) -> list[Point]:
    """So many of them, evenly chosen; None: all."""
    if most is None or len(points) <= most:
        return list(points)
    return [points[index * len(points) // most] for index in range(most)]
