"""Paired runs: what is measured and its peers take turns in each round, so that a noisy machine hits them alike."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took, in seconds. ``cpu`` is of the process and of the children it waited for.

    ``memory``: the most bytes that a process held, 0 where nobody looked.
    """

    wall: float
    cpu: float
    memory: int = 0


def rounds(count: int, contestants: Mapping[str, Callable[[int], _T]]) -> dict[str, list[_T]]:
    """Runs each contestant once in each round, each time another one first. What they return, in order of rounds.

    A contestant is called with the number of the round.
    """
    names = list(contestants)
    figures: dict[str, list[_T]] = {name: [] for name in names}
    for number in range(count):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            figures[name].append(contestants[name](number))
    return figures


def ratios(figures: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Of each round the one figure over the other's."""
    return [figure / peer for figure, peer in zip(figures, peers, strict=True)]


def median(figures: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(figures)


def walls(costs: Sequence[Cost]) -> list[float]:
    """Seconds that passed."""
    return [cost.wall for cost in costs]


def cpus(costs: Sequence[Cost]) -> list[float]:
    """Seconds of processor time."""
    return [cost.cpu for cost in costs]


def run(words: Sequence[str]) -> Cost:
    """Runs a program to its end, its output thrown away. Raises CalledProcessError when it fails."""
    begun = time.perf_counter()
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def timed(act: Callable[[], object]) -> Cost:
    """Calls something in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)
