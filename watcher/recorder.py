"""Looks at dumps and records what is seen, a batch at a time: the looks outside the lock, then one transaction."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from core import failpoints
from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.enums import MarkerResult, Reason
from core.filenames import printable
from core.fs.io_timeout import IoTimeout
from core.state import counters
from core.state.database import State
from watcher.observation import Observation, observe_on
from watcher.record import News, record
from watcher.watch_tree import Ground

log = logging.getLogger("tidegate.watcher")

#: Dumps in one transaction: at a thousand the one fsync costs next to nothing for each (docs/BENCHMARKS.md).
BATCH = 1000
#: As a Recorder's footing: whatever folder stands there, no marker counts as removed.
NO_FOLDER = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch: how many times each result came, which dumps had news, how many have to be tried again.

    ``early`` are dumps whose new marker does not speak of what stands there now, as one does that came first.
    ``is_open`` False: the watch folder itself could not be opened.
    """

    results: Counter[MarkerResult] = field(default_factory=Counter)
    fresh: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    left_out: int = 0
    is_open: bool = True


class Recorder:
    """Of one watch folder. ``patience`` None: the disk may take its time.

    ``footing`` is the folder that was scanned last: in any other one no marker counts as removed.
    """

    def __init__(
        self,
        config: Config,
        watch: WatchFolder,
        state: State,
        clock: Clock,
        *,
        ground: Ground | None = None,
        io_timeout: IoTimeout | None = None,
    ) -> None:
        self.filesystem_id: str | None = None
        self._watch = watch
        self._state = state
        self._clock = clock
        self._ground = ground or Ground(config, watch)
        self._io_timeout = io_timeout
        self._sets = config.sets_of_vms()

    def record(self, paths: Sequence[str], *, timed: bool = True) -> Recorded:
        """Looks at the dumps at these paths, at most BATCH, and records them in one transaction.

        Where the watch folder cannot be opened nothing is recorded: that is for a scan to tell. ``timed``: the time
        since their markers were made is counted. Raises BusyError and FaultError.
        """
        now = self._clock.now().wall

        def look() -> list[Observation]:
            return observe_on(self._ground, self._sets, paths, now, self.filesystem_id)

        try:
            observations = look() if self._io_timeout is None else self._io_timeout.ask(look)
        except OSError as error:
            log.warning("%s: cannot be opened: %s", self._watch.path, error.strerror)
            return Recorded(left_out=len(paths), is_open=False)
        failpoints.point("observed")
        with self._state.write() as connection:
            news = record(connection, self._watch, observations, now)
            if timed:
                at = self._clock.now().wall
                counters.count_delays(connection, [at - one.appeared_at for one in news if one.appeared_at is not None])
        failpoints.point("recorded")
        for one in news:
            _tell(self._watch, one)
        fresh = [one for one in news if one.appeared_at is not None]
        return Recorded(
            Counter(one.result for one in news),
            tuple(one.seen.path for one in fresh),
            tuple(one.seen.path for one in fresh if one.seen.reason in _MAY_COME),
            len(paths) - len(observations),
        )


def together(some: Sequence[Recorded]) -> Recorded:
    """What became of several batches."""
    return Recorded(
        sum((one.results for one in some), Counter()),
        tuple(path for one in some for path in one.fresh),
        tuple(path for one in some for path in one.early),
        sum(one.left_out for one in some),
        all(one.is_open for one in some),
    )


def batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """These paths in portions for one transaction each."""
    for start in range(0, len(paths), BATCH):
        yield paths[start : start + BATCH]


def _tell(watch: WatchFolder, news: News) -> None:
    level = logging.INFO if news.result in _EXPECTED else logging.WARNING
    detail = f": {news.seen.detail}" if news.seen.detail else ""
    log.log(level, "%s: %s: %s%s", watch.name, printable(news.seen.path), news.result, detail)


#: What a dump can be seen as while it is copied.
_MAY_COME = frozenset({Reason.MISSING, Reason.CHANGED, Reason.VERIFY_FAILED})
_EXPECTED = frozenset({MarkerResult.RECORDED, MarkerResult.REPEATED, MarkerResult.RUNNING})
