"""A command of the admin's that is run to tell somebody, with all that it starts as one group.

It gets what happened on stdin and in its environment. What it prints goes nowhere but for its last line: its output is
no file of ours, for what it leaves running would hold that open for ever.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from core.filenames import printable
from core.signal_names import signal_name

#: From the request to end to the kill.
_GRACE_SECONDS = 1.0
_LAST_BYTES = 4096
#: All that a pipe holds: read once after its end, and all that it printed is read.
_PIPE_BYTES = 1 << 16
_LONGEST_LINE = 300


class Ended(NamedTuple):
    """How it ended, in words, and how long it took in seconds."""

    is_well: bool
    said: str
    seconds: float


def run(command: Sequence[str], told: bytes, environment: Mapping[str, str], seconds: float) -> Ended:
    """Runs it with ``told`` on stdin and ``environment`` besides our own. Never raises for what it does.

    After ``seconds`` it is ended; when it has ended, what it has left running is ended too.
    """
    began = time.monotonic()
    name = printable(command[0])
    try:
        process = _start(command, told, environment)
    except OSError as error:
        return Ended(False, f"{name} cannot be run: {error.strerror}", time.monotonic() - began)
    ended = os.pidfd_open(process.pid)
    try:
        is_in_time, last = _follow(process, ended, began + seconds)
        status = _end(process, ended, 0.0 if is_in_time else _GRACE_SECONDS)
    finally:
        os.close(ended)
    took = time.monotonic() - began
    if not is_in_time or status is None:
        return Ended(False, f"{name} had not ended after {seconds:g} s, and was ended", took)
    if status == 0:
        return Ended(True, "ended with 0", took)
    how = f"ended with {status}" if status > 0 else f"was ended by {signal_name(-status)}"
    return Ended(False, f"{name} {how}{f': {last}' if last else ''}", took)


def _start(command: Sequence[str], told: bytes, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    stdin = os.memfd_create("tidegate")  # not a pipe: it may well not read it
    try:
        os.write(stdin, told)
        os.lseek(stdin, 0, os.SEEK_SET)
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    finally:
        os.close(stdin)


def _follow(process: subprocess.Popen[bytes], ended: int, until: float) -> tuple[bool, str]:
    """Until it has ended, or until then: whether it has, and the last line that it printed."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    poll, last = select.poll(), b""
    with process.stdout as pipe:
        poll.register(ended, select.POLLIN)
        poll.register(pipe, select.POLLIN)
        while (left := until - time.monotonic()) > 0:
            happened = dict(poll.poll(left * 1000))
            if pipe.fileno() in happened:
                part = os.read(pipe.fileno(), _PIPE_BYTES)
                last = (last + part)[-_LAST_BYTES:]
                if not part:
                    poll.unregister(pipe)
            if ended in happened:  # what it has left running may print for ever
                return True, _last_line(last)
    return False, ""


def _last_line(printed: bytes) -> str:
    lines = printed.decode(errors="replace").strip().splitlines() or [""]
    return printable(lines[-1])[:_LONGEST_LINE]


def _end(process: subprocess.Popen[bytes], ended: int, grace: float) -> int | None:
    """Ends its group; its number is nobody else's until it is waited for. None: the kernel does not let it go."""
    with suppress(ProcessLookupError):
        if grace:
            os.killpg(process.pid, signal.SIGTERM)
            select.select([ended], [], [], grace)
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return None
