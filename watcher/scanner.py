"""Scans a watch folder and records what has changed.

The markers on the disk are the queue, and a scan finds whatever no event has reported.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from core import failpoints
from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.enums import DumpState
from core.fs.io_timeout import IoTimeout, NoAnswerError, ask
from core.reasons import Reason
from core.state import counters, dumps, mount_identity
from core.state.counters import WatchStatus
from core.state.database import State
from watcher.recorder import NO_FOLDER, Recorded, Recorder, batches
from watcher.walk import ALL, LOOKED_AT_AGAIN, Arm, Known, ScanDiff, compare, no_arm
from watcher.watch_tree import WatchTree

log = logging.getLogger("tidegate.watcher")

#: A pass waits so long for a folder that does not answer at all.
_ANSWER_SECONDS = 10.0
#: And so long between one folder of it, or batch of dumps, and the next: cold disks are slow, and NFS is slower.
_SILENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Scanned:
    """What came of one scan. ``looked_at`` counts dumps.

    ``is_whole`` False: something in the folder could not be looked at now. ``is_listed``: it was there and was
    recorded, whether the folder counts as up or not.
    """

    watch: str
    up: bool
    detail: str
    seconds: float
    looked_at: int = 0
    recorded: Recorded = field(default_factory=Recorded)
    is_whole: bool = True
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class _Recalled:
    """What the state has of the folder."""

    known: Known
    status: WatchStatus | None

    @property
    def filesystem_id(self) -> str | None:
        return None if self.status is None else self.status.filesystem_id

    @property
    def unmounted_since(self) -> float | None:
        return None if self.status is None else self.status.unmounted_since

    @property
    def was_scanned(self) -> bool:
        return self.status is not None and self.status.last_scan_at is not None


class Scanner:
    """Scans one watch folder and records what it finds. ``stop`` is asked between the batches of a scan of everything.

    ``is_patient`` False: a disk that does not answer in time counts as one that is not there.
    """

    def __init__(
        self,
        config: Config,
        watch: WatchFolder,
        state: State,
        clock: Clock,
        stop: Callable[[], bool] = lambda: False,
        *,
        is_patient: bool = True,
    ) -> None:
        self._watch = watch
        self._state = state
        self._clock = clock
        self._stop = stop
        self._io_timeout = None if is_patient else IoTimeout(str(watch.path), _SILENCE_SECONDS)
        self.tree = WatchTree(config, watch)
        self.recorder = Recorder(config, watch, state, clock, tree=self.tree, io_timeout=self._io_timeout)

    def scan(
        self,
        *,
        starts: Sequence[str] = ALL,
        arm: Arm = no_arm,
        retry: bool = False,
        listening: Callable[[], bool | None] = lambda: None,
    ) -> Scanned:
        """Scans these folders and all below them. Raises BusyError and FaultError for the state file.

        ``listening`` is called once they are listed; its answer is shown by ``status`` and the metrics.
        """
        begun = self._clock.now()
        recalled = self._recall(starts)
        found = self._compare(recalled.known, starts, arm, retry=retry)
        if found.filesystem_id is not None and recalled.filesystem_id not in (None, found.filesystem_id):
            found = self._on_other_filesystem(found, recalled, starts, begun.wall)
        failpoints.point("scanned")
        recorded = self._record(found, starts, timed=recalled.was_scanned)
        seconds = self._clock.now().elapsed_since(begun)
        if "" in starts:
            self._set_status(found, begun.wall, seconds, listening=listening())
        return Scanned(
            self._watch.name,
            found.up,
            found.detail,
            seconds,
            looked_at=len(found.to_look_at) + len(found.gone),
            recorded=recorded,
            is_whole=not (found.detail or recorded.left_out),
            is_listed=found.filesystem_id is not None,
        )

    def _recall(self, starts: Sequence[str]) -> _Recalled:
        name = self._watch.name
        signatures: dict[str, str] = {}
        rejected: dict[str, tuple[DumpState, Reason | None]] = {}
        with self._state.read() as connection:
            for start in starts:
                signatures |= dumps.marker_signatures(connection, name, start)
                rejected |= dumps.block_reasons(connection, name, start, LOOKED_AT_AGAIN)
            return _Recalled(Known(signatures, rejected), counters.watch_statuses(connection).get(name))

    def _compare(self, known: Known, starts: Sequence[str], arm: Arm, *, retry: bool) -> ScanDiff:
        if self._io_timeout is None:
            return compare(self.tree, known, starts=starts, arm=arm, retry=retry)
        io_timeout = self._io_timeout
        try:
            ask(str(self._watch.path), _ANSWER_SECONDS, lambda: os.path.exists(self._watch.path))
            return io_timeout.ask(
                lambda: compare(self.tree, known, starts=starts, arm=lambda *_: io_timeout.still_here(), retry=retry)
            )
        except NoAnswerError:
            return ScanDiff(up=False, detail="it does not answer")

    # --- another filesystem than the known one

    def _on_other_filesystem(
        self, found: ScanDiff, recalled: _Recalled, starts: Sequence[str], begun: float
    ) -> ScanDiff:
        """Accepts it where anything is on it that was there before; else the known one counts as unmounted.

        Some filesystems get another id at a mount, so that the id alone proves nothing. What is marked there is
        recorded all the same: a script that does not check whether the disk is mounted has finished its dump.
        """
        if "" not in starts:
            return replace(found, up=False, detail="another folder is in its place", to_look_at=(), gone=())
        if not found.up or self._is_accepted(found, recalled):
            return found
        if recalled.unmounted_since is None:  # before anything on it is recorded
            with self._state.write() as connection:
                counters.set_watch_status(connection, self._watch.name, unmounted_since=begun)
        detail = (
            "another filesystem is in its place, with nothing on it that was there before: is its disk mounted? "
            f"If the new one is to stay, run `tidegate adopt --moved {self._watch.name}`"
        )
        return replace(found, up=False, detail=detail, gone=())

    def _is_accepted(self, found: ScanDiff, recalled: _Recalled) -> bool:
        """By what was recorded before the other filesystem was there: what was recorded since proves nothing."""
        if not mount_identity.is_elsewhere(recalled.filesystem_id or "", found.filesystem_id or ""):
            return True
        with self._state.read() as connection:
            known = dumps.marker_signatures(connection, self._watch.name, before=recalled.unmounted_since)
            links = mount_identity.expected_in_tree(connection, self._watch)
        if not known and not links:
            return True
        if any(found.signatures.get(path) == signature for path, signature in known.items()):
            return True
        if self._io_timeout is None:
            return mount_identity.any_stands(links)
        return self._io_timeout.ask(lambda: mount_identity.any_stands(links))

    # --- what is found

    def _record(self, found: ScanDiff, starts: Sequence[str], *, timed: bool) -> Recorded:
        """``timed`` False: the first scan ever. What was there before does not show how late we are."""
        self.recorder.filesystem_id = found.filesystem_id if found.up else NO_FOLDER
        done = Recorded()
        for batch in batches(found.to_look_at + found.gone):
            if self._stop() and "" in starts:
                break  # the rest is on the disk, and the next scan finds it
            done.add(self.recorder.record(batch, timed=timed))
        return done

    def _set_status(self, found: ScanDiff, begun: float, seconds: float, *, listening: bool | None) -> None:
        with self._state.write() as connection:
            before = counters.watch_statuses(connection).get(self._watch.name)
            status: dict[str, object] = {"up": found.up, "detail": found.detail}
            if found.up:
                status |= {"last_scan_at": begun, "last_scan_seconds": seconds}
                status |= {"filesystem_id": found.filesystem_id, "unmounted_since": None}
            if listening is not None:
                status["listening"] = listening
            counters.set_watch_status(connection, self._watch.name, **status)
        if before is None or (before.up, before.detail) != (found.up, found.detail):
            _log_status(self._watch, found)


def _log_status(watch: WatchFolder, found: ScanDiff) -> None:
    if not found.up:
        log.warning("%s: the watch folder is down: %s", watch.path, found.detail)
    elif found.detail:
        log.warning("%s: %s", watch.path, found.detail)
    else:
        log.info("%s: the watch folder is up", watch.path)


def scan_and_record(config: Config, state: State, clock: Clock, *, retry: bool = True) -> list[Scanned]:
    """Scans every watch folder and records what is found, as a pass and a plan do before they decide.

    A folder that is down, or does not answer, is logged, and its result is not ``up``. Raises BusyError and FaultError
    for the state file.
    """
    return [Scanner(config, watch, state, clock, is_patient=False).scan(retry=retry) for watch in config.watches]
