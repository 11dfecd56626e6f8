"""The word to stop. A signal handler says it while any thread holds any lock, so it is nothing but a descriptor."""

import os
import select
from collections.abc import Mapping


class Stop:
    """Once asked for it stays so."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ask(self) -> None:
        """Whoever waits with ``wait`` wakes."""
        os.eventfd_write(self.descriptor, 1)

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked for it."""
        return bool(wait({self.descriptor: select.POLLIN}, 0))

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self.descriptor)


def wait(descriptors: Mapping[int, int], seconds: float) -> set[int]:
    """Those of the descriptors that have what they are polled for; empty when ``seconds`` have passed."""
    poll = select.poll()
    for descriptor, events in descriptors.items():
        poll.register(descriptor, events)
    return {descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)}
