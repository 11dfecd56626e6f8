"""The pipe that counts: is between rsync and its transport and passes no byte that it was not allowed to.

rsync starts it as its remote shell, or as the program that connects it to a daemon. It runs as a script by itself,
with nothing but the standard library, and knows neither configuration nor state: its first argument is the number of
the socket to whoever started rsync. From there come ``LEASE`` packets: so many bytes may be sent in all, or no more
any more. It answers, in ``REPORT`` packets, what was transferred, and whether there is more to send than it may.

Where no more may be sent, or the other end of the socket is closed (its owner was killed), the receiver gets the end
of the file and puts its part in order (``--partial-dir``). What it still answers on that is counted and dropped.

::

    meter.py SOCKET shell SSH [OPTION ...]    + HOST COMMAND ...   as rsync adds them
    meter.py SOCKET local                     + HOST COMMAND ...   the host is this one
    meter.py SOCKET tcp HOST PORT
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable

#: To the meter: bytes that may be sent in all, and whether that is its last word.
LEASE = struct.Struct("!Q?")
#: From the meter: bytes sent and received so far, and whether more waits than may be sent.
REPORT = struct.Struct("!QQ?")

_CHUNK = 256 * 1024
_REPORT_SECONDS = 0.1
#: How long the other side has to end when nothing more will be sent: to put its part in order, to say good-bye. Longer
#: than a disk takes to write what was on its way; a dead link is silent.
_GRACE_SECONDS = 30.0


class Meter:
    """One connection; rsync's ends of it are the standard input and output.

    ``there`` and ``back`` are descriptors; ``end`` closes ``there``: nothing more comes.
    """

    def __init__(self, control: socket.socket, there: int, back: int, end: Callable[[], None]) -> None:
        self._control = control
        self._there = there
        self._back = back
        self._end = end
        self._allowed = 0
        self._is_over = False
        self._news = threading.Condition()
        self._sent = 0
        self._received = 0
        self._reported_at = 0.0

    def run(self) -> None:
        """Until the other side has closed."""
        for work in (self._listen, self._send):
            threading.Thread(target=work, daemon=True).start()
        while data := os.read(self._back, _CHUNK):
            self._received += len(data)
            self._report()
            if not self._is_over:
                _write(sys.stdout.fileno(), data)
        self._report(at_once=True)

    def _listen(self) -> None:
        """To whoever started rsync, to the end."""
        is_last = False
        while not is_last:
            packet = self._control.recv(LEASE.size)
            with self._news:
                self._allowed, is_last = LEASE.unpack(packet) if packet else (0, True)
                self._is_over = is_last
                self._news.notify()
        _end_in_a_while()

    def _send(self) -> None:
        """What is taken from rsync counts as sent before it is."""
        while may := self._may_take():
            data = os.read(sys.stdin.fileno(), min(may, _CHUNK))
            self._sent += len(data)
            self._report()
            if not data or not _write(self._there, data):
                break
        self._end()
        _end_in_a_while()

    def _may_take(self) -> int:
        """Bytes that may be sent, as soon as there are any; 0 when there will be none any more."""
        select.select([sys.stdin], [], [])
        if _waiting(sys.stdin.fileno()) == 0:  # the end of the file is no byte
            return 0 if self._is_over else 1
        with self._news:
            if not self._is_over and self._allowed <= self._sent:
                self._report(wants_more=True, at_once=True)
                self._news.wait_for(lambda: self._is_over or self._allowed > self._sent)
            return 0 if self._is_over else self._allowed - self._sent

    def _report(self, *, wants_more: bool = False, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            try:
                self._control.send(REPORT.pack(self._sent, self._received, wants_more))
            except OSError:  # its owner is gone: `_listen` has seen that too
                self._is_over = True


def _end_in_a_while() -> None:
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def _waiting(descriptor: int) -> int:
    """Bytes that can be read now."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])


def _write(descriptor: int, data: bytes) -> bool:
    """False when nobody reads there any more: the other direction has the reason."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        return False
    return True


def main() -> int:
    """What the transport ended with."""
    control = socket.socket(fileno=int(sys.argv[1]))
    kind, words = sys.argv[2], sys.argv[3:]
    try:
        if kind == "tcp":
            connection = socket.create_connection((words[0], int(words[1])))
            there = connection.fileno()
            Meter(control, there, there, lambda: connection.shutdown(socket.SHUT_WR)).run()
            return 0
        command = ["/bin/sh", "-c", " ".join(words[1:])] if kind == "local" else words
        taken, there = os.pipe()
        back, given = os.pipe()
        child = subprocess.Popen(command, stdin=taken, stdout=given)
    except OSError as error:
        sys.stderr.write(f"{words[0]}: cannot be reached: {error.strerror or error}\n")
        return 255
    for descriptor in (taken, given):
        os.close(descriptor)
    Meter(control, there, back, lambda: os.close(there)).run()
    return child.wait(_GRACE_SECONDS)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # one thread waits for rsync, and another for its owner
