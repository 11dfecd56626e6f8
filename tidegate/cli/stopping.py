"""Commands that stop others: SIGTERM, Ctrl-C and a terminal that goes end what runs before they end this program."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dumps.failure import Stop

#: A service manager, a hand, and a terminal that goes.
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def stopped_by_signals(stop: "Stop") -> Iterator[list[int]]:
    """The handlers do nothing but wake those who wait: everything else is theirs. Gives the signals that came."""
    came: list[int] = []

    def handle(number: int, _: object) -> None:
        came.append(number)
        stop.ask()

    heard = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores one
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_signals() -> Iterator["Stop"]:
    """As if nobody had caught the signal, but only after what was waited for has been told to stop."""
    from dumps.failure import Stop, Stopped

    with closing(Stop()) as stop:
        with stopped_by_signals(stop) as came:
            try:
                yield stop
            except Stopped:
                if not came:
                    raise
        for number in came:
            os.kill(os.getpid(), number)
