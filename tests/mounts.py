"""Real mounts for tests: disks with the filesystems that dumps lie on, one that shows no reads, a bind mount.

A test module that needs them imports the fixture ``mount`` and names it in its ``__all__``.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.real_parts import cannot, needs_program, needs_root

#: A tmpfs that everybody may write to: another filesystem without root.
_SHARED_MEMORY = Path("/dev/shm")
#: How a disk is made, small and soon full, by its filesystem: bytes, and the words before the file.
_DISKS = {
    "ext4": (24 << 20, ("mkfs.ext4", "-q", "-m", "0", "-N", "256")),
    "xfs": (300 << 20, ("mkfs.xfs", "-q", "-m", "reflink=1")),
    "btrfs": (64 << 20, ("mkfs.btrfs", "-q", "--mixed")),
}
FILESYSTEMS = tuple(_DISKS)


class Mount(Protocol):
    """Mounts ``kind`` on a fresh folder and returns it.

    ``"tmpfs"``, ``"bind"`` with a ``source``, or one of FILESYSTEMS: a disk in a file of its own.
    """

    def __call__(self, kind: str, options: str = "", *, source: Path | None = None) -> Path: ...


@pytest.fixture
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """Unmounted at the end of the test. What needs root is skipped without it, and fails under CI."""
    mounted: list[Path] = []

    def make(kind: str, options: str = "", *, source: Path | None = None) -> Path:
        if kind == "tmpfs" and not options and os.geteuid() != 0 and _SHARED_MEMORY.is_dir():
            return Path(borrowed.enter_context(tempfile.TemporaryDirectory(dir=_SHARED_MEMORY)))
        point = tmp_path_factory.mktemp(kind)
        if kind in _DISKS:
            how = ["-o", "loop", _disk(kind, tmp_path_factory.mktemp("disk") / "image")]
        else:
            how = ["--bind", str(source)] if kind == "bind" else ["-t", kind, kind]
        _run("mount", *how, str(point))
        mounted.append(point)
        if options:  # in a second step, since a bind mount takes its options only then
            _run("mount", "-o", f"remount,{'bind,' if kind == 'bind' else ''}{options}", str(point))
        return point

    with contextlib.ExitStack() as borrowed:
        yield make
    for point in reversed(mounted):
        subprocess.run(["umount", "--lazy", point], check=True)


def _disk(kind: str, image: Path) -> str:
    size, words = _DISKS[kind]
    with image.open("wb") as file:
        file.truncate(size)
    _run(*words, str(image))
    return str(image)


def _run(*command: str) -> None:
    needs_root("a mount")
    needs_program(command[0])
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        cannot(f"{' '.join(command)}: {result.stderr.strip()}")
