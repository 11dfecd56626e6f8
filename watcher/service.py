"""The background service: follows every watch folder, records what appears, and runs the daily pass."""

import logging
import threading
from collections.abc import Callable

from core.clock import Clock
from core.config.settings import Config
from core.errors import BusyError, FaultError
from core.state import counters
from core.state.database import State
from watcher.folder import FolderWatcher
from watcher.guard import Guard, Revoke
from watcher.schedule import DailyPass

#: So soon a change of the wall clock, the time of the daily pass and a folder that has failed are noticed, in seconds.
_LONGEST_WAIT_SECONDS = 10.0
#: While folders have their first scan.
_STARTING_WAIT_SECONDS = 0.1
#: A folder that has not answered by then does not keep the service from being ready. Below systemd's 90 s.
_READY_SECONDS = 30.0
#: Work that takes longer is reported: no scan that was measured takes nearly as long (docs/BENCHMARKS.md).
_SILENT_SECONDS = 120.0
#: The loop does not wait longer for the state file to report a folder.
_STATUS_SECONDS = 1.0
#: What events have reported is recorded within this when the service ends. Below systemd's 90 s.
_END_SECONDS = 20.0
#: A guard that waits for a pass is left behind.
_GUARD_SECONDS = 1.0


class Watcher:
    """Follows the watch folders of one configuration until it is stopped.

    ``run_pass`` runs one pass, in a thread of its own. ``revoke`` is called by threads of their own when a released
    dump is written to; None: nobody watches the export trees. Every marker is on the disk until it is recorded, so a
    watcher that is killed loses nothing: the next one scans.

    ``on_alive`` is called by the main loop itself, every 10 s at the longest: whoever is called knows that it works.
    What it raises ends ``run``. ``on_ready`` is called once, before that, when every folder that answers has had its
    first scan.
    """

    def __init__(
        self,
        config: Config,
        state: State,
        clock: Clock,
        *,
        run_pass: Callable[[], None] | None = None,
        on_ready: Callable[[], None] | None = None,
        on_alive: Callable[[], None] | None = None,
        revoke: Revoke | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self._config = config
        self._state = state
        self._clock = clock
        self._log = log or logging.getLogger("tidegate.watcher")
        self._on_ready = on_ready
        self._on_alive = on_alive
        self._condition = threading.Condition()
        self._stopping = False
        self._daily = DailyPass(config, state, clock, run_pass)
        self._guards = [] if revoke is None else [Guard(watch, clock, revoke) for watch in config.watches]
        notify = {guard.watch: guard.notify for guard in self._guards}
        self._folders = [
            FolderWatcher(config, watch, state, clock, notify.get(watch.name, _nobody)) for watch in config.watches
        ]
        self._silent: set[str] = set()
        self._ready_by = 0.0

    def run(self) -> None:
        """Works until ``stop`` is called. Raises BusyError when another watcher runs on this state."""
        with self._state.watch_lock():
            self.work()

    def work(self) -> None:
        """As ``run``, where the caller holds the watch lock and keeps it for the next watcher."""
        self._log.info("watching %s", ", ".join(str(watch.path) for watch in self._config.watches))
        self._ready_by = self._clock.now().uptime + _READY_SECONDS
        try:
            for thread in (*self._folders, *self._guards):
                thread.start()
            while not self._stopping:
                self._check_folders()
                self._daily.run_if_due()
                self._report()
                self._wait()
        finally:
            self._end_threads()
        self._raise_failures()
        self._log.info("stopped")

    def stop(self) -> None:
        """Makes ``run`` record what events have reported, and return. May be called by any thread."""
        self._stopping = True
        with self._condition:
            self._condition.notify_all()

    def _check_folders(self) -> None:
        """Reports folders that do not answer, and ends the service, which is started anew, when a thread has failed."""
        self._raise_failures()
        for folder in self._folders:
            is_silent = folder.busy_for() > _SILENT_SECONDS
            if is_silent and folder.watch not in self._silent:
                self._silent.add(folder.watch)
                self._report_silence(folder.watch)
            elif not is_silent and folder.watch in self._silent:
                self._silent.discard(folder.watch)
                self._log.info("%s: answers again", folder.watch)
                folder.request_scan()  # which records that it is up

    def _report_silence(self, watch: str) -> None:
        detail = f"does not answer for {_SILENT_SECONDS:.0f} s"
        self._log.error("%s: %s; the other folders are not affected", watch, detail)
        try:
            with self._state.write(wait=_STATUS_SECONDS) as connection:
                counters.set_watch_status(connection, watch, up=False, detail=detail)
        except (BusyError, FaultError) as error:
            self._log.warning("%s: that it does not answer could not be recorded: %s", watch, error)

    def _raise_failures(self) -> None:
        for folder in self._folders:
            if folder.failure is not None:
                raise folder.failure

    def _end_threads(self) -> None:
        folders = [folder for folder in self._folders if folder.ident is not None]
        guards = [guard for guard in self._guards if guard.ident is not None]
        for folder in folders:
            folder.end()
        for guard in guards:
            guard.end()
        deadline = self._clock.now().uptime + _END_SECONDS
        for folder in folders:
            folder.join(max(0.0, deadline - self._clock.now().uptime))
            if folder.is_alive():
                self._log.warning("%s: does not answer; its new markers are left to the next start", folder.watch)
        for guard in guards:  # the next start checks all links, whatever it is doing now
            guard.join(_GUARD_SECONDS)

    def _report(self) -> None:
        if self._on_ready is not None and not self._stopping and self._is_ready():
            self._on_ready()
            self._on_ready = None
        if self._on_alive is not None:
            self._on_alive()

    def _is_ready(self) -> bool:
        return all(folder.has_worked for folder in self._folders) or self._clock.now().uptime > self._ready_by

    def _wait(self) -> None:
        longest = _LONGEST_WAIT_SECONDS if self._on_ready is None else _STARTING_WAIT_SECONDS
        with self._condition:
            if not self._stopping:
                self._condition.wait(longest)


def _nobody() -> None:
    """Nobody watches the export tree."""
