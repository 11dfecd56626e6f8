"""Waiting for what must come."""

import socket
import time
from collections.abc import Callable

#: Whatever is waited for must come within it; a machine with nothing else to do takes a hundredth.
WAIT_SECONDS = 60.0


def until(condition: Callable[[], bool], what: str = "it never came to be so") -> None:
    """Returns when it is so."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
