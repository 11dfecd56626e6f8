"""The shipped rsync daemon on a port of its own: the service's user, its capabilities, its unit's filter."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.host import ROOT, Host
from tests.users import NOBODY, as_user, become, needs_capabilities, open_the_way
from tests.waiting import free_port, until

FOLDER = ROOT / "deploy" / "rsyncd"
CAPABILITIES = ("fowner", "dac_read_search", "lease")
STATE: dict[str, Any] = {"state": {"path": "../state/state.db"}}


def service_host(folder: Path, **how: Any) -> Host:
    """As deploy/systemd/README.md sets it up: the dumps are root's, the state is the service's."""
    needs_capabilities(*CAPABILITIES)
    (folder / "state").mkdir()
    os.chown(folder / "state", NOBODY, NOBODY)
    host = Host(folder / "host", **STATE, **how)
    open_the_way(host.folder)
    os.chown(host.dumps, 0, NOBODY)
    host.dumps.chmod(0o2770)
    return host


def released(host: Host, **sizes: int) -> None:
    """Dumps that only root may read, and a pass of the service's."""
    for name, size in sizes.items():
        host.dump(name, size, marked=False).chmod(0o600)
        host.mark(name)
    done = as_user(host.command("pass"), *CAPABILITIES)
    assert done.returncode == 0, done.stderr


class Daemon(NamedTuple):
    """A daemon that answers."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """Of its module."""
        return f"rsync://127.0.0.1:{self.port}/vm"


def configuration(host: Host, port: int) -> str:
    """What is shipped, with the paths of this host."""
    text = (FOLDER / "rsyncd.conf").read_text()
    program = " ".join(shlex.quote(word) for word in host.command())
    for shipped, here in (
        ("port = 873", f"port = {port}\naddress = 127.0.0.1"),
        ("/opt/tidegate/bin/tidegate --config /etc/tidegate/config.toml", program),
        ("/var/log/tidegate/rsyncd.log", str(host.folder / "rsyncd" / "log")),
        ("/run/tidegate-rsyncd/lock", str(host.folder / "rsyncd" / "lock")),
        ("/srv/dumps/.rsync", str(host.tree)),
        ("192.0.2.10", "127.0.0.1"),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    return text


@contextmanager
def daemon(host: Host) -> Iterator[Daemon]:
    """Runs it until the block ends."""
    port = free_port()
    folder = host.folder / "rsyncd"
    if not folder.exists():
        folder.mkdir()
        folder.chmod(0o777)
    (folder / "conf").write_text(configuration(host, port))
    command = ["rsync", "--daemon", "--no-detach", f"--config={folder / 'conf'}"]
    confined = [sys.executable, "-m", "tests.deploy.confined", "tidegate-watch.service"]
    with subprocess.Popen([*become(*CAPABILITIES), *confined, *command], cwd=ROOT) as process:
        try:
            until(lambda: answers(port))
            yield Daemon(port, folder / "log")
        finally:
            process.terminate()


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
