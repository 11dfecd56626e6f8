"""A storage that is pushed to: a folder here, over real ssh, or a real rsync daemon; and what stands in it."""

import filecmp
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policy.sync.rsync import PARTIAL
from tests.waiting import free_port

OWN = (".tidegate", PARTIAL)


def arrived(there: Path) -> dict[str, Path]:
    """Path in the storage -> file; parts and Tidegate's own papers are no dumps."""
    files = (path for path in there.rglob("*") if path.is_file() and not set(OWN) & set(path.parts))
    return {str(path.relative_to(there)): path for path in files}


def is_mirror(tree: Path, there: Path) -> bool:
    """Whether every file of the tree stands there, byte by byte."""
    mine = arrived(tree)
    return mine.keys() <= arrived(there).keys() and all(
        filecmp.cmp(path, there / name, shallow=False) for name, path in mine.items()
    )


def parts(there: Path) -> list[Path]:
    """What was cut off and waits to go on."""
    return [path for path in there.rglob(f"{PARTIAL}/*") if path.is_file()]


@contextmanager
def daemon(folder: Path, there: Path) -> Iterator[str]:
    """A daemon whose module ``store`` is the folder ``there``; its destination."""
    port = free_port()
    config = folder / "rsyncd.conf"
    config.write_text(
        f"[store]\npath = {there}\nread only = false\nuse chroot = false\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
    )
    words = ["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1", f"--port={port}"]
    with _running(words, port, folder):
        yield f"rsync://127.0.0.1:{port}/store"


@contextmanager
def sshd(folder: Path) -> Iterator[list[str]]:
    """A server for whoever runs the test, with keys of its own; the words of the client."""
    port = free_port()
    for name in ("server-key", "client-key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "client-key.pub", folder / "authorized")
    config = folder / "sshd_config"
    config.write_text(
        f"HostKey {folder}/server-key\nAuthorizedKeysFile {folder}/authorized\nPidFile none\n"
        "StrictModes no\nUsePAM no\n"
        f"ListenAddress 127.0.0.1:{port}\nPermitRootLogin prohibit-password\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where its unit would make it
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "/usr/sbin/sshd"
    told = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known"]
    with _running([program, "-D", "-e", "-f", str(config)], port, folder):
        yield ["ssh", "-F", "none", "-i", str(folder / "client-key"), "-p", str(port), "-o", "LogLevel=ERROR", *told]


@contextmanager
def to_a_folder(_: Path, there: Path) -> Iterator[dict[str, Any]]:
    yield {"destination": str(there)}


@contextmanager
def over_ssh(folder: Path, there: Path) -> Iterator[dict[str, Any]]:
    with sshd(folder) as client:
        yield {"destination": f"127.0.0.1:{there}", "ssh": client}


@contextmanager
def to_a_daemon(folder: Path, there: Path) -> Iterator[dict[str, Any]]:
    with daemon(folder, there) as destination:
        yield {"destination": destination}


@contextmanager
def _running(words: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            yield
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until it answers: a refused connection is its word that it does not listen yet."""
    while process.poll() is None:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"the server ended with {process.returncode}")
