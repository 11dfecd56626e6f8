"""Follows one watch folder: kernel events and scans say where to look, and what is found is recorded."""

import logging
import os
import threading
from collections.abc import Callable, Sequence

from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.enums import MarkerResult, WatchMode
from core.errors import BusyError, FaultError
from core.markers.foreign import Quiet
from core.state import counters
from core.state.database import State
from watcher.event_queue import MAX_ENTRIES, EventQueue, MissedEvents, Pending, RetryQueue
from watcher.inotify import FolderEvents
from watcher.recorder import BATCH, Recorded, batches
from watcher.scanner import Scanner

log = logging.getLogger("tidegate.watcher")

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
#: So often it is checked whether the folder is still the one that was scanned: no event reports a mount.
_ROOT_SECONDS = 5.0
#: The scan interval, at the longest, where no event can be relied on: a folder that is down, closed to us, or not
#: watched by the kernel.
_DEGRADED_SECONDS = 60.0


class FolderWatcher(threading.Thread):
    """One thread for one watch folder: a mount that hangs must not stop the others.

    A thread that waits on a dead mount cannot be ended: it is a daemon, and what it records when the mount answers
    again is what anybody would record. ``failure`` is what has ended the thread, None while it works.
    ``on_running`` is called when a marker was recorded that says that a dump is being made now.
    """

    def __init__(
        self, config: Config, watch: WatchFolder, state: State, clock: Clock, on_running: Callable[[], None]
    ) -> None:
        super().__init__(name=f"watch {watch.name}", daemon=True)
        self.watch = watch.name
        self.failure: BaseException | None = None
        self.has_worked = False
        self._watch = watch
        self._state = state
        self._clock = clock
        self._on_running = on_running
        self._ending = threading.Event()
        self._busy_since: float | None = None
        self._queue = EventQueue()
        self._retries = RetryQueue()
        self._missed = MissedEvents()
        self._scanner = Scanner(config, watch, state, clock, stop=self._ending.is_set)
        self._degraded_seconds = min(watch.scan_interval, _DEGRADED_SECONDS)
        self._events = FolderEvents(self._scanner.tree, self._queue, self._uptime, self._degraded_seconds)
        self._root = _Root(watch)
        self._root_due = self._scan_due = float("-inf")
        # That nothing was written for a time gives no event.
        self._has_events = watch.mode is WatchMode.EVENTS and not isinstance(watch.signals, Quiet)
        self._is_up = False
        self._overflows = 0
        self._retry_seconds = _FIRST_RETRY_SECONDS

    # --- by any thread

    def end(self) -> None:
        """Makes the thread record what events have reported, and end."""
        self._ending.set()
        self._queue.close()

    def request_scan(self) -> None:
        """Has everything scanned as soon as possible."""
        self._queue.scan()

    def busy_for(self) -> float:
        """For how many seconds the thread has been at its present work, 0 while it waits."""
        since = self._busy_since
        return 0.0 if since is None else self._clock.now().uptime - since

    # --- the thread's own

    def run(self) -> None:
        """Works until ``end`` is called."""
        try:
            while not self._ending.is_set():
                self._work_or_retry()
                self._queue.wait(self._uptime(), self._due())
            self._drain()
        except BaseException as error:  # noqa: BLE001 - handed to the service, which ends with it
            self.failure = error
        finally:
            self._events.close()

    def _work_or_retry(self) -> None:
        """Where the state file cannot be used everything is kept, and tried again later."""
        self._busy_since = self._uptime()
        try:
            self._work()
        except (BusyError, FaultError) as error:
            self._busy_since = None
            log.warning("%s: nothing is lost, next try in %.0f s: %s", self.watch, self._retry_seconds, error)
            self._ending.wait(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY_SECONDS)
        else:
            self._busy_since = None
            self._retry_seconds = _FIRST_RETRY_SECONDS
        self.has_worked = True

    def _due(self) -> float:
        """The uptime, in seconds, at which there is work even without an event."""
        return min(self._scan_due, self._root_due, self._missed.due(), self._retries.due())

    def _work(self) -> None:
        if self._uptime() >= self._root_due:
            self._root_due = self._uptime() + _ROOT_SECONDS
            if self._root.has_changed(is_up=self._is_up):
                self._queue.scan()
        is_scan_due = self._uptime() >= self._scan_due
        pending = self._queue.take(BATCH, self._uptime(), everything=is_scan_due)
        self._overflows += pending.overflows
        try:
            if is_scan_due or pending.scan:
                self._scan(pending)
            else:
                self._scan_folders(pending.folders)
                self._record_named(pending.dumps)
        except (BusyError, FaultError):
            self._queue.put_back(pending)
            raise
        self._record(self._retries.take(BATCH, self._uptime()))
        if len(pending.dumps) < BATCH:
            self._count_missed()

    def _drain(self) -> None:
        """Records what events have reported until now, and nothing that comes while it does: it may never end.

        What cannot be recorded is found by the scan at the next start.
        """
        pending = self._queue.take(MAX_ENTRIES, self._uptime(), everything=True)
        try:
            self._scan_folders(pending.folders)
            for paths in batches(pending.dumps):
                self._record_named(paths)
        except (BusyError, FaultError) as error:
            log.warning("%s: the rest is left to the next start: %s", self.watch, error)

    # --- scans

    def _scan(self, pending: Pending) -> None:
        """Of everything, and so of all that is ``pending``."""
        self._events.prepare()
        self._scan_due = self._uptime()  # until it has ended well
        self._count_overflows()
        self._root.note()
        self._scanner.tree.refresh()
        was_up = self._is_up
        scanned = self._scanner.scan(arm=self._events.arm, listening=self._events.are_complete)
        self._is_up = scanned.up
        self._after(scanned.recorded)
        if was_up and pending.is_complete and self._has_events:
            self._missed.found(scanned.recorded.fresh, self._uptime())
            self._missed.reported(pending.dumps, pending.folders)
        is_settled = scanned.up and scanned.is_whole and self._events.are_complete() is not False
        self._scan_due = self._uptime() + (self._watch.scan_interval if is_settled else self._degraded_seconds)
        if scanned.is_listed:
            self._events.log_changes()
        else:
            self._events.close()

    def _scan_folders(self, folders: Sequence[str]) -> None:
        if not folders:
            return
        self._missed.reported((), folders)
        scanned = self._scanner.scan(starts=folders, arm=self._events.arm)
        self._after(scanned.recorded)
        if not scanned.up:
            self._queue.scan()
        elif not scanned.is_whole or self._events.are_complete() is False:
            self._events.log_changes()
            self._scan_within(self._degraded_seconds)

    def _scan_within(self, seconds: float) -> None:
        self._scan_due = min(self._scan_due, self._uptime() + seconds)

    # --- dumps

    def _record_named(self, paths: Sequence[str]) -> None:
        """Those whose markers have had events."""
        self._missed.reported(paths, ())
        if paths and not self._events.watches_root():
            self._queue.scan()  # the events came from another folder than the one that is there now
        else:
            self._record(paths)

    def _record(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        if not self._is_up:
            self._queue.scan()
            return
        recorded = self._scanner.recorder.record(paths)
        self._after(recorded)
        if not recorded.is_open:
            self._queue.scan()
        elif recorded.left_out:
            self._scan_within(self._degraded_seconds)

    def _after(self, recorded: Recorded) -> None:
        if recorded.results[MarkerResult.RUNNING]:
            self._on_running()
        self._retries.add(recorded.incomplete, self._uptime())

    # --- counters

    def _count_overflows(self) -> None:
        if self._overflows:
            log.warning("%s: the kernel has dropped events; a scan finds what they would have reported", self.watch)
            self._count("watch_overflows", self._overflows)
            self._overflows = 0

    def _count_missed(self) -> None:
        number = self._missed.take(self._uptime())
        if not number:
            return
        log.warning("%s: scans have found %d markers without an event", self.watch, number)
        try:
            self._count("missed_events", number)
        except (BusyError, FaultError):
            self._missed.put_back(number)
            raise

    def _count(self, name: str, number: int) -> None:
        with self._state.write() as connection:
            counters.count(connection, name, number, label=self.watch)

    def _uptime(self) -> float:
        return self._clock.now().uptime


class _Root:
    """What is at the path of a watch folder, by a status that costs nothing."""

    def __init__(self, watch: WatchFolder) -> None:
        self._path = watch.path
        self._noted: os.stat_result | None = None

    def note(self) -> None:
        """Before a scan."""
        self._noted = self._status()

    def has_changed(self, *, is_up: bool) -> bool:
        """True when it is another folder than was noted; where that was down, also when anything in it is new."""
        before, now = self._noted, self._status()
        if before is None or now is None:
            return before is not now
        differs = (before.st_dev, before.st_ino) != (now.st_dev, now.st_ino)
        return differs or (not is_up and before.st_ctime_ns != now.st_ctime_ns)

    def _status(self) -> os.stat_result | None:
        try:
            return os.stat(self._path)
        except OSError:
            return None
