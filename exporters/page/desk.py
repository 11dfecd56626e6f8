"""Where the service takes questions about the page, and hands them to a process of their own.

To make the page of thousands of VMs takes seconds of a processor. In the service each of them would be taken from the
threads that record; so all of it, the HTML too, is made elsewhere, and here bytes are passed on. Whatever becomes of
that process, the last page that it made is shown, and says so.
"""

import html
import logging
import subprocess
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from http import HTTPStatus

from exporters.page import wire
from exporters.server import HTML, Response, plain

log = logging.getLogger("tidegate.exporters")

#: Seconds for an answer; the process says by itself what it has after half of it. A disk that hangs may stop it.
IO_TIMEOUT = 20.0
#: So many may wait for it at a time: the others of the server's seats are for the scrapes.
MOST_WAITING = 8
_REMEMBERED = 16
#: Characters of a question, of six bytes each at worst: a pipe must take it at once, though nobody may read.
_LONGEST_TARGET = 2048
#: Where a page that is shown again says so: what others wrote is escaped and can never be this.
NOTICE = b"<!--notice-->"

_TOO_LONG = plain(HTTPStatus.REQUEST_URI_TOO_LONG, "No page has so long an address.")
_TOO_MANY = plain(HTTPStatus.SERVICE_UNAVAILABLE, "Too many ask for pages at once; ask again in a moment.")


class Desk:
    """Answers from a child, started by ``command`` when it is first needed.

    A child that was idle for long ends by itself. Any thread may ask.
    """

    def __init__(self, command: Sequence[str], io_timeout: float = IO_TIMEOUT) -> None:
        self._command = command
        self._io_timeout = io_timeout
        self._seats = threading.BoundedSemaphore(MOST_WAITING)
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self._pages: OrderedDict[str, Response] = OrderedDict()

    def __call__(self, target: str) -> Response:
        """The child's answer, else the last one that it gave to the same question."""
        if len(target) > _LONGEST_TARGET:
            return _TOO_LONG
        if not self._seats.acquire(blocking=False):
            return _TOO_MANY
        try:
            return self._ask(target)
        finally:
            self._seats.release()

    def close(self) -> None:
        """Ends the child."""
        with self._turn:
            self._end()

    def _ask(self, target: str) -> Response:
        deadline = time.monotonic() + self._io_timeout
        if not self._turn.acquire(timeout=self._io_timeout):
            return self._again(target, "the pages are slow to be made")
        try:
            answer = self._heard(target, deadline)
        except TimeoutError:
            self._end()
            return self._again(target, f"none could be made within {self._io_timeout:.0f} s; a disk may hang")
        except (OSError, ValueError, KeyError) as error:
            self._end()
            log.warning("the status page could not be made: %s", error)
            return self._again(target, "the process that makes the pages has ended; the service's log says more")
        finally:
            self._turn.release()
        self._remember(target, answer)
        return answer

    def _heard(self, target: str, deadline: float) -> Response:
        """Of the child; where it ended meanwhile, as it does when nobody asks for long, of a new one."""
        try:
            return self._present().answer(target, deadline - time.monotonic())
        except (wire.GoneError, BrokenPipeError):
            self._end()
            return self._present().answer(target, deadline - time.monotonic())

    def _present(self) -> "_Child":
        if self._child is None:
            self._child = _Child(self._command)
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _remember(self, target: str, answer: Response) -> None:
        if answer.status is HTTPStatus.OK and answer.content_type == HTML:
            self._pages[target] = answer
            self._pages.move_to_end(target)
            while len(self._pages) > _REMEMBERED:
                self._pages.popitem(last=False)

    def _again(self, target: str, why: str) -> Response:
        """The last page that was made, which says so; else why there is none."""
        answer = self._pages.get(target)
        if answer is None:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"There is no page now: {why}.")
        words = f"No newer page than this one: {why}."
        notice = f'<p class="notice" role="alert">{html.escape(words)}</p>'.encode()
        return answer._replace(body=answer.body.replace(NOTICE, notice, 1))


class _Child:
    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it was asked for
        assert self._process.stdout is not None  # noqa: S101
        self._mouth, self._ear = self._process.stdin, wire.Ear(self._process.stdout.fileno())
        # It may end at any time, and nobody may ask for days.
        threading.Thread(target=self._process.wait, name="end of the page", daemon=True).start()

    def answer(self, target: str, seconds: float) -> Response:
        """Raises TimeoutError, OSError, and ValueError or KeyError for an answer without sense."""
        wire.ask(self._mouth.fileno(), target)
        return wire.hear(self._ear, seconds)

    def end(self) -> None:
        """It writes nothing, so that it may be ended at any time. One that a disk holds is waited for elsewhere."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
