"""A clock that stands still until a test moves it."""

import time

from core.clock import Instant

HOUR = 3600.0
DAY = 24 * HOUR


class GivenClock:
    """Tells the time that it was given: a wall clock that may jump, and an uptime that never does.

    It starts at the host's present time, since the stamps that the kernel gives to files are never older than that.
    """

    def __init__(self, wall: float | None = None) -> None:
        self._now = Instant(time.time() if wall is None else wall, "boot-1", 1000.0)
        self._boots = 1

    def now(self) -> Instant:
        return self._now

    @property
    def wall(self) -> float:
        """What the wall clock shows, in seconds since the epoch."""
        return self._now.wall

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._now = self._now._replace(wall=self._now.wall + seconds, uptime=self._now.uptime + seconds)

    def jump_wall(self, seconds: float) -> None:
        """The wall clock is set; no time passes."""
        self._now = self._now._replace(wall=self._now.wall + seconds)

    def reboot(self, down_for: float = 60.0) -> None:
        """The host starts anew: another boot, whose uptime begins at nothing."""
        self._boots += 1
        self._now = Instant(self._now.wall + down_for, f"boot-{self._boots}", 10.0)
