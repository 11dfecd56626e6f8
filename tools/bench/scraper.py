"""One that scrapes a service each second, in a process of its own."""

import multiprocessing
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from multiprocessing.synchronize import Event

from tools.bench.footprint import resident

#: Seconds from the beginning of a scrape to that of the next.
EVERY = 1.0
#: Prometheus' own, unless told otherwise.
TIMEOUT = 10.0
_FORK = multiprocessing.get_context("fork")


@dataclass(slots=True)
class Scraped:
    """Seconds of each scrape that was answered; how many were not; the most bytes that the service held."""

    took: list[float] = field(default_factory=list)
    lost: int = 0
    resident: int = 0


@contextmanager
def scraping(port: int, pid: int) -> Iterator[Scraped]:
    """As long as the block runs; what it has found is known afterwards."""
    stop, queue, found = _FORK.Event(), _FORK.SimpleQueue(), Scraped()
    process = _FORK.Process(target=_scrape, args=(port, pid, stop, queue.put), daemon=True)
    process.start()
    try:
        yield found
        stop.set()
        found.took, found.lost, found.resident = queue.get()
    finally:
        process.kill()
        process.join()


def _scrape(port: int, pid: int, stop: Event, tell: Callable[[tuple[list[float], int, int]], None]) -> None:
    found = Scraped()
    while not stop.is_set():
        begun = time.perf_counter()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT) as answer:
                answer.read()
            found.took.append(time.perf_counter() - begun)
        except (OSError, HTTPException):
            found.lost += 1
        found.resident = max(found.resident, resident(pid))
        stop.wait(max(0.0, begun + EVERY - time.perf_counter()))
    tell((found.took, found.lost, found.resident))
