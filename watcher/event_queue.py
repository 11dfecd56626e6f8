"""What kernel events have called for and nobody has done yet, what is looked at again later, and what events missed."""

import heapq
import threading
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

#: More entries than this are dropped for one scan, which finds all of it: memory does not grow with a burst.
MAX_ENTRIES = 250_000
#: How long a marker that was created and not closed is left to its writer, in seconds. `touch` and `>` close at once;
#: a hard link is never closed.
UNCLOSED_SECONDS = 0.5
#: A look at a dump that was incomplete comes so many seconds after the one before; after the last it is the scan's.
_RETRY_DELAYS = (1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
#: More incomplete dumps are left to the scan: memory does not grow with their number.
_MAX_RETRIES = 10_000
#: The event of a marker may come a moment after the scan that has found it.
_GRACE_SECONDS = 2.0
#: More finds of a scan are counted at once: memory does not grow with their number.
_MAX_FINDS = 100_000

_NOW = float("-inf")
_NEVER = float("inf")


class Pending(NamedTuple):
    """What was taken from the queue: paths of dumps, folders to scan with all below them, whether to scan everything.

    A scan of everything covers the dumps and the folders. ``overflows``: how often the kernel has dropped events.
    ``is_complete`` False: names were dropped, by us.
    """

    dumps: list[str]
    folders: list[str]
    scan: bool = False
    overflows: int = 0
    is_complete: bool = True


class EventQueue:
    """Filled by the thread that reads events, emptied by the one that records. Each dump is in it once.

    Times are seconds of a clock that never jumps.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        # Ordered: taking the first of a plain dict again and again walks over all that were taken before.
        self._dumps: OrderedDict[str, None] = OrderedDict()
        self._unclosed: OrderedDict[str, float] = OrderedDict()  # path -> when to look, the soonest first
        self._folders: dict[str, None] = {}
        self._scan = False
        self._is_complete = True
        self._overflows = 0
        self._is_closed = False

    # --- by the thread that reads events

    def dump(self, path: str) -> None:
        """A marker of this dump was closed, moved or removed."""
        with self._condition:
            self._unclosed.pop(path, None)
            self._add(path)

    def created(self, path: str, now: float) -> None:
        """A marker of this dump was created, and may still be written to."""
        with self._condition:
            if path not in self._dumps and path not in self._unclosed:
                self._unclosed[path] = now + UNCLOSED_SECONDS
                self._limit()
                if len(self._unclosed) == 1:
                    self._condition.notify()

    def touched(self, path: str) -> None:
        """A marker of this dump has another time or mode. One that was just created may still be written to."""
        with self._condition:
            if path not in self._unclosed:
                self._add(path)

    def folder(self, path: str) -> None:
        """This folder was made, moved or removed."""
        with self._condition:
            self._folders[path] = None
            self._limit()
            self._condition.notify()

    def scan(self) -> None:
        """Only a scan of everything can find what has changed. May be called by any thread."""
        with self._condition:
            self._scan = True
            self._condition.notify()

    def overflow(self) -> None:
        """The kernel has dropped events."""
        with self._condition:
            self._overflows += 1
            self._scan = True
            self._condition.notify()

    def _add(self, path: str) -> None:
        self._dumps[path] = None
        self._limit()
        if len(self._dumps) == 1:  # nobody waits while there is a dump
            self._condition.notify()

    def _limit(self) -> None:
        if len(self._dumps) + len(self._unclosed) + len(self._folders) > MAX_ENTRIES:
            self._clear()
            self._scan, self._is_complete = True, False

    def _clear(self) -> None:
        self._dumps.clear()
        self._unclosed.clear()
        self._folders.clear()

    # --- by the thread that records

    def take(self, limit: int, now: float, *, everything: bool = False) -> Pending:
        """At most ``limit`` dumps to look at now, in the order of their events, and the folders to scan.

        When a scan was called for, and with ``everything``, all that is there.
        """
        with self._condition:
            if everything or self._scan:
                taken = [*self._dumps, *self._unclosed]
                folders = list(self._folders)
                self._clear()
            else:
                while self._unclosed and self._first_unclosed() <= now:
                    self._dumps[self._unclosed.popitem(last=False)[0]] = None
                taken = list(islice(self._dumps, limit))
                for path in taken:
                    del self._dumps[path]
                if not self._dumps:
                    self._dumps.clear()  # an empty dict keeps the memory that it has grown to
                folders, self._folders = list(self._folders), {}
            pending = Pending(taken, folders, self._scan, self._overflows, self._is_complete)
            self._scan, self._overflows, self._is_complete = False, 0, True
            return pending

    def put_back(self, pending: Pending) -> None:
        """This could not be recorded yet. Its overflows are not taken back."""
        with self._condition:
            self._dumps.update(dict.fromkeys(pending.dumps))
            self._folders.update(dict.fromkeys(pending.folders))
            self._scan |= pending.scan
            self._is_complete &= pending.is_complete
            self._limit()

    def due(self) -> float:
        """When there is something to take: minus infinity for now, infinity for nothing."""
        with self._condition:
            return self._due()

    def wait(self, now: float, until: float) -> None:
        """Returns when there is something to take, at ``until``, or when ``close`` is called."""
        with self._condition:
            if not self._is_closed and (rest := min(self._due(), until) - now) > 0:
                self._condition.wait(rest)

    def close(self) -> None:
        """Ends a wait, and each later one at once. May be called by any thread."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def _due(self) -> float:
        if self._dumps or self._folders or self._scan:
            return _NOW
        return self._first_unclosed() if self._unclosed else _NEVER

    def _first_unclosed(self) -> float:
        return next(iter(self._unclosed.values()))


class RetryQueue:
    """Dumps that were incomplete when their marker came, as a copy of a whole folder may bring them.

    They are looked at again soon: events of dumps are not asked for, since writing one, or reading it, would give an
    event for each block.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []  # when, how many looks it has had, path

    def add(self, paths: Iterable[str], now: float) -> None:
        """These dumps were incomplete now."""
        for path in paths:
            self._push(path, 0, now)

    def due(self) -> float:
        """When the next look is due."""
        return self._heap[0][0] if self._heap else _NEVER

    def take(self, limit: int, now: float) -> list[str]:
        """At most ``limit`` dumps to look at now."""
        taken: list[tuple[str, int]] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < limit:
            _, looks, path = heapq.heappop(self._heap)
            taken.append((path, looks + 1))
        for path, looks in taken:
            if looks < len(_RETRY_DELAYS):
                self._push(path, looks, now)
        return [path for path, _ in taken]

    def _push(self, path: str, looks: int, now: float) -> None:
        if len(self._heap) < _MAX_RETRIES:
            heapq.heappush(self._heap, (now + _RETRY_DELAYS[looks], looks, path))


class MissedEvents:
    """Counts what scans have found and no event has reported: whether events can be relied on in this folder.

    What a scan has found is kept until its event should have come.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, float] = {}
        self._counted = 0

    def found(self, paths: Iterable[str], now: float) -> None:
        """A scan of everything has found new markers of these dumps."""
        for path in paths:
            if len(self._waiting) < _MAX_FINDS:
                self._waiting[path] = now + _GRACE_SECONDS
            else:
                self._counted += 1

    def reported(self, dumps: Iterable[str], folders: Iterable[str]) -> None:
        """Events came for these dumps, and for these folders with all below them."""
        if not self._waiting:
            return
        for dump in dumps:
            self._waiting.pop(dump, None)
        below = tuple(f"{folder}/" for folder in folders)
        if below:
            self._waiting = {path: due for path, due in self._waiting.items() if not path.startswith(below)}

    def due(self) -> float:
        """When there is something to count."""
        return _NOW if self._counted else next(iter(self._waiting.values()), _NEVER)

    def take(self, now: float) -> int:
        """How many more there are for certain. ``put_back`` when they could not be counted."""
        late = [path for path, due in self._waiting.items() if due <= now]
        for path in late:
            del self._waiting[path]
        if not self._waiting:
            self._waiting.clear()  # an empty dict keeps the memory that it has grown to
        taken, self._counted = self._counted + len(late), 0
        return taken

    def put_back(self, number: int) -> None:
        """These could not be counted yet."""
        self._counted += number
