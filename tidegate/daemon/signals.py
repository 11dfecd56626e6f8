"""Signals: what the service does on each, and commands that end what they have started before they end themselves."""

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dumps.failure import Stop

#: From a service manager, a keyboard, and a terminal that is closed.
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def on_signal(number: signal.Signals, act: Callable[[], None]) -> None:
    """Has a thread of its own call ``act`` for each signal; several that come meanwhile are one.

    A handler runs between two instructions of the main thread, which may hold any lock just then: all that it may do
    is to put something into this kind of queue.
    """
    received: queue.SimpleQueue[None] = queue.SimpleQueue()

    def answer() -> None:
        while True:
            received.get()
            while not received.empty():
                received.get()
            act()

    signal.signal(number, lambda _number, _frame: received.put(None))
    threading.Thread(target=answer, name=number.name, daemon=True).start()


@contextmanager
def stopped_by_signals(stop: "Stop") -> Iterator[list[int]]:
    """The handlers only wake those who wait for ``stop``. Gives the signals that came."""
    came: list[int] = []

    def handle(number: int, _: object) -> None:
        came.append(number)
        stop.ask()

    handled = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores one
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_signals() -> Iterator["Stop"]:
    """As if the signal had not been caught, but only after whatever is waited for has been asked to stop."""
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
