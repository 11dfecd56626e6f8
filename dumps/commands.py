"""Runs the commands of one dump, each for a limited time. What a command prints goes into the dump's log."""

import fcntl
import math
import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from core import process
from core.filenames import printable
from core.process import Child, wait_for
from core.units import format_size, format_span
from dumps.failure import DumpFailed, Stop, Stopped

#: From the request to end to the kill. Whoever cleans up after himself gets so long.
GRACE_SECONDS = 10.0
#: What is read at once, and what a pipe holds. With parts of a megabyte each write took the kernel four times as long.
_PART_BYTES = 1 << 17

#: What ``read`` keeps of an answer; a VM's description takes some kilobytes.
_MOST_READ_BYTES = 16 * 1024 * 1024
#: Of each VM so many logs stay.
_LOGS_KEPT = 30
#: Of a command that failed the last line is shown.
_LAST_BYTES = 4096

#: Takes a part, which is another one as soon as it returns.
Take = Callable[[memoryview], None]


class Commands:
    """For one dump. ``environment`` is added to this program's own; ``seconds`` is what each command may take."""

    def __init__(
        self, journal: BinaryIO, stop: Stop, environment: Mapping[str, str] | None = None, seconds: float = math.inf
    ) -> None:
        self._journal = journal
        self._stop = stop
        self._environment = environment or {}
        self._seconds = seconds

    def run(self, command: Sequence[str], **more: str) -> None:
        """Runs it to its end; ``more`` is added to its environment. Raises DumpFailed unless it ends with 0."""
        self._succeed(command, more, self._journal.fileno(), None)

    def run_into(self, command: Sequence[str], target: int) -> None:
        """What it prints goes into the open file ``target``. Raises DumpFailed."""
        self._succeed(command, {}, target, None)

    def run_through(self, command: Sequence[str], take: Take, **more: str) -> None:
        """What it prints is handed over part by part. Raises DumpFailed, and whatever ``take`` raises."""
        self._succeed(command, more, process.PIPE, take)

    def read(self, command: Sequence[str], **more: str) -> str:
        """What it prints; ``more`` is added to its environment. Raises DumpFailed."""
        answer = bytearray()

        def take(part: memoryview) -> None:
            answer.extend(part)
            if len(answer) > _MOST_READ_BYTES:
                raise DumpFailed(f"{printable(command[0])} printed more than {format_size(_MOST_READ_BYTES)}")

        self.run_through(command, take, **more)
        return answer.decode(errors="replace")

    def unless_stopped(self) -> None:
        """Raises Stopped when the run is to end."""
        if self._stop.is_asked:
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Waits so long; raises Stopped as soon as the run is to end."""
        wait_for([self._stop.descriptor], seconds)
        self.unless_stopped()

    def within(self, seconds: float) -> "Commands":
        """The same, and each may take ``seconds`` at most."""
        return Commands(self._journal, self._stop, self._environment, min(seconds, self._seconds))

    def note(self, sentence: str) -> None:
        """A line of the log."""
        with suppress(OSError):  # a dump without a log is better than none
            self._journal.write(f"tidegate: {printable(sentence)}\n".encode())

    def _succeed(self, command: Sequence[str], more: Mapping[str, str], stdout: int, take: Take | None) -> None:
        self.note(f"runs {shlex.join(command)}")
        since = self._size()
        status = self._run(command, more, stdout, take)
        if status:
            last = process.last_line(self._printed(since))
            sentence = f"{printable(command[0])} {process.how_it_ended(status)}{f': {last}' if last else ''}"
            raise DumpFailed(sentence, status if status > 0 else 128 - status)

    def _run(self, command: Sequence[str], more: Mapping[str, str], stdout: int, take: Take | None) -> int | None:
        self.unless_stopped()
        until = time.monotonic() + self._seconds
        try:
            child = Child(command, {**self._environment, **more}, stdout=stdout, stderr=self._journal)
        except OSError as error:
            raise DumpFailed(f"{printable(command[0])} cannot be run: {error.strerror}") from None
        with child:
            try:
                if take is not None and child.stdout is not None:
                    self._hand_over(child.stdout, take, until)
                self._await([child.descriptor], until)
            except BaseException:
                child.end(GRACE_SECONDS)
                child.wait()
                raise
            return child.wait()

    def _hand_over(self, stdout: IO[bytes], take: Take, until: float) -> None:
        pipe = stdout.fileno()
        with suppress(OSError):  # an ordinary user's pipes may be limited
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PART_BYTES)
        buffer = memoryview(bytearray(_PART_BYTES))  # one for all parts: a new one each took longer than to sum it
        filled, count = 0, 1
        while count:
            self._await([pipe], until)
            count = os.readv(pipe, [buffer[filled:]])
            filled += count
            if filled == _PART_BYTES or not count:
                take(buffer[:filled])
                filled = 0

    def _await(self, wanted: Iterable[int], until: float) -> None:
        """Raises DumpFailed when the time is over, Stopped when the run is to end."""
        watched = [*wanted, self._stop.descriptor]
        while not (ready := wait_for(watched, until - time.monotonic())):
            if time.monotonic() >= until:
                raise DumpFailed(f"it took longer than {format_span(self._seconds)}")
        if self._stop.descriptor in ready:
            raise Stopped

    def _printed(self, since: int) -> bytes:
        """The end of what it printed into the log, which began at ``since``."""
        size = self._size()
        start = max(since, size - _LAST_BYTES)
        return os.pread(self._journal.fileno(), size - start, start)

    def _size(self) -> int:
        return os.fstat(self._journal.fileno()).st_size


# --- the log


def open_journal(folder: Path, vm: str, name: str) -> BinaryIO:
    """A new log for the dump of this name, in the VM's own folder, less those that nobody reads any more.

    Raises OSError.
    """
    own = folder / vm
    own.mkdir(parents=True, exist_ok=True)
    path = own / f"{name}.log"
    journal = open(path, "a+b", buffering=0, opener=_private)  # noqa: SIM115 - it is the caller's to close
    for old in sorted(own.glob("*.log"), key=_written)[:-_LOGS_KEPT]:
        with suppress(OSError):  # two runs may tidy at once
            old.unlink()
    return cast(BinaryIO, journal)


def _private(path: str, flags: int) -> int:
    """What commands print may be nobody else's business."""
    return os.open(path, flags, 0o640)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
