"""The page and the metrics of 5,000 VMs as a client gets them, first and later."""

import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.waiting import free_port
from tools.bench.bench_host import BenchHost
from tools.bench.growing import live
from tools.bench.latency import watched
from tools.bench.paired import median
from tools.bench.results_page import Aim, Line, Section, milliseconds, seconds

VMS = 5_000
ASKED = 40
FIRST, LATER = 0.5, 0.2
_PATHS = {
    "the first page": "/",
    "the queue": "/queue",
    "one VM": "/vm/vm002500",
    "`/api/v1/plan`": "/api/v1/plan",
    "`/metrics`": "/metrics",
}


def measure(scratch: Path) -> Section:
    """One host and one service."""
    host = BenchHost(scratch / "host")
    live(host, VMS)
    port = free_port()
    with host.file.open("a") as file:
        file.write(f'[exporters.http]\nlisten = "127.0.0.1:{port}"\n')
    with watched(host):
        first = _first(port)
        shown = {what: [_ask(port, path) for _ in range(ASKED)] for what, path in _PATHS.items()}
    host.remove()
    slowest = max(median(times) for times in shown.values())
    return Section(
        f"The page of {VMS:,} VMs",
        "`tidegate watch` runs over a host with ten dumps of each VM. The first page is asked for before anything was "
        f"looked at, then each of these {ASKED} times.",
        "",
        (
            Line("the first page, the first time", [first], seconds),
            *(Line(f"then {what}", times, milliseconds) for what, times in shown.items()),
        ),
        (
            Aim(f"the first look within {milliseconds(FIRST)}", seconds(first), first <= FIRST),
            Aim(f"each page within {milliseconds(LATER)}", milliseconds(slowest), slowest <= LATER),
        ),
    )


def _first(port: int) -> float:
    """Seconds until there is a page."""
    begun = time.perf_counter()
    while not _answers(port, "/"):
        time.sleep(0.001)
    return time.perf_counter() - begun


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return bool(answer.read())
    except urllib.error.HTTPError as error:
        error.close()
        return False


def _ask(port: int, path: str) -> float:
    begun = time.perf_counter()
    if not _answers(port, path):
        raise RuntimeError(f"{path}: no answer")
    return time.perf_counter() - begun
