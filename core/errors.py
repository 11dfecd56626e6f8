"""Errors an admin can act on. Everything else is a bug and shows its trace.

The exit codes are the same for every command.
"""

from collections.abc import Iterable
from enum import IntEnum

#: What Python raises over JSON that is none, is nested too deep, or holds other things than it should.
NOT_AS_TOLD = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class ExitCode(IntEnum):
    """Documented exit codes."""

    DONE = 0
    PARTLY = 1
    USAGE = 2
    FAULT = 3
    BUSY = 75


class TidegateError(Exception):
    """A sentence for the admin and the exit code that goes with it."""

    exit_code: ExitCode = ExitCode.FAULT


class UsageError(TidegateError):
    """Wrong usage or configuration: nothing was done."""

    exit_code = ExitCode.USAGE


class UnknownVmError(UsageError):
    """A VM is named that no marker, link or copy was ever recorded for; ``known`` are the names that there are."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        from difflib import get_close_matches  # 10 ms of each command's start

        near = get_close_matches(name, list(known), n=1)
        super().__init__(
            f"Unknown VM {name!r}. Did you mean {near[0]}?" if near else f"Unknown VM {name!r}; see `tidegate status`"
        )


class FaultError(TidegateError):
    """A fault outside: disk, permissions, state."""

    exit_code = ExitCode.FAULT


class NewerStateError(FaultError):
    """The state file was written by a newer Tidegate: this one must end and make room for it."""


class BusyError(TidegateError):
    """Somebody else holds the lock past the time allowed: nothing was done, try again."""

    exit_code = ExitCode.BUSY
