"""Recording goes on whatever else goes on, and takes no more memory for what it does not record."""

import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.host import ROOT
from tests.waiting import free_port, until
from tests.watcher.site import Site, done
from tests.watcher.started import started


def test_recording_goes_on_while_a_pass_lets_thousands_out(site: Site) -> None:
    """They share the state file; `make bench` does the same with a hundred thousand."""
    many = 3000
    for number in range(many):
        done(site.dumps, f"vm{number}")
    with site.watched():
        assert len(site.waiting()) == many
        before = dict(site.times().buckets)["+Inf"]
        running = subprocess.Popen(site.host.command("pass"), cwd=ROOT, stdout=subprocess.DEVNULL)
        marked = 0
        while running.poll() is None:
            done(site.dumps, f"later{marked}")
            marked += 1
            time.sleep(0.02)
        assert running.returncode == 0
        assert marked > 10
        site.records(f"later{marked - 1}")
    times = dict(site.times().buckets)
    assert times["+Inf"] - before == marked
    assert times["10"] - before == marked  # not one had to wait for the pass to end
    assert len(site.host.exported()) >= many


def test_recording_goes_on_while_silent_clients_hold_the_metrics_port(site: Site) -> None:
    """Connected, and saying nothing or half a word: neither a marker nor a scrape waits for them."""
    port = free_port()
    site.host.configure(watch={"scan_interval": "1h"}, exporters={"http": {"listen": f"127.0.0.1:{port}"}})
    with started(site):
        clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
        try:
            for client in clients[::2]:
                client.sendall(b"GET /metr")
            done(site.dumps, "vm1")
            site.records("vm1")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                assert b'tidegate_markers_total{state="recorded"} 1.0' in answer.read()
            done(site.dumps, "vm2")
            site.records("vm2")
        finally:
            for client in clients:
                client.close()


def resident(process: "subprocess.Popen[bytes]") -> int:
    """Bytes that a process has in memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def test_a_storm_of_what_is_no_marker_takes_no_memory(site: Site) -> None:
    """A hundred thousand files, and one that is written for long: they give events, and nothing of them is kept."""
    with started(site) as service:
        done(site.dumps, "vm1")
        site.records("vm1")
        before = resident(service.process)
        script = 'cd "$0" && seq -f file%g 100000 | xargs touch && seq -f file%g 100000 | xargs rm'
        subprocess.run(["sh", "-c", script, site.dumps], check=True)
        with (site.dumps / "large").open("wb", buffering=0) as large:
            for _ in range(1000):
                large.write(os.urandom(65536))
        done(site.dumps, "vm2")
        site.records("vm2")
        grown = resident(service.process) - before
        assert grown < 30 << 20, f"{grown} bytes more"
    until(lambda: site.waiting() == {"vm1", "vm2"})


def test_a_storm_of_one_marker_is_one_dump(site: Site) -> None:
    """Written ten thousand times: it is in the queue once."""
    done(site.dumps, "vm1")
    with site.watched():
        script = "i=0; while [ $i -lt 10000 ]; do : > vm1.done; i=$((i + 1)); done"
        subprocess.run(["sh", "-c", script], cwd=site.dumps, check=True)
        done(site.dumps, "vm2")
        site.records("vm2")
    assert site.waiting() == {"vm1", "vm2"}
    assert site.counted("markers", "recorded") == 2
