"""Scans: a watch folder is listed and compared with the state; what differs is looked at and recorded.

The markers are the queue and the scan is the truth: whatever no event told is found here.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate import trace
from tidegate.clock import Clock
from tidegate.config.model import Config, WatchFolder
from tidegate.state import dumps, tallies
from tidegate.state.door import State
from tidegate.terms import DumpState, MarkerResult, Reason
from watcher.ground import Ground
from watcher.listing import Arm, Listing, list_markers, no_arm
from watcher.observe import HINDRANCES
from watcher.recorder import Recorder, batches

log = logging.getLogger("tidegate.watcher")

#: Path -> signature of its markers, state and reason, as recorded.
Known = Mapping[str, tuple[str, DumpState, Reason | None]]

#: The watch folder itself, and so everything in it.
_ALL = ("",)
_LOOKED_AT_AGAIN = frozenset({DumpState.CHANGED, DumpState.MISSING, DumpState.BAD})


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found. ``up`` False: the watch folder cannot be read, and nothing in it counts as removed.

    ``to_look_at`` are paths of dumps whose markers are new or changed, or that were hindered; ``gone`` are those
    whose markers stand no more.
    """

    up: bool
    detail: str = ""
    to_look_at: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def scan(
    config: Config,
    watch: WatchFolder,
    known: Known,
    *,
    starts: Sequence[str] = _ALL,
    arm: Arm = no_arm,
    retry: bool = True,
) -> ScanResult:
    """Compares what stands in these folders of the watch folder, and below them, with what is ``known`` there.

    ``retry`` also looks again at dumps that the policy could not let out, so that the next pass tries them.
    """
    ground = Ground(config, watch)
    try:
        with ground.open_root() as root:
            trace.point("opened")
            listing = list_markers(ground, root, starts, arm)
            if not ground.is_root(root):
                return ScanResult(up=False, detail="another folder took its place while it was scanned")
    except OSError as error:
        return ScanResult(up=False, detail=f"it cannot be opened: {error.strerror}")
    if "" in listing.unsure:
        return ScanResult(up=False, detail="it cannot be listed")
    if listing.is_bare and known:
        return ScanResult(up=False, detail=f"it is empty, and {len(known)} dumps were marked in it: is it mounted?")
    return _compare(listing, known, retry=retry)


def _compare(listing: Listing, known: Known, *, retry: bool) -> ScanResult:
    to_look_at = [
        path
        for path, signature in listing.signatures.items()
        if (row := known.get(path)) is None or row[0] != signature or _needs_a_look(*row[1:], retry=retry)
    ]
    gone = [path for path in known if path not in listing.signatures and listing.is_sure_of(path)]
    unsure = f"{len(listing.unsure)} places in it cannot be read" if listing.unsure else ""
    return ScanResult(up=True, detail=unsure, to_look_at=tuple(to_look_at), gone=tuple(gone))


def _needs_a_look(state: DumpState, reason: Reason | None, *, retry: bool) -> bool:
    return state in _LOOKED_AT_AGAIN or reason in HINDRANCES or (retry and reason is not None)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What became of one scan. ``looked_at`` counts dumps, ``results`` those of them that had news."""

    watch: str
    up: bool
    detail: str
    seconds: float
    looked_at: int = 0
    results: Counter[MarkerResult] = field(default_factory=Counter)


class Scanner:
    """Scans one watch folder and records what it finds. ``stop`` is asked between the batches of a whole scan."""

    def __init__(
        self, config: Config, watch: WatchFolder, state: State, clock: Clock, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._config = config
        self._watch = watch
        self._state = state
        self._clock = clock
        self._stop = stop
        self._recorder = Recorder(config, watch, state, clock)

    def scan(self, *, starts: Sequence[str] = _ALL, arm: Arm = no_arm, retry: bool = False) -> Scanned:
        """Scans these folders and all below them. Raises BusyError and FaultError for the state file."""
        begun = self._clock.now()
        found = scan(self._config, self._watch, self._known(starts), starts=starts, arm=arm, retry=retry)
        trace.point("scanned")
        results: Counter[MarkerResult] = Counter()
        for batch in batches(found.to_look_at + found.gone):
            if self._stop() and "" in starts:
                break  # what is left stands on the disk, and the next scan finds it
            results += self._recorder.record(batch)
        seconds = self._clock.now().elapsed_since(begun)
        if "" in starts or not found.up:
            self._tell(found, begun.wall, seconds)
        looked_at = len(found.to_look_at) + len(found.gone)
        return Scanned(self._watch.name, found.up, found.detail, seconds, looked_at, results)

    def _known(self, starts: Sequence[str]) -> Known:
        known: dict[str, tuple[str, DumpState, Reason | None]] = {}
        with self._state.read() as connection:
            for start in starts:
                known |= dumps.standing_markers(connection, self._watch.name, start)
        return known

    def _tell(self, found: ScanResult, begun: float, seconds: float) -> None:
        with self._state.write() as connection:
            before = tallies.watch_statuses(connection).get(self._watch.name)
            times = {"last_scan_at": begun, "last_scan_seconds": seconds} if found.up else {}
            tallies.set_watch_status(connection, self._watch.name, up=found.up, detail=found.detail, **times)
        if before is None or (before.up, before.detail) != (found.up, found.detail):
            _log_status(self._watch, found)


def _log_status(watch: WatchFolder, found: ScanResult) -> None:
    if not found.up:
        log.warning("%s: the watch folder is down: %s", watch.path, found.detail)
    elif found.detail:
        log.warning("%s: %s", watch.path, found.detail)
    else:
        log.info("%s: the watch folder is up", watch.path)


def scan_and_record(config: Config, state: State, clock: Clock, *, retry: bool = True) -> list[Scanned]:
    """Scans every watch folder and records what is found, as a pass and a plan do before they decide.

    A folder that is down is logged and told in its result. Raises BusyError and FaultError for the state file.
    """
    return [Scanner(config, watch, state, clock).scan(retry=retry) for watch in config.watches]
