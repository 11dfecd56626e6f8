"""Whether there is room for one more dump on the disk."""

import threading

from core.units import format_size
from dumps.failure import DumpFailed
from dumps.place import Place


class Space:
    """Room on the disk of a place, for dumps that are made at the same time: none counts on what another needs."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._needs: dict[str, int] = {}

    def reserve(self, name: str, last: int, margin: int | None) -> None:
        """Sees that a dump as large as the ``last`` one of its VM has room, and ``margin`` more.

        ``margin`` None: a tenth of it. ``last`` 0: nothing is known of its size. Raises DumpFailed, and OSError.
        """
        wanted = last + (last // 10 if margin is None else margin)
        with self._lock:
            free = self._place.free_bytes() - sum(map(self._still_to_come, self._needs))
            if wanted > free:
                raise DumpFailed(
                    f"no room for it: {format_size(max(0, free))} are free in {self._place.path}, and it needs "
                    f"{format_size(wanted)} (the last one had {format_size(last)})"
                )
            self._needs[name] = last

    def release(self, name: str) -> None:
        """It needs no more room."""
        with self._lock:
            self._needs.pop(name, None)

    def _still_to_come(self, name: str) -> int:
        return max(0, self._needs[name] - self._place.written_bytes(name))
