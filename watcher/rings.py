"""What a doorbell has rung for and nobody has looked at yet.

Bounded by what it can name: each dump stands in it once however often its bell rings, and past a limit one scan
stands for all of them.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice

#: More names than this are dropped for one scan, which finds them all: memory does not grow with a storm.
MOST_NAMES = 250_000
#: How long a marker that was made and not closed is left to its writer. `touch` and `>` close at once; a hard link
#: is never closed.
UNCLOSED_SECONDS = 0.5


class Rings:
    """Filled by the thread that reads events, emptied by the one that records. ``condition`` tells of each ring.

    Times are seconds of a clock that never jumps.
    """

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition
        # Ordered: taking the first of a plain dict again and again walks over all that were taken before.
        self._names: OrderedDict[str, None] = OrderedDict()
        self._unclosed: OrderedDict[str, float] = OrderedDict()  # path -> when to look; the soonest first
        self._folders: dict[str, None] = {}
        self._scan = False
        self._forgotten = False
        self._overflows = 0

    def name(self, path: str) -> None:
        """The markers of this dump have changed."""
        with self._condition:
            self._unclosed.pop(path, None)
            self._add([path])

    def unclosed(self, path: str, now: float) -> None:
        """A marker of this dump was made, and may be written into still."""
        with self._condition:
            if path not in self._names and path not in self._unclosed:
                is_first = not self._unclosed
                self._unclosed[path] = now + UNCLOSED_SECONDS
                self._limit()
                if is_first:
                    self._condition.notify()

    def touched(self, path: str) -> None:
        """A marker of this dump has another time or mode. One that was just made may be written into still."""
        with self._condition:
            if path not in self._unclosed:
                self._add([path])

    def folder(self, path: str) -> None:
        """This folder has come, gone, or taken another place."""
        with self._condition:
            self._folders[path] = None
            self._condition.notify()

    def scan(self) -> None:
        """Only a scan tells what there is."""
        with self._condition:
            self._scan = True
            self._condition.notify()

    def overflow(self) -> None:
        """The kernel has dropped events."""
        with self._condition:
            self._overflows += 1
        self.scan()

    def put_back(self, paths: Iterable[str]) -> None:
        """These could not be recorded."""
        with self._condition:
            self._add(paths)

    def take_names(self, limit: int, now: float) -> list[str]:
        """At most ``limit`` dumps to look at now, in the order of their first ring."""
        with self._condition:
            while self._unclosed and self._first_unclosed() <= now:
                path, _ = self._unclosed.popitem(last=False)
                self._names[path] = None
            taken = list(islice(self._names, limit))
            for path in taken:
                del self._names[path]
            if not self._names:
                self._names.clear()  # an empty dict goes on holding what a burst made it grow to
            return taken

    def take_folders(self) -> list[str]:
        """The folders to scan."""
        with self._condition:
            taken, self._folders = list(self._folders), {}
            return taken

    def take_scan(self) -> list[str] | None:
        """Once after each call for a scan the folders rung for before, which it covers; else None."""
        with self._condition:
            if not self._scan:
                return None
            self._scan = False
            covered, self._folders = list(self._folders), {}
            return covered

    def take_forgotten(self) -> bool:
        """True once after names were dropped for a scan."""
        with self._condition:
            taken, self._forgotten = self._forgotten, False
            return taken

    def take_overflows(self) -> int:
        """How many overflows nobody has counted yet."""
        with self._condition:
            taken, self._overflows = self._overflows, 0
            return taken

    def due(self) -> float | None:
        """When there is something to do: 0 for now, None for nothing."""
        with self._condition:
            if self._names or self._folders or self._scan:
                return 0.0
            return self._first_unclosed() if self._unclosed else None

    def _first_unclosed(self) -> float:
        return next(iter(self._unclosed.values()))

    def _add(self, paths: Iterable[str]) -> None:
        is_first = not self._names  # nobody waits while there are names: one is told once
        self._names.update(dict.fromkeys(paths))
        self._limit()
        if is_first:
            self._condition.notify()

    def _limit(self) -> None:
        if len(self._names) + len(self._unclosed) + len(self._folders) > MOST_NAMES:
            self._names.clear()
            self._unclosed.clear()
            self._folders.clear()
            self._scan = self._forgotten = True
