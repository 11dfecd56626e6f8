"""The peers that can be had on this machine. They are measured against, and never run with Tidegate."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.host import ROOT
from tools.bench.contestants import Peer

_PACKAGES = ROOT / "build" / "bench"
_PROGRAM = Path(__file__).with_name("peer.py")
#: Command -> the Debian package that it is in.
_COMMANDS = {"inotifywait": "inotify-tools", "watchman": "watchman"}


@dataclass(frozen=True, slots=True)
class Peers:
    """``missing``: names of those that are not here and could not be installed."""

    found: tuple[Peer, ...]
    missing: tuple[str, ...]


def peers() -> Peers:
    """Installs what is missing where it can: Debian's packages as root, Python's into a folder under ``build``."""
    _install_commands()
    python = (sys.executable, str(_PROGRAM))
    ready = {
        "inotifywait": bool(shutil.which("inotifywait")),
        "watchfiles": _has_watchfiles(),
        "watchman": bool(shutil.which("watchman")),
        "watchdog's Observer": True,  # it comes with the layer below it that Tidegate uses
    }
    made = {
        "inotifywait": Peer("inotifywait", "inotifywait", "-mrq", "-e", "create,moved_to", "--format", "%w%f"),
        "watchfiles": Peer("watchfiles", *python, "watchfiles", packages=_PACKAGES),
        "watchman": Peer("watchman", *python, "watchman"),
        "watchdog's Observer": Peer("watchdog's Observer", *python, "observer"),
    }
    return Peers(
        tuple(peer for name, peer in made.items() if ready[name]),
        tuple(name for name in made if not ready[name]),
    )


def _install_commands() -> None:
    packages = [package for command, package in _COMMANDS.items() if shutil.which(command) is None]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", "-qq", *words], env=environment, check=False, stdout=subprocess.DEVNULL)


def _has_watchfiles() -> bool:
    if not (_PACKAGES / "watchfiles").is_dir():
        words = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install"]
        subprocess.run([*words, "--target", _PACKAGES, "watchfiles"], check=False, stderr=subprocess.DEVNULL)
    return (_PACKAGES / "watchfiles").is_dir()
