"""Why a dump was not made, and the word to stop."""

import os

from core.filenames import printable
from core.process import wait_for


class DumpFailed(Exception):
    """A sentence for the marker, the log and the summary; ``exit_status`` where a command gave one."""

    def __init__(self, sentence: str, exit_status: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_status = exit_status

    def __str__(self) -> str:
        return self.sentence


class Stopped(DumpFailed):
    """The run was asked to end."""

    def __init__(self) -> None:
        super().__init__("its run was stopped")


class Stop:
    """The word to stop; once asked for it stays so.

    A signal handler asks for it while any thread holds any lock, so it is nothing but a descriptor.
    """

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ask(self) -> None:
        """Whoever waits for its descriptor wakes."""
        os.eventfd_write(self.descriptor, 1)

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked for it."""
        return bool(wait_for([self.descriptor], 0))

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self.descriptor)


def sentence_of(error: Exception) -> str:
    """The error as a sentence for people."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{(error.strerror or str(error)).lower()}")
    return str(error)
