"""The alert command: the admin's own, run to notify somebody. It gets what happened on stdin and in its environment."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core import process
from core.filenames import printable

#: Of what it prints the last line is shown; the rest goes nowhere.
_LAST_BYTES = 4096


class Ended(NamedTuple):
    """How it ended, in words, and how long it took in seconds."""

    is_ok: bool
    summary: str
    seconds: float


def run(command: Sequence[str], document: bytes, environment: Mapping[str, str], seconds: float) -> Ended:
    """Runs it with ``document`` on stdin and ``environment`` besides our own. Never raises for what it does.

    After ``seconds`` it is ended; when it has ended, what it has left running is ended too.
    """
    began = time.monotonic()
    name = printable(command[0])
    try:
        ended = process.run(
            command, seconds, most_bytes=_LAST_BYTES, environment=environment, given=document, merged=True
        )
    except OSError as error:
        return Ended(False, f"{name} cannot be run: {error.strerror}", time.monotonic() - began)
    took = time.monotonic() - began
    if ended.status is None:
        return Ended(False, f"{name} had not ended after {seconds:g} s, and was ended", took)
    how = process.how_it_ended(ended.status)
    if ended.status == 0:
        return Ended(True, how, took)
    last = process.last_line(ended.output)
    return Ended(False, f"{name} {how}{f': {last}' if last else ''}", took)
