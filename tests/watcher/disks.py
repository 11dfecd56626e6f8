"""Disks that are plugged in and out: real filesystems at a path that the test names. Only root can."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real_parts import cannot


class Disk:
    """``ext4`` keeps what is on it while it is away, ``tmpfs`` does not."""

    def __init__(self, kind: str, image: Path) -> None:
        self._source = "tmpfs" if kind == "tmpfs" else str(image)
        self._kind = kind
        self.mounted: list[Path] = []
        if kind != "tmpfs":
            with image.open("wb") as file:
                file.truncate(8 << 20)
            run(f"mkfs.{kind}", "-q", str(image))

    def mount(self, point: Path, options: str = "") -> None:
        """Plugs it in at ``point``, which stays an empty folder beneath it."""
        loop = "" if self._kind == "tmpfs" else "loop"
        said = ",".join(filter(None, (loop, options)))
        run("mount", "-t", self._kind, *(["-o", said] if said else []), self._source, str(point))
        self.mounted.append(point)

    def unmount(self, point: Path, *, lazily: bool = False) -> None:
        """Pulls it out. Lazily: while somebody still uses it."""
        run("umount", *(["--lazy"] if lazily else []), str(point))
        self.mounted.remove(point)


class Disks:
    """All disks of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Disk] = []

    def __call__(self, kind: str = "ext4") -> Disk:
        disk = Disk(kind, self._folder / f"disk{len(self._made)}")
        self._made.append(disk)
        return disk

    def pull_all(self) -> None:
        """Whatever is mounted still."""
        for disk in reversed(self._made):
            for point in reversed(disk.mounted):
                subprocess.run(["umount", "--lazy", point], check=False)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing can be written by its path; what is open for writing already stays so."""
    run("mount", "--bind", str(folder), str(folder))
    try:
        run("mount", "-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    """Unmounted at the end of the test, however it ends."""
    made = Disks(tmp_path_factory.mktemp("disks"))
    try:
        yield made
    finally:
        made.pull_all()


def run(*command: str) -> None:
    """A command without which the test cannot be made."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        cannot(f"{command[0]} is missing")
    if result.returncode != 0:
        cannot(f"{' '.join(command)}: {result.stderr.strip()}")
