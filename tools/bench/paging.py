"""The page of 5,000 VMs: how long it takes to be made and to be shown, and what that takes from the recording."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.service.running import free_port
from tools.bench.growing import live
from tools.bench.host import BenchHost
from tools.bench.paired import ROOT, median, ratios, rounds
from tools.bench.recording import RATE, Watched, percentile, touched, watched
from tools.bench.report import Aim, Line, Section, milliseconds, seconds

VMS = 5_000
ASKED = 40
ROUNDS = 9
PACED = 500
#: Sixty browsers that each ask every 15 seconds.
PAGES_A_SECOND = 4.0
AIM = 0.2
_PATHS = {"the first page": "/", "the queue": "/queue", "one VM": "/vm/vm002500", "`/api/v1/plan`": "/api/v1/plan"}


def measure(dry_run: Path) -> Section:
    """One host and one service."""
    host = BenchHost(dry_run / "host")
    live(host, VMS)
    port = free_port()
    with host.file.open("a") as file:
        file.write(f'[exporters.http]\nlisten = "127.0.0.1:{port}"\n')
    names = (host.dump(PACED, f"-new-{number}") for number in count())
    with watched(host) as service:
        first, look = _first(port)
        before = _processor_time(service.pid)
        shown = {what: [_ask(port, path) for _ in range(ASKED)] for what, path in _PATHS.items()}
        own = (_processor_time(service.pid) - before) / (ASKED * len(_PATHS))
        latencies = rounds(
            ROUNDS,
            {
                "alone": lambda _: touched(host, service.state, next(names)),
                "beside": lambda _: _beside(host, service, port, next(names)),
            },
        )
    host.remove()
    alone, beside = ([percentile(one, 99) for one in latencies[which]] for which in ("alone", "beside"))
    slowest = max(median(times) for what, times in shown.items() if "api" not in what)
    return Section(
        f"The page of {VMS:,} VMs",
        f"`tidegate watch` runs over a host with ten dumps of each VM. The first page is asked for before anything was "
        f"looked at: a process starts, reads, plans and forecasts 30 days. Then each page {ASKED} times, as a client "
        f"sees it. Last, markers at {RATE} a second by `touch`, in {ROUNDS} rounds of {PACED} each: with nobody who "
        f"asks, and while {PAGES_A_SECOND:.0f} pages a second are asked for and each look is followed by another.",
        "",
        (
            Line("the first page, from nothing", [first], seconds),
            Line("of it: the look, plan and forecast", [look], seconds),
            *(Line(f"then {what}", times, milliseconds) for what, times in shown.items()),
            Line("processor time of the service for a page", [own], milliseconds),
            Line("marker to record, nobody asks: p99", alone, milliseconds),
            Line("marker to record, beside pages: p99", beside, milliseconds),
        ),
        (
            Aim("each page within 200 ms", milliseconds(slowest), slowest < AIM),
            Aim(
                "p99 of recording beside pages within 1.2 × that without",
                f"{median(ratios(beside, alone)):.2f} ×",
                median(ratios(beside, alone)) <= 1.2,
            ),
        ),
    )


def _first(port: int) -> tuple[float, float]:
    """Seconds until there is a page, and those that it says its look took."""
    begun = time.perf_counter()
    while (text := _page(port)) is None:
        pass
    took = re.search(r"this look took ([0-9.]+) s", text)
    assert took is not None
    return time.perf_counter() - begun, float(took[1])


def _page(port: int, path: str = "/") -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        error.close()
        return None


def _ask(port: int, path: str) -> float:
    begun = time.perf_counter()
    if _page(port, path) is None:
        raise RuntimeError(f"{path}: no page")
    return time.perf_counter() - begun


def _processor_time(pid: int) -> float:
    """Seconds, those of threads that have ended too: each question has one of its own."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _beside(host: BenchHost, service: Watched, port: int, names: Sequence[str]) -> list[float]:
    with _asking(port):
        return touched(host, service.state, names)


@contextmanager
def _asking(port: int) -> Iterator[None]:
    """Somebody else asks, in a process of his own, as long as the block runs."""
    asker = subprocess.Popen([sys.executable, "-m", "tools.bench.paging", str(port)], cwd=ROOT)
    try:
        yield
    finally:
        asker.kill()
        asker.wait()


def _ask_for_ever(port: int) -> None:
    begun = time.perf_counter()
    for number in count():
        _page(port)
        time.sleep(max(0.0, begun + number / PAGES_A_SECOND - time.perf_counter()))


if __name__ == "__main__":
    _ask_for_ever(int(sys.argv[1]))
