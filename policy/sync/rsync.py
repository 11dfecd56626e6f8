"""One run of rsync under the meter: lends bytes as it goes, listens to what it says, and knows what it sent."""

import os
import selectors
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, NamedTuple, cast

from core.errors import FaultError
from core.process import PIPE, Child
from policy.sync import command
from policy.sync.command import Job
from policy.sync.meter import LEASE, REPORT
from policy.sync.quota import ByteBudget
from policy.sync.rsync_log import Item, items

_TAIL = 4000
#: For rsync to put its part in order, once it is cut.
_GRACE_SECONDS = 30.0


class Progress(NamedTuple):
    """Where a sync is: bytes sent by this run, and the file that rsync has come to ('' before the first)."""

    sent: int
    name: str


class Ran(NamedTuple):
    """What a run came to. ``status`` is rsync's own, negative a signal's; ``complaint`` what it said of a failure.

    ``was_cut``: there was more to send than it might. ``name`` is the file that it came to last. ``files`` are those
    that its log says it was through with.
    """

    status: int
    sent: int
    received: int
    was_cut: bool
    complaint: str
    name: str
    files: list[Item]


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
    said = os.fsdecode(job.log.read_bytes()) if job.log.exists() else ""
    return Ran(watched.status, watched.sent, watched.received, watched.was_cut, complaint, watched.name, items(said))


def _start(job: Job, control: socket.socket, errors: IO[bytes]) -> Child:
    """What interrupts us does not reach it: it is to be cut first."""
    calling = command.call(job, control.fileno())
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
        except ConnectionResetError:  # once, when the meter has ended before it heard all; what it told stands behind
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
