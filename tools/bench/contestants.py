"""Who is told of markers: Tidegate's own service, and its peers, each in a process group of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.host import ROOT
from tools.soak.state_reader import StateFile
from tools.soak.watch_process import die_with_parent

_START_SECONDS = 120.0
_END_SECONDS = 60.0
_PROBE = b"probe-"
_CONFIG = """\
[state]
path = "state.db"
[[watch]]
path = "{dumps}"
[limit]
daily = "100 GB"
[offsite]
storage = "mirror"
confirm = "report"
"""

Process = subprocess.Popen[bytes]


class Contestant(Protocol):
    """Listens once ``start`` has returned. ``told`` is the number of markers that it knows of, each counted once.

    ``scratch`` is an empty folder of its own on the disk.
    """

    name: str
    process: Process

    def start(self, folders: Sequence[Path], scratch: Path) -> None: ...
    def told(self) -> int: ...


class Tidegate:
    """The real ``tidegate watch``: a marker counts when its dump is recorded in the state file."""

    name = "Tidegate"
    process: Process

    def start(self, folders: Sequence[Path], scratch: Path) -> None:
        (scratch / "config.toml").write_text(_CONFIG.format(dumps=folders[0]))
        words = [sys.executable, "-m", "tidegate", "--config", str(scratch / "config.toml"), "watch"]
        self.state = scratch / "state.db"
        self.process = _popen(words, scratch / "log")
        self.seen = StateFile(self.state)
        wait_until(lambda: self.seen.count("select count(last_scan_at) from watch_status") > 0, _START_SECONDS)

    def told(self) -> int:
        return self.seen.count("select count(*) from dump where fingerprint <> ''")

    def overflows(self) -> int:
        """Those that it has noticed, each answered by a scan."""
        return self.seen.count("select sum(value) from counter where name = 'watch_overflows'")


class Peer:
    """A program that prints what it is told of, a path or name a line. ``words``: the folder comes behind them."""

    process: Process

    def __init__(self, name: str, *words: str, packages: Path | None = None) -> None:
        self.name = name
        self._words = words
        self._packages = packages

    def start(self, folders: Sequence[Path], scratch: Path) -> None:
        self._output = scratch / "told"
        self._names: set[bytes] = set()
        self._offset = 0
        self.process = _popen([*self._words, str(folders[0])], self._output, self._packages)
        self._probe(folders[-1])

    def told(self) -> int:
        with self._output.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        end = text.rfind(b"\n") + 1
        self._offset += end
        self._names.update(line.rpartition(b"/")[2] for line in text[:end].splitlines() if line.endswith(b".done"))
        return sum(not name.startswith(_PROBE) for name in self._names)

    def _probe(self, folder: Path) -> None:
        """It listens once it tells of a marker in the last of the folders."""
        probes: list[Path] = []
        deadline = time.monotonic() + _START_SECONDS
        while not self._names and time.monotonic() < deadline:
            probes.append(folder / f"{_PROBE.decode()}{len(probes)}.done")
            probes[-1].touch()
            time.sleep(1)  # watchman tells when nothing has changed for a while
            self.told()
        for probe in probes:
            probe.unlink()


@contextmanager
def listening(one: Contestant, folders: Sequence[Path], scratch: Path) -> Iterator[None]:
    """Has it listen for the length of the block: to the first of these folders, in which the others lie."""
    scratch.mkdir()
    try:
        one.start(folders, scratch)
        yield
    finally:
        _end(one.process)
        shutil.rmtree(scratch)


def send(one: Contestant, number: signal.Signals) -> None:
    """A signal to all of its processes."""
    os.killpg(one.process.pid, number)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Raises TimeoutError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def wait_for_all(one: Contestant, count: int, quiet: float) -> int:
    """How many of ``count`` markers it was told of, once it has them all or has heard nothing for so many seconds."""
    told, since = one.told(), time.monotonic()
    while told < count and time.monotonic() - since < quiet:
        time.sleep(0.02)
        if (now := one.told()) != told:
            told, since = now, time.monotonic()
    return told


def _popen(words: Sequence[str], output: Path, packages: Path | None = None) -> Process:
    environment = os.environ | ({"PYTHONPATH": str(packages)} if packages else {})
    with output.open("wb") as file:
        return subprocess.Popen(
            [*die_with_parent(), *words],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _end(process: Process) -> None:
    for number in (signal.SIGCONT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(0 if number is signal.SIGCONT else _END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    process.wait()
