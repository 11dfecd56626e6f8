"""The newest look at something that takes long to look at: one is made at a time, for all who ask."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from core.errors import TidegateError

log = logging.getLogger("tidegate.page")

_T = TypeVar("_T")

#: A look counts as new for so long while nothing has changed: ages grow, and what stands in a tree nobody records.
FRESH_SECONDS = 60.0
#: After a look nobody looks for so many times what it took: a page that is always open takes a quarter of a core.
_REST = 3.0
#: A look that takes longer hangs.
_LONG_SECONDS = 30.0


class Snapshots(Generic[_T]):
    """Makes one by ``make`` in a thread of its own when the last is old, or ``version`` says that there is news.

    ``make`` may raise TidegateError: then the last one stays, and why is told. ``end`` takes one that is done with.
    """

    def __init__(self, make: Callable[[], _T], version: Callable[[], Hashable], end: Callable[[_T], None]) -> None:
        self._make = make
        self._version = version
        self._end = end
        self._turned = threading.Condition()
        self._newest: _T | None = None
        self._made = float("-inf")
        self._of: Hashable = None
        self._due = float("-inf")
        self._since: float | None = None  # when the one that is being made was begun
        self._trouble: str | None = None
        self._ended: list[_T] = []

    def newest(self, seconds: float, seconds_for_first: float) -> tuple[_T | None, str | None]:
        """The newest one, and why there is no newer one where there should be.

        Waits so long for one that is being made, or for the first one.
        """
        with self._turned:
            while self._ended:  # nobody but the caller has looked at them
                self._end(self._ended.pop())
            if self._since is None and self._is_wanted():
                self._begin()
            io_timeout = seconds_for_first if self._newest is None else seconds
            self._turned.wait_for(lambda: self._since is None, io_timeout)
            return self._newest, self._told()

    def _is_wanted(self) -> bool:
        now = time.monotonic()
        if now < self._due:
            return False
        return now - self._made > FRESH_SECONDS or self._version() != self._of

    def _begin(self) -> None:
        self._since = time.monotonic()
        threading.Thread(target=self._look, name="look", daemon=True).start()

    def _look(self) -> None:
        began, of = time.monotonic(), self._version()
        made: _T | None = None
        trouble = None
        try:
            made = self._make()
        except TidegateError as error:
            trouble = str(error)
        except Exception:
            log.exception("a bug")
            trouble = "a bug; the service's log says more"
        with self._turned:
            if made is not None:
                if self._newest is not None:
                    self._ended.append(self._newest)
                self._newest, self._made, self._of = made, began, of
            self._trouble = trouble
            self._due = time.monotonic() + _REST * (time.monotonic() - began)
            self._since = None
            self._turned.notify_all()

    def _told(self) -> str | None:
        if self._since is not None and time.monotonic() - self._since > _LONG_SECONDS:
            return f"the look that was begun {time.monotonic() - self._since:.0f} s ago has no end: does a disk hang?"
        return self._trouble
