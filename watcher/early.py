"""Markers that came before their dumps, as a copy of a whole folder may bring them: they are looked at again soon.

No event of a dump is listened to: one that is written, or read by the puller, would ring without end.
"""

import heapq
from collections.abc import Iterable

#: Looks come so many seconds after the one before; after the last one it is the scan's.
_DELAYS = (1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
#: More are left to the scan: memory must not grow with what is marked.
_MOST = 10_000


class Early:
    """Dumps to look at again, and when. Times never jump."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, str]] = []  # when, how many looks it has had, path

    def add(self, paths: Iterable[str], now: float) -> None:
        """The markers of these dumps are new and their dumps are not what they speak of."""
        for path in paths:
            self._push(path, 0, now)

    def due(self) -> float:
        """When the next look is wanted."""
        return self._queue[0][0] if self._queue else float("inf")

    def take(self, limit: int, now: float) -> list[str]:
        """At most ``limit`` to look at now."""
        taken: list[tuple[str, int]] = []
        while self._queue and self._queue[0][0] <= now and len(taken) < limit:
            _, looks, path = heapq.heappop(self._queue)
            taken.append((path, looks + 1))
        for path, looks in taken:
            if looks < len(_DELAYS):
                self._push(path, looks, now)
        return [path for path, _ in taken]

    def _push(self, path: str, looks: int, now: float) -> None:
        if len(self._queue) < _MOST:
            heapq.heappush(self._queue, (now + _DELAYS[looks], looks, path))
