"""The background service: follows every watch folder, records what appears, and runs the daily pass."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.errors import BusyError, FaultError
from core.state import counters
from core.state.database import State
from watcher.daily import DailyPass
from watcher.folder_loop import FolderLoop
from watcher.follower import Follower
from watcher.guard import Guard, TakeBack

#: So soon a change of the wall clock, the time of the daily pass and a dead folder are noticed, in seconds.
_LONGEST_WAIT_SECONDS = 10.0
#: While folders have their first scan.
_STARTING_WAIT_SECONDS = 0.1
#: A folder that has not answered by then does not keep the service from being ready. Below systemd's 90 s.
_READY_SECONDS = 30.0
#: A turn that takes longer is told: no scan that was measured comes near (docs/BENCHMARKS.md).
_SILENT_SECONDS = 120.0
#: The loop does not stand still for the state file's sake.
_TELL_SECONDS = 1.0
#: What was seen is recorded within this when the service ends. Below systemd's 90 s.
_END_SECONDS = 20.0
#: One that waits for a pass is left behind.
_GUARD_SECONDS = 1.0


class Watcher:
    """Follows the watch folders of one configuration until it is stopped.

    ``run_pass`` runs one pass, in a thread of its own. ``take_back`` is called by threads of their own when what is
    let out is written into; None: nobody looks at the export trees. Everything that was marked stands on the disk until
    it is recorded, so a watcher that is killed loses nothing: the next one scans.

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
        take_back: TakeBack | None = None,
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
        self._guards = [] if take_back is None else [Guard(watch, clock, take_back) for watch in config.watches]
        rings = {guard.watch: guard.ring for guard in self._guards}
        self._loops = [_loop(config, watch, state, clock, rings.get(watch.name, _nobody)) for watch in config.watches]
        self._silent: set[str] = set()
        self._ready_by = 0.0

    def run(self, beside: AbstractContextManager[object] | None = None) -> None:
        """Works until ``stop`` is called. Raises BusyError when another watcher runs on this state.

        ``beside`` is entered once this is the only watcher, and left when it ends.
        """
        with self._state.watch_lock(), beside or nullcontext():
            self.work()

    def work(self) -> None:
        """What ``run`` does once the caller holds the watch lock, for one that goes on to another watcher with it."""
        self._log.info("watching %s", ", ".join(str(watch.path) for watch in self._config.watches))
        self._ready_by = self._clock.now().uptime + _READY_SECONDS
        try:
            for thread in (*self._loops, *self._guards):
                thread.start()
            while not self._stopping:
                self._look_at_loops()
                self._daily.turn()
                self._tell()
                self._wait()
        finally:
            self._end_loops()
        self._raise_failures()
        self._log.info("stopped")

    def stop(self) -> None:
        """Makes ``run`` record what was seen and return. May be called by a signal handler or another thread."""
        self._stopping = True
        with self._condition:
            self._condition.notify_all()

    def _look_at_loops(self) -> None:
        """Tells of folders that do not answer, and ends the service when a loop has died: it is started anew."""
        self._raise_failures()
        for loop in self._loops:
            is_silent = loop.busy_for() > _SILENT_SECONDS
            if is_silent and loop.watch not in self._silent:
                self._silent.add(loop.watch)
                self._tell_silence(loop.watch)
            elif not is_silent and loop.watch in self._silent:
                self._silent.discard(loop.watch)
                self._log.info("%s: answers again", loop.watch)
                loop.want_scan()  # which tells that it is up

    def _tell_silence(self, watch: str) -> None:
        detail = f"does not answer for {_SILENT_SECONDS:.0f} s"
        self._log.error("%s: %s; the other folders go on", watch, detail)
        try:
            with self._state.write(wait=_TELL_SECONDS) as connection:
                counters.set_watch_status(connection, watch, up=False, detail=detail)
        except (BusyError, FaultError) as error:
            self._log.warning("%s: its silence could not be recorded: %s", watch, error)

    def _raise_failures(self) -> None:
        for loop in self._loops:
            if loop.failure is not None:
                raise loop.failure

    def _end_loops(self) -> None:
        started = [loop for loop in self._loops if loop.ident is not None]
        guards = [guard for guard in self._guards if guard.ident is not None]
        for loop in started:
            loop.end()
        for guard in guards:
            guard.end()
        io_timeout = self._clock.now().uptime + _END_SECONDS
        for loop in started:
            loop.join(max(0.0, io_timeout - self._clock.now().uptime))
            if loop.is_alive():
                self._log.warning("%s: does not answer; what it saw is left to the next start", loop.watch)
        for guard in guards:  # the next start looks at everything, whatever it is doing now
            guard.join(_GUARD_SECONDS)

    def _tell(self) -> None:
        if self._on_ready is not None and not self._stopping and self._is_ready():
            self._on_ready()
            self._on_ready = None
        if self._on_turn is not None:
            self._on_turn()

    def _is_ready(self) -> bool:
        return all(loop.has_turned for loop in self._loops) or self._clock.now().uptime > self._ready_by

    def _wait(self) -> None:
        longest = _LONGEST_WAIT_SECONDS if self._on_ready is None else _STARTING_WAIT_SECONDS
        with self._condition:
            if not self._stopping:
                self._condition.wait(longest)


def _nobody() -> None:
    """Nobody looks at the export tree."""


def _loop(config: Config, watch: WatchFolder, state: State, clock: Clock, on_running: Callable[[], None]) -> FolderLoop:
    condition, ending = threading.Condition(), threading.Event()
    follower = Follower(config, watch, state, clock, condition=condition, stop=ending.is_set, on_running=on_running)
    return FolderLoop(watch.name, follower, condition=condition, ending=ending, clock=clock)
