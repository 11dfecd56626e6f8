"""Follows one watch folder: a doorbell, scans, and what they find recorded."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence

from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.enums import MarkerResult, WatchMode
from core.errors import BusyError, FaultError
from core.markers.foreign import Quiet
from core.state import counters
from core.state.database import State
from watcher.early import Early
from watcher.ears import Ears
from watcher.recorder import BATCH, batches
from watcher.rings import MOST_NAMES, Rings
from watcher.scanner import Scanner
from watcher.unannounced import Unannounced

log = logging.getLogger("tidegate.watcher")

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
#: So often it is asked whether the folder is still the one that was scanned: no event tells of a mount.
_ROOT_SECONDS = 5.0
#: The scan interval of what no event tells of, at the longest: a folder that is down, closed to us, or not listened to.
_DEAF_SECONDS = 60.0


class Follower:
    """One watch folder. ``condition`` is told when it has something to do; ``stop`` says that the service ends.

    ``on_running`` is called when a marker was recorded that says that a dump is being written now.

    Not safe for threads: one calls ``turn``, ``drain`` and ``close``. Any may call ``want_scan``.
    """

    def __init__(
        self,
        config: Config,
        watch: WatchFolder,
        state: State,
        clock: Clock,
        *,
        condition: threading.Condition,
        stop: Callable[[], bool],
        on_running: Callable[[], None] = lambda: None,
    ) -> None:
        self._watch = watch
        self._on_running = on_running
        self._state = state
        self._clock = clock
        self._rings = Rings(condition)
        self._scanner = Scanner(config, watch, state, clock, stop)
        self._deaf_seconds = min(watch.scan_interval, _DEAF_SECONDS)
        self._ears = Ears(self._scanner.ground, self._rings, self._uptime, self._deaf_seconds)
        self._unannounced = Unannounced()
        self._early = Early()
        self._root = _Root(watch)
        self._root_due = self._scan_due = float("-inf")
        # No event tells when nothing has been written for a time.
        self._is_told_by_events = watch.mode is WatchMode.EVENTS and not isinstance(watch.signals, Quiet)
        self._is_up = False
        self._blocked_until = float("-inf")
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._uncounted_overflows = 0

    def due(self) -> float:
        """The uptime, in seconds, at which a turn is wanted."""
        rung = self._rings.due()
        wanted = min(self._scan_due, self._root_due, self._unannounced.due(), self._early.due())
        return max(wanted if rung is None else min(rung, wanted), self._blocked_until)

    def turn(self) -> None:
        """Does what is due. Where the state file cannot be used everything is kept, and tried again later."""
        try:
            self._turn()
        except (BusyError, FaultError) as error:
            log.warning("%s: nothing is lost, tried again in %.0f s: %s", self._watch.name, self._retry_seconds, error)
            self._blocked_until = self._uptime() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY_SECONDS)
        else:
            self._retry_seconds = _FIRST_RETRY_SECONDS

    def want_scan(self) -> None:
        """Asks for a whole scan with the next turn."""
        self._rings.scan()

    def drain(self) -> None:
        """Records what was seen until now, and nothing that comes while it does: markers may rain without end.

        What cannot be recorded is found by the scan at the next start.
        """
        seen = self._rings.take_names(MOST_NAMES, float("inf"))
        try:
            self._scan_folders()
            for paths in batches(seen):
                self._record(paths)
        except (BusyError, FaultError) as error:
            log.warning("%s: left to the next start: %s", self._watch.name, error)

    def close(self) -> None:
        """Ends the doorbell."""
        self._ears.close()

    def _turn(self) -> None:
        if self._uptime() < self._blocked_until:
            return
        self._look_at_root()
        covered = self._rings.take_scan()
        if covered is not None or self._uptime() >= self._scan_due:
            self._scan(covered or [])
        self._scan_folders()
        if paths := self._rings.take_names(BATCH, self._uptime()):
            self._record(paths)
        if len(paths) < BATCH:
            self._count_unannounced()
        if paths := self._early.take(BATCH, self._uptime()):
            self._record(paths)

    def _look_at_root(self) -> None:
        """Nobody tells that a disk was mounted, or that the folder above was renamed."""
        if self._uptime() >= self._root_due:
            self._root_due = self._uptime() + _ROOT_SECONDS
            if self._root.has_changed(is_up=self._is_up):
                self._rings.scan()

    # --- scans

    def _scan(self, covered: Sequence[str]) -> None:
        self._ears.prepare()
        self._scan_due = self._uptime()  # until it has ended well
        self._count_overflows()
        self._root.note()
        self._scanner.ground.look_around()
        was_up, is_complete = self._is_up, not self._rings.take_forgotten()
        scanned = self._scanner.scan(arm=self._ears.arm, listening=self._ears.are_open)
        self._tell_running(scanned.results)
        self._is_up = scanned.up
        self._early.add(scanned.early, self._uptime())
        if was_up and is_complete and self._is_told_by_events:
            self._unannounced.found(scanned.fresh, self._uptime())
            self._unannounced.heard(folders=covered)
        is_settled = scanned.up and scanned.is_whole and self._ears.are_open() is not False
        self._scan_due = self._uptime() + (self._watch.scan_interval if is_settled else self._deaf_seconds)
        if not scanned.is_listed:
            self._ears.close()
        else:
            self._ears.tell()

    def _scan_folders(self) -> None:
        folders = self._rings.take_folders()
        if not folders:
            return
        self._unannounced.heard(folders=folders)
        try:
            scanned = self._scanner.scan(starts=folders, arm=self._ears.arm)
        except (BusyError, FaultError):
            for folder in folders:
                self._rings.folder(folder)
            raise
        self._tell_running(scanned.results)
        self._early.add(scanned.early, self._uptime())
        if not scanned.up:
            self._rings.scan()
        elif not scanned.is_whole or self._ears.are_open() is False:
            self._ears.tell()
            self._scan_within(self._deaf_seconds)

    def _scan_within(self, seconds: float) -> None:
        self._scan_due = min(self._scan_due, self._uptime() + seconds)

    # --- names

    def _record(self, paths: Sequence[str]) -> None:
        self._unannounced.heard(paths)
        if not self._is_up or not self._ears.hears_root():
            self._rings.scan()  # what rang stood in another folder than the one that is there now
            return
        try:
            recorded = self._scanner.recorder.record(paths)
        except (BusyError, FaultError):
            self._rings.put_back(paths)
            raise
        self._tell_running(recorded.results)
        self._early.add(recorded.early, self._uptime())
        if not recorded.is_open:
            self._rings.scan()
        elif recorded.left_out:
            self._scan_within(self._deaf_seconds)

    def _tell_running(self, results: Mapping[MarkerResult, int]) -> None:
        if results.get(MarkerResult.RUNNING):
            self._on_running()

    # --- figures

    def _count_overflows(self) -> None:
        overflows = self._rings.take_overflows()
        if overflows:
            log.warning("%s: the kernel dropped events; the scan finds what they would have told", self._watch.name)
        self._uncounted_overflows += overflows
        self._count("watch_overflows", self._uncounted_overflows)
        self._uncounted_overflows = 0

    def _count_unannounced(self) -> None:
        number = self._unannounced.take(self._uptime())
        if not number:
            return
        log.warning("%s: scans have found %d markers that no event had announced", self._watch.name, number)
        try:
            self._count("markers_unannounced", number)
        except (BusyError, FaultError):
            self._unannounced.put_back(number)
            raise

    def _count(self, name: str, number: int) -> None:
        if number:
            with self._state.write() as connection:
                counters.count(connection, name, number, label=self._watch.name)

    def _uptime(self) -> float:
        return self._clock.now().uptime


class _Root:
    """What stands at the path of a watch folder, by the status that costs nothing."""

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
