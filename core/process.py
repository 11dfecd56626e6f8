"""Child processes: each with all that it starts as one group, which is ended whole. Nothing goes through a shell.

A child has a session of its own: it has no terminal, and what interrupts us does not reach it.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import IO, NamedTuple, Self

from core.filenames import printable

PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
_NOTHING: Mapping[str, str] = MappingProxyType({})

#: From the request to end to the kill, where the caller has no reason for another one.
_GRACE_SECONDS = 1.0
#: After the kill; a process that a disk holds ends later, and nobody waits for it.
_DEATH_SECONDS = 1.0
#: All that a pipe holds: read once after the end of a child, and all that it printed is read.
_PIPE_BYTES = 1 << 16
#: poll(2) takes no infinity.
_LONGEST_WAIT_SECONDS = 86400.0
_LONGEST_LINE = 300


class Child:
    """A running program. As a context manager: where the block raises, nothing of its group runs afterwards.

    ``descriptor`` can be read (poll) as soon as it has ended. ``stdout`` and ``stderr``: None unless PIPE was asked
    for. Raises OSError where the program cannot be run.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] = _NOTHING,
        *,
        stdin: int = DEVNULL,
        stdout: int | IO[bytes] = DEVNULL,
        stderr: int | IO[bytes] = DEVNULL,
        inherited: Collection[int] = (),
    ) -> None:
        """``environment`` is added to our own. ``inherited``: descriptors that it finds open under their numbers."""
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **environment},
            pass_fds=inherited,
            start_new_session=True,
        )
        try:
            self.descriptor = os.pidfd_open(self._process.pid)
        except OSError:  # too many are open
            self._signal(signal.SIGKILL)
            self._process.wait()
            raise
        self.stdout, self.stderr = self._process.stdout, self._process.stderr

    def end(self, grace: float = _GRACE_SECONDS) -> None:
        """Ends the whole group, first asked and after ``grace`` seconds killed. Its leader is reaped last.

        Before that its number is nobody else's.
        """
        if self._process.returncode is None:
            if grace:
                self._signal(signal.SIGTERM)
                wait_for([self.descriptor], grace)
            self._signal(signal.SIGKILL)

    def wait(self, seconds: float | None = None) -> int | None:
        """How it ended: its status, or less than 0 for a signal. None: it has not ended after ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self.end(0.0)
            self.wait(_DEATH_SECONDS)
        os.close(self.descriptor)
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class Finished(NamedTuple):
    """How a command ended. ``status`` is as ``Child.wait`` has it; None: its time was over, and it was ended.

    ``output`` and ``errors``: the end of what it printed; ``is_whole``: nothing was printed before that.
    """

    status: int | None
    output: bytes
    errors: bytes
    is_whole: bool


def run(
    command: Sequence[str],
    seconds: float,
    *,
    most_bytes: int,
    environment: Mapping[str, str] = _NOTHING,
    given: bytes = b"",
    merged: bool = False,
) -> Finished:
    """Runs it to its end with ``given`` on stdin; what it has left running in its group is ended with it.

    After ``seconds`` it is ended itself. Of what it prints ``most_bytes`` are kept, of each of the two; of both
    together when they are ``merged``. Raises OSError where it cannot be run.
    """
    stdin = _file_of(given)
    try:
        child = Child(command, environment, stdin=stdin, stdout=PIPE, stderr=STDOUT if merged else PIPE)
    finally:
        os.close(stdin)
    with child:
        output, errors = _Tail(child.stdout, most_bytes), _Tail(child.stderr, most_bytes)
        is_in_time = _follow(child, time.monotonic() + seconds, [output, errors])
        child.end(0.0 if is_in_time else _GRACE_SECONDS)
        status = child.wait(_DEATH_SECONDS)
    is_whole = output.is_whole and errors.is_whole
    return Finished(status if is_in_time else None, bytes(output.kept), bytes(errors.kept), is_whole)


def _file_of(given: bytes) -> int:
    """Not a pipe: the command may well not read it."""
    file = os.memfd_create("stdin")
    os.write(file, given)
    os.lseek(file, 0, os.SEEK_SET)
    return file


class _Tail:
    """The end of what comes out of a pipe."""

    def __init__(self, pipe: IO[bytes] | None, most_bytes: int) -> None:
        self.descriptor = -1 if pipe is None else pipe.fileno()
        self.kept = bytearray()
        self.is_whole = True
        self._most = most_bytes

    def read(self) -> bool:
        """Takes what there is. False at the end of the file."""
        part = os.read(self.descriptor, _PIPE_BYTES)
        self.kept += part
        if len(self.kept) > self._most:
            self.is_whole = False
            del self.kept[: -self._most]
        return bool(part)


def _follow(child: Child, until: float, tails: Sequence[_Tail]) -> bool:
    """Reads until it has ended, or until then; whether it has ended. What it left running may print for ever."""
    open_ = {tail.descriptor: tail for tail in tails if tail.descriptor >= 0}
    while (left := until - time.monotonic()) > 0:
        ready = wait_for([child.descriptor, *open_], left)
        for descriptor in ready & open_.keys():
            if not open_[descriptor].read():
                del open_[descriptor]
        if child.descriptor in ready:
            return True
    return False


def wait_for(descriptors: Iterable[int], seconds: float) -> set[int]:
    """Those of the descriptors that can be read, or are at their end; empty when ``seconds`` have passed."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(min(max(0.0, seconds), _LONGEST_WAIT_SECONDS) * 1000)}


def how_it_ended(status: int) -> str:
    """For people: ``ended with status 3``, ``was ended by SIGTERM``."""
    return f"ended with status {status}" if status >= 0 else f"was ended by {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of those for real time have a number alone
        return f"signal {number}"


def last_line(printed: bytes) -> str:
    """The last line with anything in it, for people: mostly it is the reason."""
    lines = [line for line in printed.decode(errors="replace").splitlines() if line.strip()]
    return printable(lines[-1].strip()[:_LONGEST_LINE]) if lines else ""
