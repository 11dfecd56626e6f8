"""One thread for each watch folder: a folder on a mount that hangs must not stop the others."""

import threading

from core.clock import Clock
from watcher.follower import Follower

#: So soon a dead doorbell is noticed.
_LONGEST_WAIT_SECONDS = 10.0


class FolderLoop(threading.Thread):
    """Turns one follower until it is told to end, then records what was seen and closes.

    ``condition`` is the one that the follower's doorbell rings. A thread that waits on a dead mount cannot be ended:
    it is a daemon, and what it records when the mount answers again is what anybody would record.
    """

    def __init__(
        self,
        name: str,
        follower: Follower,
        *,
        condition: threading.Condition,
        ending: threading.Event,
        clock: Clock,
    ) -> None:
        super().__init__(name=f"watch {name}", daemon=True)
        self.watch = name
        self.failure: BaseException | None = None
        self.has_turned = False
        self._follower = follower
        self._condition = condition
        self._clock = clock
        self._ending = ending
        self._busy_since: float | None = None

    def end(self) -> None:
        """Makes the thread record what was seen and end."""
        self._ending.set()
        with self._condition:
            self._condition.notify_all()

    def want_scan(self) -> None:
        """Asks for a whole scan."""
        self._follower.want_scan()

    def busy_for(self) -> float:
        """Seconds that the present turn has taken, 0 between turns."""
        since = self._busy_since
        return 0.0 if since is None else self._clock.now().uptime - since

    def run(self) -> None:
        """The thread's own."""
        try:
            while not self._ending.is_set():
                self._turn()
                self._wait()
            self._follower.drain()
        except BaseException as error:  # noqa: BLE001 - handed to the service, which ends with it
            self.failure = error
        finally:
            self._follower.close()

    def _turn(self) -> None:
        if self._follower.due() <= self._clock.now().uptime:
            self._busy_since = self._clock.now().uptime
            self._follower.turn()
            self._busy_since = None
        self.has_turned = True

    def _wait(self) -> None:
        with self._condition:
            delay = self._follower.due() - self._clock.now().uptime
            if delay > 0 and not self._ending.is_set():
                self._condition.wait(min(delay, _LONGEST_WAIT_SECONDS))
