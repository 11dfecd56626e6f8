"""The one source of time. Tests replace it in process; nothing else asks the system for the time."""

import time
from typing import NamedTuple, Protocol

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Instant(NamedTuple):
    """One reading of the clock.

    ``wall`` is in seconds since the epoch and may jump; ``uptime`` is in seconds since the boot that
    ``boot_id`` names and never jumps. Two instants of one boot can so tell how much time really passed.
    """

    wall: float
    boot_id: str
    uptime: float

    def elapsed_since(self, earlier: "Instant") -> float:
        """Seconds since ``earlier``, never more than what really passed and never below 0.

        Where both are of one boot the smaller of the two clocks counts: a wall clock set forward
        must not make a day older than it is.
        """
        elapsed = self.wall - earlier.wall
        if self.boot_id == earlier.boot_id:
            elapsed = min(elapsed, self.uptime - earlier.uptime)
        return max(0.0, elapsed)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> Instant:
        """The present instant."""
        ...


class SystemClock:
    """The clock of this host."""

    def __init__(self) -> None:
        with open(_BOOT_ID, encoding="ascii") as file:  # noqa: PTH123 - `mark` starts without pathlib
            self._boot_id = file.read().strip()

    def now(self) -> Instant:
        """The present instant."""
        return Instant(time.time(), self._boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))


def time_of_files_ns() -> int:
    """Nanoseconds since the epoch by the clock that the kernel stamps files with: for how old those stamps are.

    A given clock of a test says nothing of real files.
    """
    return time.time_ns()
