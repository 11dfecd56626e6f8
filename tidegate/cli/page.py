"""The process that makes the page: ``python -m tidegate.cli.page CONFIG``, asked over stdin and answering on stdout.

`tidegate watch` starts it when somebody asks for a page, and it ends when nobody does any more. It writes nothing, and
runs behind everything else.
"""

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Hashable
from pathlib import Path

from core.clock import SystemClock
from core.config.load import load
from exporters.page import site, wire
from tidegate.cli.page_facts import Look
from tidegate.cli.snapshots import Snapshots
from tidegate.daemon import logs

_IDLE_SECONDS = 600.0
#: A page may be so much older than the newest look that is being made; the first look is waited for.
_IO_TIMEOUT_SECONDS = 2.0
#: Must stay below the desk's patience: what is told then is better than nothing.
_FIRST_SECONDS = 10.0


def main(file: Path) -> None:
    """Answers until nobody asks."""
    answers = _take_stdout()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to all; the service ends this one
    with contextlib.suppress(OSError):  # where a filter of system calls forbids it the page is made all the same
        os.nice(10)
    logs.set_up(30, "text")
    gc.disable()  # a look makes a million records that all stay: to go through them again and again costs a third of it
    source = Source(file)
    looks = Snapshots(source.look, source.version, _end)
    for target in wire.questions(sys.stdin.fileno(), _IDLE_SECONDS):
        look, trouble = looks.newest(_IO_TIMEOUT_SECONDS, _FIRST_SECONDS)
        wire.tell(answers, site.answer(target, None if look is None else look.shown, trouble))
    os._exit(0)  # a look that hangs holds nobody up


def _take_stdout() -> int:
    """The descriptor to answer on; what else is printed goes to the log, and breaks no answer."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _end(look: Look) -> None:
    look.close()
    gc.collect()


class Source:
    """What is looked at: the configuration as its file stands, like each command reads it, and the state it names."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._state: Path | None = None
        self._clock = SystemClock()

    def look(self) -> Look:
        """Raises TidegateError."""
        config = load(self._file, preflight=False)
        self._state = config.state.path
        return Look(config, self._clock)

    def version(self) -> Hashable:
        """Another one after each transaction, and when the configuration was written."""
        if self._state is None:
            return None
        return tuple(map(_stamp, (self._file, self._state, self._state.with_name(f"{self._state.name}-wal"))))


def _stamp(path: Path) -> Hashable:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


if __name__ == "__main__":
    main(Path(sys.argv[1]))
