"""When the daily pass is due, and its run in a thread of its own so that recording continues meanwhile."""

import logging
import threading
from collections.abc import Callable

from core.clock import Clock
from core.config.settings import Config
from core.errors import FaultError
from core.state import counters
from core.state.database import State
from core.units import last_reached

log = logging.getLogger("tidegate.watcher")

#: A pass that began so much later than now was stamped by a wrong clock, and does not count.
_WRONG_CLOCK_SECONDS = 25 * 3600.0
_RETRY_SECONDS = 60.0
#: Passes run by hand or after each dump are rows too; one of the newest is of today if any is.
_NEWEST = 20


class DailyPass:
    """Runs ``run`` once for each local date, at ``[pass] at``.

    A pass is due when none has begun since that time last came, by whomever. So one that was missed while the host was
    off runs at the start of the service, as also at its very first start; a pass by hand after that time counts for it;
    and a clock that jumps causes at most one more, which exceeds no limit.
    """

    def __init__(self, config: Config, state: State, clock: Clock, run: Callable[[], None] | None) -> None:
        self._at = config.daily_pass.at
        self._zone = config.day.timezone
        self._state = state
        self._clock = clock
        self._run = run
        self._done_for: float | None = None
        self._not_before = float("-inf")
        self._thread: threading.Thread | None = None

    def run_if_due(self) -> None:
        """Begins the pass if it is due."""
        now = self._clock.now()
        if self._run is None or self._at is None or now.uptime < self._not_before or self.is_running():
            return
        due = last_reached(self._at, self._zone, now.wall)
        if due == self._done_for:
            return
        try:
            has_run = self._has_run_since(due, now.wall)
        except FaultError as error:
            log.warning("the daily pass waits: %s", error)
            self._not_before = now.uptime + _RETRY_SECONDS
            return
        self._done_for = due
        if not has_run:
            self._begin(self._run)

    def is_running(self) -> bool:
        """True while the pass that was begun here has not ended."""
        return self._thread is not None and self._thread.is_alive()

    def _has_run_since(self, due: float, now: float) -> bool:
        with self._state.read() as connection:
            newest = counters.last_passes(connection, _NEWEST)
        return any(due <= one.started_at < now + _WRONG_CLOCK_SECONDS for one in newest)

    def _begin(self, run: Callable[[], None]) -> None:
        log.info("the daily pass begins")
        self._thread = threading.Thread(target=_run, args=(run,), name="daily pass", daemon=True)
        self._thread.start()


def _run(run: Callable[[], None]) -> None:
    try:
        run()
    except Exception:
        log.exception("the daily pass has failed")
