"""Processes that a dump has left behind: those of a run that was killed, or that have left their group.

Each command of a dump carries its mark in its environment, and so does whatever it starts. The mark cannot be
mistaken as a number of a process could be, which may be another's by now.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.process import wait_for
from dumps.failure import DumpFailed

#: The variable that carries the mark.
MARK = "TIDEGATE_RUN"
_PROC = Path("/proc")
#: A process that does not end so long after it was killed waits for a disk.
_DEATH_SECONDS = 10.0
#: Those found may have started others between the look and the kill.
_ROUNDS = 10


def end_all(mark: str) -> int:
    """Kills every process with this mark. Returns how many; raises DumpFailed where one does not end."""
    ended = 0
    for _ in range(_ROUNDS):
        found = list(_marked(mark))
        if not found:
            break
        for process in found:
            ended += 1
            _kill(process, mark)
    return ended


def _marked(mark: str) -> Iterator[int]:
    for entry in os.listdir(_PROC):
        if entry.isdecimal() and _has(int(entry), mark):
            yield int(entry)


def _has(process: int, mark: str) -> bool:
    try:
        variables = (_PROC / str(process) / "environ").read_bytes()
    except OSError:  # it has ended, or is another user's
        return False
    return f"{MARK}={mark}".encode() in variables.split(b"\0")


def _kill(process: int, mark: str) -> None:
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        if not _has(process, mark):  # the number is another's since
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not wait_for([descriptor], _DEATH_SECONDS):
            raise DumpFailed(f"process {process} of it was killed and does not end: it waits for a disk")
    finally:
        os.close(descriptor)
