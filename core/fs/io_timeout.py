"""Questions to a disk that may never answer: a mount whose server is gone keeps whoever asks, for ever.

No time-out can be given to the kernel. So a thread asks, and it is the thread that is left behind.
"""

import errno
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")

#: Place -> the thread that waits there. Nobody else is sent after it.
_waiting: dict[str, threading.Thread] = {}


class NoAnswerError(TimeoutError):
    """The disk has not answered in time. An OSError, so that it is met where any other fault of a disk is."""

    def __init__(self, place: str) -> None:
        super().__init__(errno.ETIMEDOUT, "it does not answer", place)


class _Question(threading.Thread, Generic[_T]):
    def __init__(self, place: str, question: Callable[[], _T]) -> None:
        super().__init__(name=f"asks {place}", daemon=True)
        self._question = question
        self._error: BaseException | None = None
        self._answer: list[_T] = []

    def run(self) -> None:
        try:
            self._answer.append(self._question())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asked
            self._error = error

    def answer(self) -> _T:
        if self._error is not None:
            raise self._error
        return self._answer[0]


class IoTimeout:
    """For questions about one place: ``seconds`` is the longest silence of one that is being answered.

    A question must change nothing: when it is answered after all, nobody may be there to hear it.
    """

    def __init__(self, place: str, seconds: float) -> None:
        self._place = place
        self._seconds = seconds
        self._heard = 0.0

    def ask(self, question: Callable[[], _T]) -> _T:
        """The answer, or what it raised. Raises NoAnswerError, at once where an earlier question still waits."""
        earlier = _waiting.get(self._place)
        if earlier is not None and earlier.is_alive():
            raise NoAnswerError(self._place)
        asked = _Question(self._place, question)
        self.still_here()
        asked.start()
        while asked.is_alive() and (left := self._heard + self._seconds - time.monotonic()) > 0:
            asked.join(left)
        if asked.is_alive():
            _waiting[self._place] = asked
            raise NoAnswerError(self._place)
        return asked.answer()

    def still_here(self) -> None:
        """A sign of life from within a long question."""
        self._heard = time.monotonic()


def ask(place: str, seconds: float, question: Callable[[], _T]) -> _T:
    """The answer of a place that has ``seconds`` to give it. Raises NoAnswerError and whatever the question raises."""
    return IoTimeout(place, seconds).ask(question)
