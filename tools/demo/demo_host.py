"""The scratch folder of the demo and the real programs in it: Tidegate's commands and watcher, rsync and its daemon."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

_CONFIG = """\
[state]
path = "state.db"

[[watch]]
path = "dumps"

[limit]
daily = "10 MB"

[day]
at_least = "0s"                # ten days are to pass in a minute

[offsite]
storage = "mirror"
confirm = "report"             # sync-started and synced tell it

[backup_sets.house]
vms = [{vms}]

[exporters.http]
listen = "127.0.0.1:{port}"
"""

_RSYNCD = """\
address = 127.0.0.1
port = {port}
use chroot = no
log file = {folder}/rsyncd.log
{user}
[offsite]
path = {folder}/dumps/.rsync
read only = yes
"""

#: Everything here takes a moment; whoever takes a minute hangs.
IO_TIMEOUT = 60.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Broken(Exception):
    """Something could not be done. The text is a sentence for people."""


class World:
    """One scratch folder.

    ::

        dumps/         what the two scripts write, and Tidegate's export tree, .rsync
        storage/       the storage at the other end of the line
        config.toml, state.db, rsyncd.conf, watch.log, rsyncd.log
    """

    def __init__(self, folder: Path, vms: tuple[str, ...]) -> None:
        self.folder = folder
        self.dumps = folder / "dumps"
        self.storage = folder / "storage"
        self._vms = vms
        self._config = folder / "config.toml"
        self._ports = {"metrics": 0, "rsync": 0}
        for one in (self.dumps, self.dumps / ".rsync", self.storage):
            one.mkdir()

    # --- Tidegate

    def command(self, *words: str) -> list[str]:
        """A real command of Tidegate on this folder."""
        return [sys.executable, "-m", "tidegate", "--config", str(self._config), *words]

    def tidegate(self, *words: str) -> dict[str, Any]:
        """Runs a command with ``--json`` and returns what it prints."""
        shape: dict[str, Any] = json.loads(run([*self.command(*words), "--json"]))
        return shape

    def metrics(self) -> str:
        """The text of /metrics, from the running watcher."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports['metrics']}/metrics", timeout=IO_TIMEOUT) as answer:
            return str(answer.read(), "utf-8")

    @contextmanager
    def watcher(self) -> Iterator[None]:
        """Runs ``tidegate watch`` as long as the block."""

        def start(port: int) -> subprocess.Popen[bytes]:
            self._ports["metrics"] = port
            names = ", ".join(f'"{vm}"' for vm in self._vms)
            self._config.write_text(_CONFIG.format(port=port, vms=names))
            return self._start(self.command("watch"), "watch.log")

        with self._service("tidegate watch", start, lambda: "tidegate_watch_up{" in self.metrics(), "watch.log"):
            yield

    # --- rsync

    def pull(self) -> str:
        """What the storage does once a day. Returns rsync's statistics."""
        address = f"rsync://127.0.0.1:{self._ports['rsync']}/offsite/"
        # What is counted here is dumps: the manifest is charged to nobody.
        options = ["--exclude=/.tidegate/", "--partial-dir=.rsync-partial", "--stats", "--no-h"]
        return run(["rsync", "-a", *options, address, str(self.storage)])

    @contextmanager
    def rsync_daemon(self) -> Iterator[None]:
        """Runs ``rsync --daemon`` on the export tree as long as the block."""

        def start(port: int) -> subprocess.Popen[bytes]:
            self._ports["rsync"] = port
            # Started by root a daemon would turn into nobody, who may not come into a folder of root's.
            user = f"uid = {os.getuid()}\ngid = {os.getgid()}\n" if os.getuid() == 0 else ""
            file = self.folder / "rsyncd.conf"
            file.write_text(_RSYNCD.format(port=port, folder=self.folder, user=user))
            return self._start(["rsync", "--daemon", "--no-detach", f"--config={file}"], "rsyncd.out")

        with self._service("rsync --daemon", start, self._rsync_answers, "rsyncd.log"):
            yield

    def _rsync_answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self._ports["rsync"]), timeout=IO_TIMEOUT) as connection:
            return connection.recv(8) == b"@RSYNCD:"

    # --- processes

    def _start(self, words: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as file:
            return start(words, stdout=file, stderr=file)

    @contextmanager
    def _service(
        self, name: str, start: Callable[[int], subprocess.Popen[bytes]], answers: Callable[[], bool], log: str
    ) -> Iterator[None]:
        """A free port may be taken by somebody else before it is used: then another one is tried."""
        for _ in range(5):
            process = start(_free_port())
            try:
                if _comes_up(name, process, answers):
                    yield
                    _see_alive(name, process)
                    return
            finally:
                _stop(process)
        raise Broken(f"{name} does not start: {_last_lines(self.folder / log)}")


def start(words: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts a program that ends with us, whatever ends us."""
    return subprocess.Popen(
        words,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, and there are no threads here
        **options,
    )


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run(words: list[str]) -> str:
    """Runs a program to its end and returns its output. Raises Broken when it fails or hangs."""
    process = start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=IO_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Broken(f"`{shown(words)}` has not ended after {IO_TIMEOUT:.0f} seconds") from None
    finally:
        _stop(process)
    if process.returncode != 0:
        raise Broken(f"`{shown(words)}` ended with {process.returncode}: {err.decode(errors='replace').strip()}")
    return out.decode()


def shown(words: list[str]) -> str:
    """A command as one would type it."""
    line = " ".join(words)
    return line.replace(f"{sys.executable} -m ", "")


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    """Waits for a condition. Raises Broken when it does not come about."""
    deadline = time.monotonic() + IO_TIMEOUT
    while not is_so():
        if time.monotonic() > deadline:
            raise Broken(f"{what} did not happen within {IO_TIMEOUT:.0f} seconds")
        time.sleep(0.02)


def _comes_up(name: str, process: subprocess.Popen[bytes], answers: Callable[[], bool]) -> bool:
    """False when the process ends before it answers."""

    def settled() -> bool:
        with suppress(OSError):
            return answers() or process.poll() is not None
        return process.poll() is not None

    wait_until(f"{name} answering", settled)
    return process.poll() is None


def _see_alive(name: str, process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise Broken(f"{name} ended by itself with {process.returncode}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return " / ".join(lines[-3:]) or "it says nothing"
