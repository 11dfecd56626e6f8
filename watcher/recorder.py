"""Looks at dumps and records what is seen, a batch at a time: the looks outside the lock, then one transaction."""

import logging
from collections import Counter
from collections.abc import Sequence

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
        """Looks at the dumps at these paths and records them. Returns how many times each result came.

        A watch folder that cannot be opened is left to the scans. Raises BusyError and FaultError.
        """
        results: Counter[MarkerResult] = Counter()
        for start in range(0, len(paths), BATCH):
            results += self._batch(paths[start : start + BATCH])
        return results

    def _batch(self, paths: Sequence[str]) -> Counter[MarkerResult]:
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


def _tell(watch: WatchFolder, seen: Observation, result: MarkerResult) -> None:
    level = logging.INFO if result in _EXPECTED else logging.WARNING
    log.log(level, "%s: %s: %s%s", watch.name, printable(seen.path), result, f": {seen.detail}" if seen.detail else "")


_EXPECTED = frozenset({MarkerResult.RECORDED, MarkerResult.REPEATED, MarkerResult.RUNNING})
