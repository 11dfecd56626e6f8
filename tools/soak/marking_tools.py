"""The ways in which one marker comes to stand, each as scripts do it. A marker may stand there already."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.host import ROOT

_MAKE = os.O_WRONLY | os.O_CREAT
_BODY = b'{"format": 1, "exit_status": 0}\n'


@dataclass(frozen=True, slots=True)
class Tools:
    """What a script has at hand. ``elsewhere``: a folder of the same filesystem that nobody watches."""

    elsewhere: Path
    command: tuple[str, ...]


#: Makes the marker at this path, which ends in `.done` or `.failed`.
Mark = Callable[[Tools, str], None]


def touch(_tools: Tools, marker: str) -> None:
    """Open, set the time, close: what `touch` does, and without the start of a process ten times as often."""
    file = os.open(marker, _MAKE | os.O_NOCTTY | os.O_NONBLOCK, 0o644)
    os.utime(file)
    os.close(file)


def redirect(_tools: Tools, marker: str) -> None:
    """`echo '{...}' > X.done`."""
    file = os.open(marker, _MAKE | os.O_TRUNC, 0o644)
    os.write(file, _BODY)
    os.close(file)


def rename_beside(_tools: Tools, marker: str) -> None:
    """Written in the same folder, then renamed. Its name is as long as the marker's, which may be the longest."""
    folder, _, name = marker.rpartition("/")
    aside = f"{folder}/.tmp-{os.getpid()}-{len(name)}"
    redirect(_tools, aside)
    os.rename(aside, marker)


def rename_in(tools: Tools, marker: str) -> None:
    """Written in another folder, then renamed into this one."""
    aside = f"{tools.elsewhere}/{os.getpid()}"
    redirect(tools, aside)
    os.rename(aside, marker)


def hard_link(tools: Tools, marker: str) -> None:
    """`ln -f`: one file is the marker of every dump."""
    template = f"{tools.elsewhere}/template-{os.getpid()}"
    touch(tools, template)
    if os.path.lexists(marker):
        os.unlink(marker)
    os.link(template, marker)
    os.unlink(template)


def shell(_tools: Tools, marker: str) -> None:
    """The `touch` of a real shell."""
    subprocess.run(["sh", "-c", 'touch -- "$1"', "sh", marker], check=True)


def command(tools: Tools, marker: str) -> None:
    """`tidegate mark X`."""
    failed = ["--failed"] if marker.endswith(".failed") else []
    subprocess.run([*tools.command, "mark", *failed, marker.rpartition(".")[0]], cwd=ROOT, check=True)


#: By the name under which they are told.
PLAIN: dict[str, Mark] = {
    "touch": touch,
    "> with a body": redirect,
    "written and renamed in the same folder": rename_beside,
    "renamed from a sibling folder": rename_in,
    "hard link": hard_link,
}
STARTED: dict[str, Mark] = {"touch of a shell": shell, "tidegate mark": command}
#: Those that also say something new where the marker stands already.
REPEATABLE: tuple[Mark, ...] = (touch, redirect, rename_beside, rename_in)
