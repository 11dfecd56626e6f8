"""What systemd is told of the service: sd_notify(3) in plain Python.

``Type=notify`` waits for READY=1, and with ``WatchdogSec=`` a service that says nothing for so long is restarted.
Without NOTIFY_SOCKET nobody listens and nothing is done.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping

from core.clock import Clock
from core.filenames import printable

log = logging.getLogger("tidegate.watch")

#: A manager that does not take a datagram for so long hangs; the service must not hang with it.
_IO_TIMEOUT_SECONDS = 1.0


class ServiceManager:
    """Tells the service manager that ``environment`` names, if any. May be used from several threads."""

    def __init__(self, clock: Clock, environment: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._ping_seconds = _watchdog_seconds(environment) / 2
        self._pinged = float("-inf")
        self._status = ""

    def ready(self) -> None:
        """The service does its work, from the start or after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The service takes on a new configuration; ``ready`` must follow."""
        # The stamp is what newer versions of systemd match with their SIGHUP; older ones ignore it.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1", "STATUS=recording what was seen")

    def status(self, line: str) -> None:
        """One line for `systemctl status`, sent when it is another one."""
        if line != self._status:
            self._send(f"STATUS={printable(line)}")
        self._status = line

    def alive(self) -> None:
        """To be called by the loop that does the work, and by nothing else: twice in WatchdogSec= it is passed on."""
        uptime = self._clock.now().uptime
        if self._ping_seconds and uptime - self._pinged >= self._ping_seconds:
            self._pinged = uptime
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
                speaker.settimeout(_IO_TIMEOUT_SECONDS)
                speaker.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("the service manager does not hear: %s", error.strerror or error)


def _address(said: str) -> str:
    """The socket's address: a path, or behind an ``@`` a name in the abstract namespace. '' for what is neither."""
    return f"\0{said[1:]}" if said.startswith("@") else said if said.startswith("/") else ""


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """WatchdogSec= in seconds, 0 where no ping is wanted, or one of another process."""
    usec = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID") in {None, str(os.getpid())}
    return int(usec) / 1e6 if usec.isdecimal() and meant else 0.0
