"""A thousand clients of the worst kinds at once, and the real service: it answers who asks, and records."""

import re
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from exporters.server import MAX_CONNECTIONS
from tests.exporters.crowd import KINDS, crowding
from tests.host import Host
from tests.service.running import service
from tests.waiting import free_port, until

pytestmark = pytest.mark.slow

CROWD = 1000
SECONDS = 4.0
#: Prometheus' own, unless told otherwise.
SCRAPE_TIMEOUT = 10.0


def status(pid: int, what: str) -> int:
    """A figure that the kernel has of a process."""
    (found,) = re.findall(rf"^{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found)


def scraped(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SCRAPE_TIMEOUT) as answer:
        return bytes(answer.read())


def recorded(host: Host) -> int:
    with closing(sqlite3.connect(host.state)) as state:
        return int(state.execute("SELECT count(*) FROM dump").fetchone()[0])


def test_a_thousand_clients_keep_nobody_from_scraping_or_being_recorded(tmp_path: Path) -> None:
    port = free_port()
    host = Host(tmp_path / "host")
    host.configure(exporters={"http": {"listen": f"127.0.0.1:{port}"}})
    with service(host) as running:
        pid = running.process.pid
        scraped(port)
        before, marked, threads = status(pid, "VmRSS"), 0, 0
        with crowding(port, CROWD) as crowd:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                host.dump(f"vm{marked}", 100)
                marked += 1
                assert scraped(port).startswith(b"# HELP tidegate_")
                threads = max(threads, status(pid, "Threads"))
            until(lambda: recorded(host) == marked)
        assert set(crowd.came) == {kind.__name__ for kind in KINDS}
        assert sum(crowd.came.values()) >= CROWD
        assert threads < 2 * MAX_CONNECTIONS  # those that were dismissed may need a moment to go
        assert status(pid, "VmHWM") - before < 50_000  # kB
