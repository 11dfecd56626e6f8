"""What a question over HTTP is answered with."""

from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"


class Answer(NamedTuple):
    """``content_type`` is that of ``body``; ``headers`` are further ones."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


#: Takes what was asked for, the path with its query as they came, and may be asked by many threads at once.
Site = Callable[[str], Answer]


def sentence(status: HTTPStatus, text: str) -> Answer:
    """One sentence for people."""
    return Answer(status, PLAIN, f"{text}\n".encode(errors="backslashreplace"))
