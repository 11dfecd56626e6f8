"""Runs the commands of one dump, each with all that it starts as one group: its time is limited, and it is ended whole.

What a command prints goes into the dump's log. Nothing of it goes through a shell.
"""

import fcntl
import logging
import math
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO

from core.filenames import printable
from core.signal_names import signal_name
from core.units import format_span
from dumps.failure import DumpFailed, Stopped
from dumps.stop import Stop, wait

log = logging.getLogger("tidegate.dumps")

#: From the request to end to the kill. Whoever cleans up after himself gets so long.
GRACE_SECONDS = 10.0
#: What is read at once, and what a pipe holds. With parts of a megabyte each write took the kernel four times as long.
_PART_BYTES = 1 << 17

#: Of a command that failed its last line is told.
_LAST_BYTES = 4096
_LONGEST_WORDS = 300
#: poll(2) takes no infinity.
_LONGEST_WAIT_SECONDS = 86400.0

#: Takes a part, which is another one as soon as it returns.
Take = Callable[[memoryview], None]


class Commands:
    """For one dump. ``environment`` is added to this program's own; ``seconds`` is what each command may take."""

    def __init__(
        self, journal: BinaryIO, stop: Stop, environment: Mapping[str, str] | None = None, seconds: float = math.inf
    ) -> None:
        self._journal = journal
        self._stop = stop
        self._told = environment or {}
        self._environment = {**os.environ, **self._told}
        self._seconds = seconds

    def run(self, command: Sequence[str], **more: str) -> None:
        """Runs it to its end; ``more`` is added to its environment. Raises DumpFailed unless it ends with 0."""
        self._succeed(command, more, self._journal.fileno(), None)

    def run_into(self, command: Sequence[str], target: int) -> None:
        """What it prints goes into the open file ``target``. Raises DumpFailed."""
        self._succeed(command, {}, target, None)

    def run_through(self, command: Sequence[str], take: Take, **more: str) -> None:
        """What it prints is handed over part by part. Raises DumpFailed, and whatever ``take`` raises."""
        self._succeed(command, more, subprocess.PIPE, take)

    def read(self, command: Sequence[str], **more: str) -> str:
        """What it prints; ``more`` is added to its environment. Raises DumpFailed."""
        parts: list[bytes] = []
        self.run_through(command, lambda part: parts.append(bytes(part)), **more)
        return b"".join(parts).decode(errors="replace")

    def unless_stopped(self) -> None:
        """Raises Stopped when the run is to end."""
        if self._stop.is_asked:
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Waits so long; raises Stopped as soon as the run is to end."""
        wait({self._stop.descriptor: select.POLLIN}, seconds)
        self.unless_stopped()

    def within(self, seconds: float) -> "Commands":
        """The same, and each may take ``seconds`` at most."""
        return Commands(self._journal, self._stop, self._told, min(seconds, self._seconds))

    def note(self, sentence: str) -> None:
        """A line of the log."""
        with suppress(OSError):  # a dump without a log is better than none
            self._journal.write(f"tidegate: {printable(sentence)}\n".encode())

    def _succeed(self, command: Sequence[str], more: Mapping[str, str], stdout: int, take: Take | None) -> None:
        self.note(f"runs {shlex.join(command)}")
        since = self._size()
        status = self._run(command, more, stdout, take)
        if status:
            told = f"ended with status {status}" if status > 0 else f"was ended by {signal_name(-status)}"
            sentence = f"{printable(command[0])} {told}{self._last_words(since)}"
            raise DumpFailed(sentence, status if status > 0 else 128 - status)

    def _run(self, command: Sequence[str], more: Mapping[str, str], stdout: int, take: Take | None) -> int:
        self.unless_stopped()
        until = time.monotonic() + self._seconds
        process = self._start(command, more, stdout)
        ended = os.pidfd_open(process.pid)
        try:
            if take is not None:
                self._hand_over(process, take, until)
            self._await({ended: select.POLLIN}, until)
        except BaseException:
            _end(process, ended)
            raise
        finally:
            os.close(ended)
            if process.stdout is not None:
                process.stdout.close()
        return process.wait()

    def _start(self, command: Sequence[str], more: Mapping[str, str], stdout: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=self._journal,
                env={**self._environment, **more},
                start_new_session=True,  # a group of its own, and no terminal whose Ctrl-C it would get as well
            )
        except OSError as error:
            raise DumpFailed(f"{printable(command[0])} cannot be run: {error.strerror}") from None

    def _hand_over(self, process: subprocess.Popen[bytes], take: Take, until: float) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        pipe = process.stdout.fileno()
        with suppress(OSError):  # an ordinary user's pipes may be limited
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PART_BYTES)
        buffer = memoryview(bytearray(_PART_BYTES))  # one for all parts: a new one each took longer than to sum it
        filled, count = 0, 1
        while count:
            self._await({pipe: select.POLLIN}, until)
            count = os.readv(pipe, [buffer[filled:]])
            filled += count
            if filled == _PART_BYTES or not count:
                take(buffer[:filled])
                filled = 0

    def _await(self, wanted: Mapping[int, int], until: float) -> None:
        """Raises DumpFailed when the time is over, Stopped when the run is to end."""
        watched = {**wanted, self._stop.descriptor: select.POLLIN}
        while not (ready := wait(watched, min(until - time.monotonic(), _LONGEST_WAIT_SECONDS))):
            if time.monotonic() >= until:
                raise DumpFailed(f"it took longer than {format_span(self._seconds)}")
        if self._stop.descriptor in ready:
            raise Stopped

    def _last_words(self, since: int) -> str:
        """The last line that it printed into the log, which began at ``since``: mostly it says why."""
        size = self._size()
        start = max(since, size - _LAST_BYTES)
        said = os.pread(self._journal.fileno(), size - start, start).decode(errors="replace").split("\n")
        words = [line.strip() for line in said if line.strip()]
        return f": {printable(words[-1][:_LONGEST_WORDS])}" if words else ""

    def _size(self) -> int:
        return os.fstat(self._journal.fileno()).st_size


def _end(process: subprocess.Popen[bytes], ended: int) -> None:
    """The whole group, first asked and then killed. Its leader is not reaped before: else its number were anybody's."""
    _signal(process.pid, signal.SIGTERM)
    wait({ended: select.POLLIN}, GRACE_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
