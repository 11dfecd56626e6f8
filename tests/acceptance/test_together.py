"""Several schedulers at once: eight passes, two dump scripts and the watcher, and one limit."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.state.database import State
from tests.host import ROOT, Host
from tests.waiting import WAIT_SECONDS

pytestmark = pytest.mark.slow

PASSES = 8
DUMP = 1000
LIMIT = 20 * DUMP

#: Makes dumps until it is told to stop, and at least 20.
SCRIPT = """
n=0
while [ $n -lt 20 ] || [ ! -e ../stop ]; do
    n=$((n + 1)) X=$0$n.img
    head -c 1000 /dev/urandom >$X.part && mv $X.part $X && touch $X.done
    sleep 0.05
done
"""


class Pass:
    """``tidegate pass --json`` in a process of its own; a file takes what it prints, however much that is."""

    def __init__(self, host: Host, number: int) -> None:
        self._host = host
        self._printed = host.folder / f"pass{number}"
        with self._printed.open("w") as file:
            command = host.command("pass", "--json")
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)

    def is_at_the_lock(self) -> bool:
        """It has opened the state, and so all that is before it is a scan and the lock."""
        assert self.process.poll() is None, self._printed.read_text()
        folder = f"/proc/{self.process.pid}/fd"
        return str(self._host.state) in (read_link(f"{folder}/{name}") for name in os.listdir(folder))

    def shape(self) -> dict[str, Any]:
        """What it has printed."""
        printed = self._printed.read_text()
        assert self.process.returncode == 0, printed
        shape: dict[str, Any] = json.loads(printed)
        return shape


def test_eight_passes_at_the_same_moment_share_one_limit(tmp_path: Path) -> None:
    """Two scripts write markers, the watcher records; the ledger is what stands in the tree, each dump left once."""
    host = Host(tmp_path / "host", daily=LIMIT)
    heaviest = 0
    with watcher(host), scripts(host):
        await_that(lambda: len(list(host.dumps.glob("*.done"))) >= 10)
        with State(host.state).pass_lock(wait=WAIT_SECONDS):
            passes = [Pass(host, number) for number in range(PASSES)]
            await_that(lambda: all(one.is_at_the_lock() for one in passes))
        while any(one.process.poll() is None for one in passes):
            heaviest = max(heaviest, sum(host.exported().values()))
            time.sleep(0.001)
    shapes = [one.shape() for one in passes]
    stands = host.exported()
    heaviest = max(heaviest, sum(stands.values()))
    assert heaviest <= LIMIT
    released = [one["dump"] for shape in shapes for one in shape["decisions"] if one["verdict"] == "released"]
    assert sorted(released) == sorted(stands), "each link was granted by exactly one of the passes"
    assert all(account(shape) <= LIMIT for shape in shapes)
    last = host.json("pass")
    assert [one["dump"] for one in last["decisions"] if one["verdict"] == "released"] == sorted(
        host.exported().keys() - stands.keys()
    )
    assert account(last) == sum(host.exported().values()) == LIMIT


def read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:  # closed since it was listed
        return ""


def account(shape: dict[str, Any]) -> int:
    day: dict[str, int] = shape["day"]
    return day["used_bytes"] + day["outstanding_bytes"]


@contextmanager
def scripts(host: Host) -> Iterator[None]:
    running = [subprocess.Popen(["sh", "-eu", "-c", SCRIPT, name], cwd=host.dumps) for name in ("daily", "weekly")]
    try:
        yield
    finally:
        (host.folder / "stop").touch()
        ends = [script.wait(WAIT_SECONDS) for script in running]
    assert ends == [0, 0]


@contextmanager
def watcher(host: Host) -> Iterator[None]:
    process = host.start("watch")
    try:
        await_that(lambda: State(host.state).is_watched())
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, log
    assert "Traceback" not in log


def await_that(comes: Callable[[], bool]) -> None:
    give_up = time.monotonic() + WAIT_SECONDS
    while not comes():
        assert time.monotonic() < give_up
        time.sleep(0.005)
