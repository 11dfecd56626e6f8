"""Dumps, and markers for them in bursts: written and renamed in the folder of the dump."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

_VMS = 1000
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(slots=True)
class Ground:
    """``count`` dumps of a thousand VMs, spread over ``folders`` folders below ``root``; no markers yet."""

    root: Path
    count: int
    folders: int = 1
    _unmarked: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        for folder in self.all_folders():
            folder.mkdir(parents=True, exist_ok=True)
        for path in self.paths():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
            os.truncate(path, 1)
        self._unmarked = self.paths()

    def all_folders(self) -> list[Path]:
        """The root, and the folders in it when there are more than one."""
        return [self.root, *(self.root / f"{number:05}" for number in range(self.folders) if self.folders > 1)]

    def paths(self) -> Iterator[str]:
        """Each dump."""
        homes = [str(folder) for folder in self.all_folders()[-self.folders :]]
        for number in range(self.count):
            turn, vm = divmod(number, _VMS)
            yield f"{homes[number % self.folders]}/vm{vm:03}-20{turn // 28:02}-01-{turn % 28 + 1:02}"

    def mark(self, count: int) -> float:
        """Marks the next so many dumps at once. Returns the seconds that it took."""
        begun = time.perf_counter()
        for path in islice(self._unmarked, count):
            mark(path)
        return time.perf_counter() - begun

    def clear(self) -> None:
        """Removes all markers."""
        for path in self.paths():
            if os.path.lexists(f"{path}.done"):
                os.unlink(f"{path}.done")
        self._unmarked = self.paths()


@contextmanager
def ground(count: int, folders: int = 1) -> Iterator[Ground]:
    """Dumps in memory where there is such a place."""
    parent = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="tidegate-bench-", dir=parent))
    try:
        yield Ground(root / "dumps", count, folders)
    finally:
        shutil.rmtree(root)


def mark(path: str) -> None:
    """Writes the marker beside the dump and renames it: two files' worth of events for each marker."""
    folder, _, name = path.rpartition("/")
    aside = f"{folder}/.{name}.tmp"
    os.close(os.open(aside, os.O_WRONLY | os.O_CREAT, 0o644))
    os.rename(aside, f"{path}.done")
