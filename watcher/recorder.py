"""Looks at dumps and records what is seen, a batch at a time: the looks outside the lock, then one transaction."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence

from tidegate import trace
from tidegate.clock import Clock
from tidegate.config.model import Config, WatchFolder
from tidegate.names import printable
from tidegate.state.door import State
from tidegate.terms import MarkerResult
from watcher.observe import Observation, observe
from watcher.record import record

log = logging.getLogger("tidegate.watcher")

#: Dumps in one transaction: at a thousand the one fsync costs next to nothing for each (docs/BENCHMARKS.md).
BATCH = 1000


class Recorder:
    """Of one watch folder."""

    def __init__(self, config: Config, watch: WatchFolder, state: State, clock: Clock) -> None:
        self._config = config
        self._watch = watch
        self._state = state
        self._clock = clock

    def record(self, paths: Sequence[str]) -> Counter[MarkerResult]:
        """Looks at the dumps at these paths, at most BATCH, and records them in one transaction.

        Returns how many times each result came. Where the watch folder cannot be opened nothing is recorded: that
        is for a scan to tell. Raises BusyError and FaultError.
        """
        now = self._clock.now().wall
        try:
            observations = observe(self._config, self._watch, paths, now)
        except OSError as error:
            log.warning("%s: cannot be opened: %s", self._watch.path, error.strerror)
            return Counter()
        trace.point("observed")
        with self._state.write() as connection:
            news = record(connection, self._watch, observations, now)
        trace.point("recorded")
        for seen, result in news:
            _tell(self._watch, seen, result)
        return Counter(result for _, result in news)


def batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """These paths in portions for one transaction each."""
    for start in range(0, len(paths), BATCH):
        yield paths[start : start + BATCH]


def _tell(watch: WatchFolder, seen: Observation, result: MarkerResult) -> None:
    level = logging.INFO if result in _EXPECTED else logging.WARNING
    log.log(level, "%s: %s: %s%s", watch.name, printable(seen.path), result, f": {seen.detail}" if seen.detail else "")


_EXPECTED = frozenset({MarkerResult.RECORDED, MarkerResult.REPEATED, MarkerResult.RUNNING})
