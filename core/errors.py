"""Errors an admin can act on. Everything else is a bug and shows its trace.

The exit codes are the same for every command (DESIGN 9).
"""

from enum import IntEnum

#: What Python raises over JSON that is none, is nested too deep, or tells of other things than it should.
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


class FaultError(TidegateError):
    """A fault outside: disk, permissions, state."""

    exit_code = ExitCode.FAULT


class NewerStateError(FaultError):
    """The state file was written by a newer Tidegate: this one must end and make room for it."""


class BusyError(TidegateError):
    """Somebody else holds the lock past the time allowed: nothing was done, try again."""

    exit_code = ExitCode.BUSY
