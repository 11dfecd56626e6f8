"""One process of dump scripts: makes dumps and their markers until it is told to stop, and says what it made."""

import os
import random
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.fs.fingerprint import allowed_owners, identify
from tools.soak.dump_names import Names
from tools.soak.marking_tools import Mark, Tools
from tools.soak.state_reader import StateFile
from tools.soak.written_markers import Journal, Written

_CONTENT = os.urandom(4096)
#: A dump may be rotated away when so many newer ones of its writer stand.
_KEPT = 400


@dataclass(frozen=True, slots=True)
class Place:
    """A watch folder as a writer knows it."""

    service: str
    watch: str
    root: Path
    state: Path
    tools: Tools


class Writer:
    """Writes into one place. ``name`` is its own among the writers and decides, with ``seed``, what it does."""

    def __init__(self, place: Place, name: str, seed: int, journals: Path) -> None:
        self.place = place
        self.dice = random.Random(f"{seed} {name}")
        self.names = Names(name, self.dice)
        self.seen = StateFile(place.state)
        self.again: dict[str, str] = {}
        self.root = str(place.root)
        self.journal = Journal(journals, name)
        self._kept: deque[tuple[str, str]] = deque()

    @contextmanager
    def within(self, root: str) -> Iterator[None]:
        """Reaches the watch folder by another path for the length of the block."""
        before, self.root = self.root, root
        try:
            yield
        finally:
            self.root = before

    # --- what a dump script does

    def dump(self, name: str, folder: str | None = None) -> str:
        """Makes a dump of one file, written aside and renamed. Returns its path."""
        folder = folder or self.root
        path = f"{folder}/{name}"
        aside = f"{folder}/.part-{os.getpid()}"
        self.write(aside)
        os.rename(aside, path)
        return path

    def write(self, path: str) -> None:
        """Writes the file at this path in place."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(file, _CONTENT[: self.dice.randint(1, len(_CONTENT))])
        os.close(file)

    def mark(self, mark: Mark, path: str, way: str, *, kind: str = "done", is_taken: bool = True) -> tuple[str, str]:
        """Marks the dump at this path and notes it. Returns what will be recorded: path and fingerprint."""
        fingerprint = fingerprint_of(path) if is_taken else ""
        mark(self.place.tools, f"{path}.{kind}")
        return self.wrote(path, fingerprint, way, time.time())

    def wrote(self, path: str, fingerprint: str, way: str, at: float, *, is_kept: bool = False) -> tuple[str, str]:
        """Notes a marker that stands. Unless it ``is_kept``, the dump is rotated away one day."""
        relative = path.removeprefix(f"{self.root}/")
        self.journal.add(Written(self.place.service, self.place.watch, relative, fingerprint, way, at))
        if not is_kept:
            self._kept.append((relative, fingerprint))
        return relative, fingerprint

    # --- what keeps the disk from filling up

    def is_recorded(self) -> bool:
        """True when everything is that it wrote and that stands."""
        return all(self.seen.has(self.place.watch, *one) for one in reversed(self._kept))

    def rotate(self, most: int = 10) -> None:
        """Removes the oldest dumps with their markers, once they are recorded."""
        for _ in range(min(most, len(self._kept) - _KEPT)):
            path, fingerprint = self._kept[0]
            if not self.seen.has(self.place.watch, path, fingerprint):
                return
            self._kept.popleft()
            _remove(self.root, path)

    def work(self, turn: Callable[["Writer"], None], rate: float, until: Callable[[], bool]) -> None:
        """Takes turns, ``rate`` a second on average, until it is told to stop or is left alone."""
        parent = os.getppid()
        while not until() and os.getppid() == parent:
            turn(self)
            self.rotate()
            time.sleep(self.dice.expovariate(rate))


def fingerprint_of(path: str) -> str:
    """Of the dump at this path, as it is recorded."""
    folder, _, name = path.rpartition("/")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return identify(descriptor, name, allowed_owners(descriptor)).fingerprint
    finally:
        os.close(descriptor)


def _remove(root: str, relative: str) -> None:
    path = f"{root}/{relative}"
    for marker in (f"{path}.done", f"{path}.failed", f"{path}.running"):
        try:
            os.unlink(marker)
        except OSError:
            continue  # a name of 255 bytes has no other markers, and the pass removes some
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
    try:
        while relative := os.path.dirname(relative):
            os.rmdir(f"{root}/{relative}")
    except OSError:
        return  # others lie in it
