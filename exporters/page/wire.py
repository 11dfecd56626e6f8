"""How the service and the page's process talk: a question is a line, an answer a line about its body and the body."""

import json
import os
import select
import time
from collections.abc import Iterator
from http import HTTPStatus

from exporters.server import Response

_PIECE = 1 << 20
#: Longer than the head of any answer and any question.
_LONGEST_LINE = 1 << 16


class GoneError(OSError):
    """The other end has closed the pipe."""


class Ear:
    """Reads one end of a pipe; raises GoneError at its end, and TimeoutError after the seconds that it is given."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._heard = b""

    def line(self, seconds: float) -> bytes:
        """One line without its end."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._heard:
            if len(self._heard) > _LONGEST_LINE:
                raise GoneError("it speaks another language")
            self._hear(deadline)
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def body(self, length: int, seconds: float) -> bytes:
        """So many bytes."""
        deadline = time.monotonic() + seconds
        pieces, missing = [self._heard[:length]], length - len(self._heard)
        self._heard = self._heard[length:]
        while missing > 0:
            self._hear(deadline, missing)
            pieces.append(self._heard)
            missing -= len(self._heard)
            self._heard = b""
        return b"".join(pieces)

    def _hear(self, deadline: float, most: int = _PIECE) -> None:
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        piece = os.read(self._descriptor, min(most, _PIECE))
        if not piece:
            raise GoneError("the other end is gone")
        self._heard += piece


def say(descriptor: int, *parts: bytes) -> None:
    """All of it. Raises OSError when nobody listens any more."""
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def ask(descriptor: int, target: str) -> None:
    """Puts one question."""
    say(descriptor, json.dumps(target).encode() + b"\n")


def questions(descriptor: int, idle: float) -> Iterator[str]:
    """Question by question, until the other end is gone or has asked nothing for so many seconds."""
    ear = Ear(descriptor)
    while True:
        try:
            yield json.loads(ear.line(idle))
        except (GoneError, TimeoutError):
            return


def tell(descriptor: int, answer: Response) -> None:
    """Answers one question."""
    head = {"status": answer.status, "type": answer.content_type, "length": len(answer.body)}
    say(descriptor, json.dumps(head).encode() + b"\n", answer.body)


def hear(ear: Ear, seconds: float) -> Response:
    """The answer to the question that was put."""
    deadline = time.monotonic() + seconds
    head = json.loads(ear.line(seconds))
    body = ear.body(head["length"], deadline - time.monotonic())
    return Response(HTTPStatus(head["status"]), head["type"], body)
