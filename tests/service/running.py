"""The real service in a process of its own, and a stand-in for systemd that receives its notifications."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.host import ROOT, Host
from tests.waiting import WAIT_SECONDS


class Manager:
    """Receives datagrams as systemd does: at a path, or at a name in the abstract namespace (``@name``)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        if not address.startswith("@"):
            Path(address).chmod(0o777)  # the service may run as somebody else
        self._socket.settimeout(WAIT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        Path(self.address).unlink(missing_ok=True)

    def next(self) -> str:
        """The next datagram, waited for."""
        self.told.append(self._socket.recv(65536).decode())
        return self.told[-1]

    def wait_for(self, line: str) -> str:
        """The next datagram with a line that begins so."""
        heard = self.next()
        while not any(one.startswith(line) for one in heard.splitlines()):
            heard = self.next()
        return heard

    def heard_nothing_more(self) -> bool:
        """True when no datagram waits."""
        self._socket.setblocking(False)
        try:
            self.told.append(self._socket.recv(65536).decode())
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            self._socket.settimeout(WAIT_SECONDS)


class Running:
    """A service that is ready."""

    def __init__(self, process: subprocess.Popen[bytes], manager: Manager, log: Path) -> None:
        self.process = process
        self.manager = manager
        self._log = log

    @property
    def log(self) -> list[str]:
        """What it has logged so far."""
        return self._log.read_text().splitlines()

    def send(self, number: signal.Signals) -> None:
        """A signal, as `systemctl` sends it."""
        self.process.send_signal(number)

    def reload(self) -> None:
        """SIGHUP, and until it is done."""
        self.send(signal.SIGHUP)
        self.manager.wait_for("RELOADING=1")
        self.manager.wait_for("READY=1")

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def service(
    host: Host, *options: str, environment: Mapping[str, str] = {}, before: Sequence[str] = ()
) -> Iterator[Running]:
    """`tidegate watch` on this host once it has said that it is ready; killed at the end if it still runs.

    ``before`` are words before the command.
    """
    log = host.folder / "log"
    with Manager(str(host.folder / "notify")) as manager, log.open("wb") as stderr:
        said = {**os.environ, "NOTIFY_SOCKET": manager.address, **environment}
        command = [*before, *host.command(*options, "watch")]
        with subprocess.Popen(command, cwd=ROOT, env=said, stderr=stderr, stdin=subprocess.DEVNULL) as process:
            try:
                manager.wait_for("READY=1")
                yield Running(process, manager, log)
            finally:
                process.kill()
