"""Scrapes of many VMs: what a text takes, made and kept; and what recording feels of it."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from core.clock import SystemClock
from core.state import vms
from core.state.database import State
from exporters.exposition import Exposition
from tests.service.running import free_port
from tools.bench.host import BenchHost
from tools.bench.paired import Cost, cpus, median, ratios, rounds, run, timed, walls
from tools.bench.recording import RATE, Watched, percentile, touched, watched
from tools.bench.report import Aim, Line, Section, milliseconds, times
from tools.bench.scraper import EVERY, scraping

VMS = 10_000
ROUNDS = 5
#: Markers in each half of a round.
MARKED = 1_000


class _Samples(Collector):
    """Those of a text, as prometheus_client holds them."""

    def __init__(self, text: bytes) -> None:
        self._metrics = list(text_string_to_metric_families(text.decode()))

    def collect(self) -> list[Metric]:
        return self._metrics


def measure(dry_run: Path) -> Section:
    """The text of a real state, in this process."""
    host = _lived(dry_run)
    config = host.config()
    state = State(config.state.path)
    kept = Exposition(state, SystemClock())
    size = len(kept.text(config))
    samples = _Samples(kept.text(config))

    def anew(_number: int) -> Cost:
        first = Exposition(state, SystemClock())
        try:
            return timed(lambda: first.text(config))
        finally:
            first.close()

    def after_news(number: int) -> Cost:
        with state.write() as connection:
            for one in range(RATE):
                vms.change(connection, f"vm{number * RATE + one:06}", target=1e6 + number)
        return timed(lambda: kept.text(config))

    def once_more(_number: int) -> Cost:
        kept.text(config)
        return timed(lambda: kept.text(config))

    figures = rounds(
        ROUNDS,
        {
            "library": lambda _: timed(lambda: generate_latest(samples)),
            "anew": anew,
            "news": after_news,
            "kept": once_more,
        },
    )
    kept.close()
    state.close()
    host.remove()
    library = figures.pop("library")
    named = {"anew": "the first scrape", "news": f"a scrape when {RATE} VMs have news", "kept": "a scrape without news"}
    lines = [
        line
        for name, costs in figures.items()
        for line in (
            Line(named[name], walls(costs), milliseconds, walls(library)),
            Line("… its processor time", cpus(costs), milliseconds, cpus(library)),
        )
    ]
    return Section(
        f"A scrape of {VMS:,} VMs",
        f"All of `/metrics`, {size / 1e6:.1f} MB, made in one process and not sent; {ROUNDS} rounds. Beside it "
        "prometheus_client's own `generate_latest` of the same samples, which it is handed as objects: it reads no "
        "state. What Tidegate makes anew it makes in stretches with a rest of a millisecond after each, so that it "
        "takes longer than its processor time.",
        "`generate_latest`",
        (
            *lines,
            Line("`generate_latest` of the same samples", walls(library), milliseconds),
            Line("… its processor time", cpus(library), milliseconds),
        ),
    )


def measure_beside(dry_run: Path) -> Section:
    """Recording with and without scrapes, in turns, by one service."""
    host = _lived(dry_run)
    port = free_port()
    host.file.write_text(host.file.read_text() + f'[exporters.http]\nlisten = "127.0.0.1:{port}"\n')
    names = iter(host.dump(2 * ROUNDS * MARKED, suffix="-2026-11-23"))
    took: list[float] = []
    with watched(host) as service:

        def alone(_number: int) -> list[float]:
            return _marked(host, service, names)

        def beside(_number: int) -> list[float]:
            with scraping(port, service.pid) as scraped:
                latencies = _marked(host, service, names)
            took.extend(scraped.took)
            return latencies

        figures = rounds(ROUNDS, {"alone": alone, "scraped": beside})
    host.remove()

    def each(name: str, which: int) -> list[float]:
        return [max(one) if which == 100 else percentile(one, which) for one in figures[name]]

    ratio = median(ratios(each("scraped", 99), each("alone", 99)))
    return Section(
        f"From a marker to its record while {VMS:,} VMs are scraped",
        f"`tidegate watch` runs; {MARKED:,} markers of as many VMs come at {RATE} a second, {ROUNDS} rounds with a "
        f"scrape each {EVERY:.0f} s and as many without, in turns. Each scrape finds news of a hundred VMs. Who "
        "scrapes and who marks take their part of the processors.",
        "recording without scrapes",
        (
            Line("p50", each("scraped", 50), milliseconds, each("alone", 50)),
            Line("p99", each("scraped", 99), milliseconds, each("alone", 99)),
            Line("the slowest", each("scraped", 100), milliseconds, each("alone", 100)),
            Line("without scrapes: p50", each("alone", 50), milliseconds),
            Line("without scrapes: p99", each("alone", 99), milliseconds),
            Line("a scrape, sent and read", took, milliseconds),
        ),
        (Aim("p99 within 1.2 × of that without scrapes", times(ratio), ratio <= 1.2),),
    )


def _lived(dry_run: Path) -> BenchHost:
    """One on which every VM has been dumped and is off-site."""
    host = BenchHost(dry_run / "host")
    host.mark(host.dump(VMS))
    run(host.command("pass"))
    run(host.command("synced", "--all"))
    return host


def _marked(host: BenchHost, service: Watched, names: Iterator[str]) -> list[float]:
    return touched(host, service.state, [next(names) for _ in range(MARKED)])
