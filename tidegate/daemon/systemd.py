"""sd_notify(3): the service reports its state to systemd.

``Type=notify`` waits for READY=1, and with ``WatchdogSec=`` a service that sends nothing for so long is restarted.
Without NOTIFY_SOCKET nothing is sent.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping

from core.clock import Clock
from core.filenames import printable

log = logging.getLogger("tidegate.watch")

#: A manager that does not accept a datagram for so long hangs; the service must not hang with it.
_IO_TIMEOUT_SECONDS = 1.0


class ServiceManager:
    """Notifies the service manager that ``environment`` names, if any. May be used by several threads."""

    def __init__(self, clock: Clock, environment: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._ping_seconds = _watchdog_seconds(environment) / 2
        self._pinged = float("-inf")
        self._status = ""

    def ready(self) -> None:
        """The service works, after its start or a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The service loads a new configuration; ``ready`` must follow."""
        # The stamp is what newer versions of systemd match with their SIGHUP; older ones ignore it.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1", "STATUS=recording the last markers")

    def status(self, line: str) -> None:
        """One line for `systemctl status`, sent when it is another one."""
        if line != self._status:
            self._send(f"STATUS={printable(line)}")
        self._status = line

    def alive(self) -> None:
        """To be called by the watcher's main loop, and by nothing else: it is sent on twice in WatchdogSec=."""
        uptime = self._clock.now().uptime
        if self._ping_seconds and uptime - self._pinged >= self._ping_seconds:
            self._pinged = uptime
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(_IO_TIMEOUT_SECONDS)
                channel.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("the service manager cannot be notified: %s", error.strerror or error)


def _address(value: str) -> str:
    """The socket's address: a path, or behind an ``@`` a name in the abstract namespace. '' for what is neither."""
    return f"\0{value[1:]}" if value.startswith("@") else value if value.startswith("/") else ""


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """WatchdogSec= in seconds, 0 where no ping is wanted, or one of another process."""
    usec = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID") in {None, str(os.getpid())}
    return int(usec) / 1e6 if usec.isdecimal() and meant else 0.0
