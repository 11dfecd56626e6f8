"""A thousand clients of the worst kinds for a minute: scrapes, recording and memory meanwhile."""

from pathlib import Path

from tests.exporters.crowd import KINDS, crowding
from tests.service.running import free_port
from tools.bench.host import BenchHost
from tools.bench.recording import RATE, percentile, touched, watched
from tools.bench.report import Aim, Line, Section, milliseconds
from tools.bench.scraper import TIMEOUT, scraping

CLIENTS = 1_000
BEFORE, SECONDS = 10, 60


def measure(dry_run: Path) -> Section:
    """One service, for some seconds by itself and then in the crowd."""
    port = free_port()
    host = BenchHost(dry_run / "host")
    host.file.write_text(host.file.read_text() + f'[exporters.http]\nlisten = "127.0.0.1:{port}"\n')
    names = host.dump((BEFORE + SECONDS) * RATE)
    quiet, loud = names[: BEFORE * RATE], names[BEFORE * RATE :]
    with watched(host) as service:
        with scraping(port, service.pid) as before:
            alone = touched(host, service.state, quiet)
        with crowding(port, CLIENTS) as crowd, scraping(port, service.pid) as scraped:
            took = touched(host, service.state, loud)
    host.remove()
    more = scraped.resident - before.resident
    kinds = ", ".join(kind.__name__.replace("_", " ") for kind in KINDS)
    return Section(
        f"{CLIENTS:,} slow, silent, half-open and malformed clients for a minute",
        f"`tidegate watch` on the loopback, a scrape a second and {RATE} markers a second; {CLIENTS:,} clients at "
        f"once, as many of each kind ({kinds}), who come again a second after they were hung up on: "
        f"{sum(crowd.came.values()):,} connections in {SECONDS} s. A scrape without an answer within {TIMEOUT:.0f} s "
        "is lost. Who finds the queue of connections full tries again after a second, which is the kernel's way. The "
        "number of VMs, and with it a scrape, grows with each marker.",
        "",
        (
            Line(f"before, for {BEFORE} s: a scrape", before.took, milliseconds),
            Line("in the crowd: a scrape", scraped.took, milliseconds),
            Line("before: marker to record, p99", [percentile(alone, 99)], milliseconds),
            Line("in the crowd: marker to record, p50", [percentile(took, 50)], milliseconds),
            Line("in the crowd: marker to record, p99", [percentile(took, 99)], milliseconds),
            Line("in the crowd: marker to record, the slowest", [max(took)], milliseconds),
            Line("before: memory", [before.resident], _megabytes),
            Line("in the crowd: memory at its most", [scraped.resident], _megabytes),
        ),
        (
            Aim("no scrape is lost", f"{scraped.lost} of {scraped.lost + len(scraped.took)}", scraped.lost == 0),
            Aim("every marker is recorded within a second", f"at most {milliseconds(max(took))}", max(took) < 1),
            Aim("less than 100 MB more memory", _megabytes(more), more < 100e6),
        ),
    )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
