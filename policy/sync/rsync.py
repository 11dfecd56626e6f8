"""rsync: how it is called, and one run of it under the meter, which lends it bytes as it goes.

The meter is between rsync and its transport. What rsync prints is followed, and what it sent is known.
"""

import os
import re
import selectors
import shlex
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, cast

from core.config.network_settings import Push
from core.config.settings import WatchFolder
from core.errors import FaultError
from core.process import PIPE, Child
from policy.sync import meter
from policy.sync.meter import LEASE, REPORT
from policy.sync.quota import ByteBudget
from policy.sync.rsync_log import LOG_FORMAT, LogItem, items

#: What is left of a transfer that was cut stays beside its file, whose last whole version is not touched.
PARTIAL = ".rsync-partial"
_DAEMON_PORT = "873"
_HOST = r"(?:[^@/]*@)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/\[\]]+))"
_URL = re.compile(rf"rsync://{_HOST}(?::(?P<port>\d+))?(?:/|$)")
_MODULE = re.compile(rf"{_HOST}::")
_REMOTE = re.compile(r"[^/]*:")

_TAIL = 4000
#: For rsync to put its part in order, once it is cut.
_GRACE_SECONDS = 30.0


class Call(NamedTuple):
    """A program with its words, and what its environment has beside ours."""

    words: list[str]
    environment: Mapping[str, str]


class Job(NamedTuple):
    """One run of rsync. ``source`` is rsync's; ``out_format`` is what it prints when it comes to a file."""

    push: Push
    watch: WatchFolder
    source: str
    log: Path
    options: tuple[str, ...] = ()


def call(job: Job, control: int) -> Call:
    """The call of rsync for this job; its meter listens on the descriptor ``control``.

    Raises FaultError for a folder of this host that is not there: its disk may not be mounted, and must not be
    mistaken for an empty one.
    """
    push = job.push
    there = push.destination_of(job.watch.name)
    counting = [sys.executable, "-I", "-S", meter.__file__, str(control)]
    words = [push.rsync, *push.options, *_set(job.log), *job.options]
    if (daemon := _daemon(there, push.options)) is not None:
        connect = shlex.join([*counting, "tcp", *daemon])
        return Call([*words, "--", job.source, there], {"RSYNC_CONNECT_PROG": connect})
    if _REMOTE.match(there):
        return Call([*words, f"--rsh={shlex.join([*counting, 'shell', *push.ssh])}", "--", job.source, there], {})
    if not Path(there).is_dir():
        raise FaultError(f"{there}: the destination does not exist; is its disk mounted?")
    local = [f"--rsh={shlex.join([*counting, 'local'])}", f"--rsync-path={shlex.quote(push.rsync)}"]
    return Call([*words, *local, "--", job.source, f"here:{there}"], {})


def _set(log: Path) -> list[str]:
    """Each file is named: on stdout when rsync comes to it, in the log when it is through with it."""
    output = ["--stats", "--no-human-readable", "-ii", "--out-format=%i %l %n"]
    return [f"--partial-dir={PARTIAL}", *output, f"--log-file={log}", f"--log-file-format={LOG_FORMAT}"]


def _daemon(there: str, options: tuple[str, ...]) -> tuple[str, str] | None:
    """Host and port of a daemon; None where the destination is none."""
    found = _URL.match(there) or _MODULE.match(there)
    if found is None:
        return None
    ports = [option.partition("=")[2] for option in options if option.startswith("--port=")]
    port = found.groupdict().get("port") or (ports[-1] if ports else _DAEMON_PORT)
    return found["six"] or found["host"], port


# --- one run


class Progress(NamedTuple):
    """Where a sync is: bytes sent by this run, and the file that rsync has come to ('' before the first)."""

    sent: int
    name: str


class Ran(NamedTuple):
    """What a run came to. ``status`` is rsync's own, negative a signal's; ``complaint`` what it printed of a failure.

    ``was_cut``: there was more to send than it might. ``name`` is the file that it came to last. ``files`` are those
    that it was through with, by its log.
    """

    status: int
    sent: int
    received: int
    was_cut: bool
    complaint: str
    name: str
    files: list[LogItem]


def run(job: Job, byte_budget: ByteBudget, at_most: int, listen: Callable[[Progress], None]) -> Ran:
    """Runs rsync to its end, or until it has sent what it may. Raises FaultError where there is none to run."""
    with tempfile.TemporaryFile() as errors:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with here, there, _start(job, there, errors) as rsync:
            there.close()
            stdout = cast("IO[bytes]", rsync.stdout)
            watched = _Watched(rsync, stdout, here, byte_budget, at_most, listen)
            try:
                watched.follow()
            except BaseException:
                watched.stop()
                raise
            finally:
                byte_budget.settle(watched.sent)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
        complaint = os.fsdecode(errors.read()).strip()
    log = os.fsdecode(job.log.read_bytes()) if job.log.exists() else ""
    return Ran(watched.status, watched.sent, watched.received, watched.was_cut, complaint, watched.name, items(log))


def _start(job: Job, control: socket.socket, errors: IO[bytes]) -> Child:
    """What interrupts us does not reach it: it is to be cut first."""
    calling = call(job, control.fileno())
    try:
        return Child(calling.words, calling.environment, stdout=PIPE, stderr=errors, inherited=[control.fileno()])
    except OSError as error:
        raise FaultError(f"{calling.words[0]}: rsync cannot be started: {error.strerror}") from error


@dataclass(slots=True)
class _Watched:
    rsync: Child
    stdout: IO[bytes]
    control: socket.socket
    byte_budget: ByteBudget
    at_most: int
    listen: Callable[[Progress], None]
    sent: int = 0
    received: int = 0
    was_cut: bool = False
    name: str = ""
    status: int = 0
    _said: int = -1
    _line: bytes = field(default=b"")

    def follow(self) -> None:
        """Until rsync has ended and its meter too: only then is the count the last one."""
        os.set_blocking(self.stdout.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(self.control, selectors.EVENT_READ, self._hear)
            selector.register(self.stdout, selectors.EVENT_READ, self._read)
            self._lease()
            while selector.get_map():
                for key, _ in selector.select():
                    if not key.data():
                        selector.unregister(key.fileobj)
        self.status = self.rsync.wait() or 0

    def stop(self) -> None:
        """Cuts it, as at the end of the day's bytes: the storage keeps what it has."""
        self._cut()
        while self._hear():
            pass
        self.rsync.end(_GRACE_SECONDS)
        self.rsync.wait()

    def _hear(self) -> bool:
        """What the meter reports; False when it has ended."""
        packet = self._packet()
        if not packet:
            return False
        self.sent, self.received, wants_more = REPORT.unpack(packet)
        allowed = self._lease()
        if wants_more and allowed <= self.sent:
            self.was_cut = True
            self._cut()
        self.listen(Progress(self.sent, self.name))
        return True

    def _packet(self) -> bytes:
        try:
            return self.control.recv(REPORT.size)
        except ConnectionResetError:  # once, when the meter has ended before it heard all; its reports are still there
            return self.control.recv(REPORT.size)

    def _read(self) -> bool:
        """What rsync prints: ``<f+++++++++ 4096 vm1.img`` when it comes to a file to send."""
        data = os.read(self.stdout.fileno(), 65536)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if line.startswith(b"<f"):
                self.name = os.fsdecode(line.split(b" ", 2)[2])
                self.listen(Progress(self.sent, self.name))
        return bool(data)

    def _lease(self) -> int:
        allowed = self.byte_budget.lease(self.sent, self.at_most)
        if allowed > self._said:
            self._said = allowed
            self._say(allowed, is_last=False)
        return allowed

    def _cut(self) -> None:
        self._say(0, is_last=True)

    def _say(self, allowed: int, *, is_last: bool) -> None:
        with suppress(OSError):  # the meter has ended
            self.control.send(LEASE.pack(allowed, is_last))
