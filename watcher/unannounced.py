"""How much scans find that no event had announced: the honest measure of the doorbell."""

from collections.abc import Iterable

#: The event of a marker may come a moment after the scan that has found it.
_GRACE_SECONDS = 2.0
#: More are counted at once: memory must not grow with what is found.
_MOST = 100_000


class Unannounced:
    """Keeps what a scan has found until its events should have come. Times never jump."""

    def __init__(self) -> None:
        self._waiting: dict[str, float] = {}
        self._counted = 0

    def found(self, paths: Iterable[str], now: float) -> None:
        """A whole scan has found news of these dumps."""
        for path in paths:
            if len(self._waiting) < _MOST:
                self._waiting[path] = now + _GRACE_SECONDS
            else:
                self._counted += 1

    def heard(self, dumps: Iterable[str] = (), folders: Iterable[str] = ()) -> None:
        """Events have told of these."""
        if not self._waiting:
            return
        for dump in dumps:
            self._waiting.pop(dump, None)
        below = tuple(f"{folder}/" for folder in folders)
        if below:
            self._waiting = {path: due for path, due in self._waiting.items() if not path.startswith(below)}

    def due(self) -> float:
        """When there is something to count."""
        if self._counted:
            return float("-inf")
        return next(iter(self._waiting.values()), float("inf"))

    def take(self, now: float) -> int:
        """How many more there are for certain. ``put_back`` when they could not be counted."""
        late = [path for path, due in self._waiting.items() if due <= now]
        for path in late:
            del self._waiting[path]
        if not self._waiting:
            self._waiting.clear()  # an empty dict goes on holding what it had grown to
        taken, self._counted = self._counted + len(late), 0
        return taken

    def put_back(self, number: int) -> None:
        """These could not be counted yet."""
        self._counted += number
