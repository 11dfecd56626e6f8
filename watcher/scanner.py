"""Scans: what a look at a watch folder finds is recorded.

The markers are the queue and the scan is the truth: whatever no event told is found here.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from core import failpoints
from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.enums import DumpState, MarkerResult, Reason
from core.fs.io_timeout import IoTimeout, NoAnswerError, ask
from core.state import counters, dumps, mount_identity
from core.state.counters import WatchStatus
from core.state.database import State
from watcher.recorder import NO_FOLDER, Recorded, Recorder, batches, together
from watcher.sighting import ALL, LOOKED_AT_AGAIN, Known, Sighting, look_over
from watcher.walk import Arm, no_arm
from watcher.watch_tree import Ground

log = logging.getLogger("tidegate.watcher")

#: A pass waits so long for a folder that does not answer at all.
_ANSWER_SECONDS = 10.0
#: And so long between one folder of it, or batch of dumps, and the next: cold disks are slow, and NFS is slower.
_SILENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Scanned:
    """What became of one scan. ``looked_at`` counts dumps, ``results`` those of them that had news.

    ``fresh`` are those whose markers said something new, ``early`` those whose markers may have come first.
    ``is_whole`` False: something in the folder could not be looked at now. ``is_listed``: what stands there was
    recorded, be the folder up or not.
    """

    watch: str
    up: bool
    detail: str
    seconds: float
    looked_at: int = 0
    results: Counter[MarkerResult] = field(default_factory=Counter)
    fresh: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    is_whole: bool = True
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What the state tells of the folder."""

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
    """Scans one watch folder and records what it finds. ``stop`` is asked between the batches of a whole scan.

    ``is_patient`` False: a disk that does not answer counts as one that is not there.
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
        self.ground = Ground(config, watch)
        self.recorder = Recorder(config, watch, state, clock, ground=self.ground, io_timeout=self._io_timeout)

    def scan(
        self,
        *,
        starts: Sequence[str] = ALL,
        arm: Arm = no_arm,
        retry: bool = False,
        listening: Callable[[], bool | None] = lambda: None,
    ) -> Scanned:
        """Scans these folders and all below them. Raises BusyError and FaultError for the state file.

        ``listening`` is asked once they are listed, and told to whoever looks at the state.
        """
        begun = self._clock.now()
        remembered = self._remember(starts)
        found = self._look(remembered.known, starts, arm, retry=retry)
        if found.filesystem_id is not None and remembered.filesystem_id not in (None, found.filesystem_id):
            found = self._on_other_ground(found, remembered, starts, begun.wall)
        failpoints.point("scanned")
        recorded = self._record(found, starts, timed=remembered.was_scanned)
        seconds = self._clock.now().elapsed_since(begun)
        if "" in starts:
            self._tell(found, begun.wall, seconds, listening=listening())
        return Scanned(
            self._watch.name,
            found.up,
            found.detail,
            seconds,
            looked_at=len(found.to_look_at) + len(found.gone),
            results=recorded.results,
            fresh=recorded.fresh,
            early=recorded.early,
            is_whole=not (found.detail or recorded.left_out),
            is_listed=found.filesystem_id is not None,
        )

    def _remember(self, starts: Sequence[str]) -> _Remembered:
        name = self._watch.name
        signatures: dict[str, str] = {}
        rejected: dict[str, tuple[DumpState, Reason | None]] = {}
        with self._state.read() as connection:
            for start in starts:
                signatures |= dumps.standing_markers(connection, name, start)
                rejected |= dumps.standing_hindered(connection, name, start, LOOKED_AT_AGAIN)
            return _Remembered(Known(signatures, rejected), counters.watch_statuses(connection).get(name))

    def _look(self, known: Known, starts: Sequence[str], arm: Arm, *, retry: bool) -> Sighting:
        if self._io_timeout is None:
            return look_over(self.ground, known, starts=starts, arm=arm, retry=retry)
        io_timeout = self._io_timeout
        try:
            ask(str(self._watch.path), _ANSWER_SECONDS, lambda: os.path.exists(self._watch.path))
            return io_timeout.ask(
                lambda: look_over(
                    self.ground, known, starts=starts, arm=lambda *_: io_timeout.still_here(), retry=retry
                )
            )
        except NoAnswerError:
            return Sighting(up=False, detail="it does not answer")

    # --- another folder than the one that is known

    def _on_other_ground(
        self, found: Sighting, remembered: _Remembered, starts: Sequence[str], begun: float
    ) -> Sighting:
        """Believes it where anything stands in it that stood there before; else its own disk is held to be away.

        Some filesystems get another number at a mount, so that the footing alone proves nothing. What is marked
        there is recorded all the same: a script that does not look whether the disk is there has finished its dump.
        """
        if "" not in starts:
            return replace(found, up=False, detail="another folder stands in its place", to_look_at=(), gone=())
        if not found.up or self._is_believed(found, remembered):
            return found
        if remembered.unmounted_since is None:  # before anything is recorded that stands there
            with self._state.write() as connection:
                counters.set_watch_status(connection, self._watch.name, unmounted_since=begun)
        detail = (
            "another filesystem stands in its place, and nothing on it that was there before: is its disk "
            f"mounted? If it stays here, say `tidegate adopt --moved {self._watch.name}`"
        )
        return replace(found, up=False, detail=detail, gone=())

    def _is_believed(self, found: Sighting, remembered: _Remembered) -> bool:
        """By what was recorded before the other folder stood there: what is recorded since tells nothing."""
        if not mount_identity.is_elsewhere(remembered.filesystem_id or "", found.filesystem_id or ""):
            return True
        with self._state.read() as connection:
            known = dumps.standing_markers(connection, self._watch.name, before=remembered.unmounted_since)
            links = mount_identity.expected_in_tree(connection, self._watch)
        if not known and not links:
            return True
        stands = any(found.signatures.get(path) == signature for path, signature in known.items())
        return stands or self._ask(lambda: mount_identity.any_stands(links))

    def _ask(self, question: Callable[[], bool]) -> bool:
        return question() if self._io_timeout is None else self._io_timeout.ask(question)

    # --- what is found

    def _record(self, found: Sighting, starts: Sequence[str], *, timed: bool) -> Recorded:
        """``timed`` False: the first scan ever. What stood there before says nothing of how late we are."""
        self.recorder.filesystem_id = found.filesystem_id if found.up else NO_FOLDER
        done: list[Recorded] = []
        for batch in batches(found.to_look_at + found.gone):
            if self._stop() and "" in starts:
                break  # what is left stands on the disk, and the next scan finds it
            done.append(self.recorder.record(batch, timed=timed))
        return together(done)

    def _tell(self, found: Sighting, begun: float, seconds: float, *, listening: bool | None) -> None:
        with self._state.write() as connection:
            before = counters.watch_statuses(connection).get(self._watch.name)
            told: dict[str, object] = {}
            if found.up:
                told = {"last_scan_at": begun, "last_scan_seconds": seconds}
                told |= {"filesystem_id": found.filesystem_id, "unmounted_since": None}
            if listening is not None:
                told["listening"] = listening
            counters.set_watch_status(connection, self._watch.name, up=found.up, detail=found.detail, **told)
        if before is None or (before.up, before.detail) != (found.up, found.detail):
            _log_status(self._watch, found)


def _log_status(watch: WatchFolder, found: Sighting) -> None:
    if not found.up:
        log.warning("%s: the watch folder is down: %s", watch.path, found.detail)
    elif found.detail:
        log.warning("%s: %s", watch.path, found.detail)
    else:
        log.info("%s: the watch folder is up", watch.path)


def scan_and_record(config: Config, state: State, clock: Clock, *, retry: bool = True) -> list[Scanned]:
    """Scans every watch folder and records what is found, as a pass and a plan do before they decide.

    A folder that is down, or does not answer, is logged and told in its result. Raises BusyError and FaultError for
    the state file.
    """
    return [Scanner(config, watch, state, clock, is_patient=False).scan(retry=retry) for watch in config.watches]
