"""Who may be connected at a time."""

import fcntl
import socket
import struct
import termios
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from typing import NamedTuple

#: Seconds before which nobody gives way: a question may come a moment after its connection.
GRACE = 0.01
#: Seconds that a newcomer waits at most, and all that come after him: then there is too much to do for one more.
_LONGEST_WAIT = 1.0


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
    asks. Those that wait for their answers stay, and those that have said what nobody has read yet: in a crowd it takes
    a while until a thread has its turn.
    """

    def __init__(self, most: int, most_taking: int) -> None:
        self._most = most
        self._most_taking = most_taking
        self._changed = threading.Condition()
        self._taken: dict[socket.socket, _Seat] = {}  # in the order of coming to their stage

    def take(self, connection: socket.socket) -> bool:
        """True when there was a seat or one could be made free."""
        end = time.monotonic() + _LONGEST_WAIT
        with self._changed:
            while len(self._taken) >= self._most:
                if (first := self._first_to_go()) is not None:
                    self._dismiss(first)
                elif self._all_wait() or time.monotonic() > end:
                    return False
                else:
                    self._changed.wait(GRACE)
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

    def _all_wait(self) -> bool:
        return all(seat.stage is Stage.WAITING for seat in self._taken.values())

    def _first_to_go(self) -> socket.socket | None:
        before = time.monotonic() - GRACE
        old = [(one, seat.stage) for one, seat in self._taken.items() if seat.since < before]
        silent = (one for one, stage in old if stage is Stage.ASKING and not _has_unread(one))
        taking = (one for one, stage in old if stage is Stage.TAKING)
        return next(silent, None) or next(taking, None)


def _has_unread(connection: socket.socket) -> bool:
    """Whether something has come from it that its thread has not read."""
    try:
        return fcntl.ioctl(connection, termios.FIONREAD, bytes(4)) != bytes(4)
    except (OSError, ValueError):  # it is closed, or about to be
        return False


def forget_unsent(connection: socket.socket) -> None:
    """Has the kernel drop what the other side has not taken when the connection is closed: else it keeps megabytes."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang_up(connection: socket.socket) -> None:
    """Wakes the connection's thread, which then closes it."""
    forget_unsent(connection)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
