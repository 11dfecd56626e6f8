"""The background service: follows every watch folder, records what appears, and runs the daily pass."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from tidegate.clock import Clock
from tidegate.config.model import Config
from tidegate.state.door import State
from watcher.daily import DailyPass
from watcher.follower import Follower

#: So soon a change of the wall clock, the time of the daily pass and a dead doorbell are noticed, in seconds.
_LONGEST_WAIT_SECONDS = 10.0


class Watcher:
    """Follows the watch folders of one configuration until it is stopped.

    ``run_pass`` runs one pass, in a thread of its own. Everything that was marked stands on the disk until it is
    recorded, so a watcher that is killed loses nothing: the next one scans.

    ``on_turn`` is called by the loop itself each time it has turned, every 10 s at the longest: who hears it knows
    that the loop is alive. What it raises ends ``run``. ``on_ready`` is called once, before that, when every folder
    that answers has had its first scan.
    """

    def __init__(
        self,
        config: Config,
        state: State,
        clock: Clock,
        *,
        run_pass: Callable[[], None] | None = None,
        on_ready: Callable[[], None] | None = None,
        on_turn: Callable[[], None] | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self._config = config
        self._state = state
        self._clock = clock
        self._log = log or logging.getLogger("tidegate.watcher")
        self._on_ready = on_ready
        self._on_turn = on_turn
        self._condition = threading.Condition()
        self._stopping = False
        self._daily = DailyPass(config, state, clock, run_pass)
        self._followers = [
            Follower(config, watch, state, clock, condition=self._condition, stop=self.is_stopping)
            for watch in config.watches
        ]

    def run(self, beside: AbstractContextManager[object] | None = None) -> None:
        """Works until ``stop`` is called. Raises BusyError when another watcher runs on this state.

        ``beside`` is entered once this is the only watcher, and left when it ends.
        """
        with self._state.watch_lock(), beside or nullcontext():
            self.work()

    def work(self) -> None:
        """What ``run`` does once the caller holds the watch lock, for one that goes on to another watcher with it."""
        self._log.info("watching %s", ", ".join(str(watch.path) for watch in self._config.watches))
        try:
            while not self._stopping:
                self._turn()
                self._tell()
                self._wait()
            for follower in self._followers:
                follower.drain()
        finally:
            for follower in self._followers:
                follower.close()
        self._log.info("stopped")

    def stop(self) -> None:
        """Makes ``run`` record what was seen and return. May be called by a signal handler or another thread."""
        self._stopping = True
        with self._condition:
            self._condition.notify_all()

    def is_stopping(self) -> bool:
        """True once ``stop`` was called."""
        return self._stopping

    def _turn(self) -> None:
        for follower in self._followers:
            if follower.due() <= self._clock.now().uptime and not self._stopping:
                follower.turn()
        self._daily.turn()

    def _tell(self) -> None:
        if self._on_ready is not None and not self._stopping:
            self._on_ready()
            self._on_ready = None
        if self._on_turn is not None:
            self._on_turn()

    def _wait(self) -> None:
        with self._condition:
            due = min(follower.due() for follower in self._followers)
            delay = min(due - self._clock.now().uptime, _LONGEST_WAIT_SECONDS)
            if delay > 0 and not self._stopping:
                self._condition.wait(delay)
