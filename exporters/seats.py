"""Who may be connected at a time."""

import socket
import threading
from contextlib import suppress


class Seats:
    """At most ``most`` connections at a time.

    When there are too many, the one that has said nothing for longest gives way: a client that keeps
    silent, or a thousand of them, cannot keep out one that asks.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._taken: dict[socket.socket, bool] = {}  # in the order of coming: has it asked?

    def take(self, connection: socket.socket) -> bool:
        """True when there was a seat or one could be made free."""
        with self._lock:
            if len(self._taken) >= self._most and not self._dismiss_oldest_silent():
                return False
            self._taken[connection] = False
            return True

    def has_asked(self, connection: socket.socket) -> None:
        """From now on this one keeps its seat until it is answered."""
        with self._lock:
            if connection in self._taken:
                self._taken[connection] = True

    def leave(self, connection: socket.socket) -> None:
        """Frees the seat."""
        with self._lock:
            self._taken.pop(connection, None)

    def clear(self) -> None:
        """Hangs up on all."""
        with self._lock:
            while self._taken:
                _hang_up(self._taken.popitem()[0])

    def _dismiss_oldest_silent(self) -> bool:
        for connection, asked in self._taken.items():
            if not asked:
                del self._taken[connection]
                _hang_up(connection)
                return True
        return False


def _hang_up(connection: socket.socket) -> None:
    """Wakes the connection's thread, which then closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
