"""Who may be connected at a time."""

import socket
import struct
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from typing import NamedTuple

#: Seconds before which nobody gives way: in a crowd it takes a moment until a question that has come is read.
GRACE = 0.01


class Stage(Enum):
    """How far a connection has come."""

    ASKING = auto()
    WAITING = auto()
    TAKING = auto()


class _Seat(NamedTuple):
    stage: Stage
    since: float


class Seats:
    """At most ``most`` connections at a time, ``most_taking`` of them with an answer, which may be megabytes.

    When there are too many, the one that has been asking for longest gives way, else the one that has been taking its
    answer for longest: a client that keeps silent or does not read, or a thousand of them, cannot keep out one that
    asks. Those that wait for their answers stay.
    """

    def __init__(self, most: int, most_taking: int) -> None:
        self._most = most
        self._most_taking = most_taking
        self._changed = threading.Condition()
        self._taken: dict[socket.socket, _Seat] = {}  # in the order of coming to their stage

    def take(self, connection: socket.socket) -> bool:
        """True when there was a seat or one could be made free, for which it waits as long as the GRACE at most."""
        with self._changed:
            while len(self._taken) >= self._most:
                first = self._first_to_go()
                if first is None:
                    return False
                left = self._taken[first].since + GRACE - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                else:
                    self._dismiss(first)
            self._taken[connection] = _Seat(Stage.ASKING, time.monotonic())
            return True

    def has_asked(self, connection: socket.socket) -> None:
        """From now on this one keeps its seat until there is an answer."""
        self._comes_to(connection, Stage.WAITING)

    def is_answered(self, connection: socket.socket) -> None:
        """It has only to read. There is one more with an answer now: perhaps another one has to go."""
        self._comes_to(connection, Stage.TAKING)
        with self._changed:
            taking = [one for one, seat in self._taken.items() if seat.stage is Stage.TAKING]
            for one in taking[: -self._most_taking]:
                self._dismiss(one)

    def leave(self, connection: socket.socket) -> None:
        """Frees the seat."""
        with self._changed:
            self._taken.pop(connection, None)
            self._changed.notify()

    def clear(self) -> None:
        """Hangs up on all."""
        with self._changed:
            while self._taken:
                _hang_up(self._taken.popitem()[0])

    def stages(self) -> list[Stage]:
        """Of those who are here."""
        with self._changed:
            return [seat.stage for seat in self._taken.values()]

    def _comes_to(self, connection: socket.socket, stage: Stage) -> None:
        with self._changed:
            if self._taken.pop(connection, None) is not None:
                self._taken[connection] = _Seat(stage, time.monotonic())
                self._changed.notify()

    def _dismiss(self, connection: socket.socket) -> None:
        del self._taken[connection]
        _hang_up(connection)

    def _first_to_go(self) -> socket.socket | None:
        for stage in (Stage.ASKING, Stage.TAKING):
            for connection, seat in self._taken.items():
                if seat.stage is stage:
                    return connection
        return None


def forget_unsent(connection: socket.socket) -> None:
    """Has the kernel drop what the other side has not taken when the connection is closed: else it keeps megabytes."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang_up(connection: socket.socket) -> None:
    """Wakes the connection's thread, which then closes it."""
    forget_unsent(connection)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
