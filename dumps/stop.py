"""The word to stop. A signal handler says it while any thread holds any lock, so it is nothing but a descriptor."""

import os

from core.process import wait_for


class Stop:
    """Once asked for it stays so."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ask(self) -> None:
        """Whoever waits for its descriptor wakes."""
        os.eventfd_write(self.descriptor, 1)

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked for it."""
        return bool(wait_for([self.descriptor], 0))

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self.descriptor)
