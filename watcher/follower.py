"""Follows one watch folder: a doorbell, scans, and what they find recorded."""

import errno
import logging
import threading
from collections.abc import Callable, Sequence

from tidegate import trace
from tidegate.clock import Clock
from tidegate.config.model import Config, WatchFolder
from tidegate.errors import BusyError, FaultError
from tidegate.state import tallies
from tidegate.state.door import State
from tidegate.terms import WatchMode
from watcher.doorbell import Doorbell
from watcher.ground import Ground
from watcher.recorder import BATCH, Recorder
from watcher.rings import Rings
from watcher.scan import Scanner

log = logging.getLogger("tidegate.watcher")

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
#: A doorbell that goes dead sooner is not made anew at once: that would be scans without end.
_SHORTEST_LIFE_SECONDS = 10.0

_USED_UP = {
    errno.ENOSPC: "fs.inotify.max_user_watches is used up",
    errno.EMFILE: "fs.inotify.max_user_instances is used up",
}


class Follower:
    """One watch folder. ``condition`` is told when it has something to do; ``stop`` says that the service ends.

    Not safe for threads: one calls ``turn``, ``drain`` and ``close``.
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
    ) -> None:
        self._watch = watch
        self._state = state
        self._clock = clock
        self._ground = Ground(config, watch)
        self._rings = Rings(condition)
        self._scanner = Scanner(config, watch, state, clock, stop)
        self._recorder = Recorder(config, watch, state, clock)
        self._bell: Doorbell | None = None
        self._scan_due = float("-inf")
        self._blocked_until = float("-inf")
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._listening_since = float("-inf")
        self._uncounted_overflows = 0
        self._complained = False

    def due(self) -> float:
        """The uptime, in seconds, at which a turn is wanted."""
        rung = self._rings.due()
        wanted = self._scan_due if rung is None else min(rung, self._scan_due)
        return max(wanted, self._blocked_until)

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

    def drain(self) -> None:
        """Records what was seen so far. What cannot be recorded is found by the scan at the next start."""
        try:
            self._scan_folders()
            while paths := self._rings.take_names(BATCH, float("inf")):
                self._record(paths)
        except (BusyError, FaultError) as error:
            log.warning("%s: left to the next start: %s", self._watch.name, error)

    def close(self) -> None:
        """Ends the doorbell."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _turn(self) -> None:
        if self._uptime() < self._blocked_until:
            return
        if self._rings.take_scan() or self._uptime() >= self._scan_due:
            self._scan()
        self._scan_folders()
        if paths := self._rings.take_names(BATCH, self._uptime()):
            self._record(paths)

    # --- scans

    def _scan(self) -> None:
        self._listen()
        self._scan_due = self._uptime()  # until it has ended well
        self._count_overflows()
        scanned = self._scanner.scan(arm=self._arm)
        self._scan_due = self._uptime() + self._watch.scan_interval
        if not scanned.up:
            self.close()  # what it hears now comes from a folder that stands elsewhere

    def _scan_folders(self) -> None:
        folders = self._rings.take_folders()
        if not folders:
            return
        try:
            scanned = self._scanner.scan(starts=folders, arm=self._arm)
        except (BusyError, FaultError):
            for folder in folders:
                self._rings.folder(folder)
            raise
        if not scanned.up:
            self._rings.scan()

    def _count_overflows(self) -> None:
        overflows = self._rings.take_overflows()
        if overflows:
            log.warning("%s: the kernel dropped events; the scan finds what they would have told", self._watch.name)
        self._uncounted_overflows += overflows
        if self._uncounted_overflows:
            with self._state.write() as connection:
                tallies.count(connection, "watch_overflows", self._uncounted_overflows, label=self._watch.name)
            self._uncounted_overflows = 0

    # --- names

    def _record(self, paths: Sequence[str]) -> None:
        if self._bell is None or not self._bell.hears_root():
            self._rings.scan()  # what rang stood in another folder than the one that is there now
            return
        try:
            self._recorder.record(paths)
        except (BusyError, FaultError):
            self._rings.put_back(paths)
            raise

    # --- the doorbell

    def _listen(self) -> None:
        """Makes a doorbell where one is wanted and none works."""
        if self._watch.mode is WatchMode.POLL or (self._bell is not None and self._bell.is_alive()):
            return
        if self._bell is not None:
            self.close()
            if self._uptime() - self._listening_since < _SHORTEST_LIFE_SECONDS:
                log.error("%s: its events fail again and again; until the next scan there are none", self._watch.name)
                return
        self._listening_since = self._uptime()
        try:
            self._bell = Doorbell(self._ground, self._rings, self._uptime)
        except OSError as error:
            self._complain(error)

    def _arm(self, folder: str, descriptor: int) -> None:
        if self._bell is None:
            return
        try:
            self._bell.arm(folder, descriptor)
        except OSError as error:
            self._complain(error)
        trace.point("armed")

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            log.warning(
                "%s: %s: some folders are followed by a scan every %.0f s alone",
                self._watch.name,
                _USED_UP.get(error.errno or 0, error.strerror or str(error)),
                self._watch.scan_interval,
            )

    def _uptime(self) -> float:
        return self._clock.now().uptime
