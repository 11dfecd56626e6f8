"""A host to measure on: a folder of dumps with markers, a configuration with room for all of them, and the commands."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.clock import SystemClock
from core.config.load import load
from core.config.settings import Config
from core.state.database import State
from watcher.scanner import scan_and_record

_CONFIG = """\
[state]
path = "state.db"
[[watch]]
path = "dumps"
[limit]
daily = "{daily} B"
[day]
at_least = "0s"
[offsite]
storage = "mirror"
confirm = "report"
"""
_CONTENT = os.urandom(4096)


class BenchHost:
    """``folder/dumps``, ``folder/config.toml`` and ``folder/state.db``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dumps = folder / "dumps"
        self.file = folder / "config.toml"
        self.dumps.mkdir(parents=True)
        self.limit(100 * 10**9)

    def limit(self, daily: int) -> None:
        """The bytes of each day, 100 GB unless told."""
        self.file.write_text(_CONFIG.format(daily=daily))

    def dump(self, count: int, suffix: str = "") -> list[str]:
        """Makes so many dumps of 1 to 4096 bytes, each a file; no markers. Returns their names."""
        names = [f"vm{number:06}{suffix}" for number in range(count)]
        with _opened(self.dumps) as folder:
            for number, name in enumerate(names):
                file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
                os.write(file, _CONTENT[: 1 + number * 37 % 4096])
                os.close(file)
        return names

    def mark(self, names: Iterable[str]) -> None:
        """Touches a marker beside each of these dumps."""
        with _opened(self.dumps) as folder:
            for name in names:
                os.close(os.open(f"{name}.done", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder))

    def config(self) -> Config:
        """As a command loads it."""
        return load(self.file)

    def record(self) -> None:
        """A scan: what the watcher would have done by now."""
        config = self.config()
        state = State(config.state.path)
        scan_and_record(config, state, SystemClock())
        state.close()

    def command(self, *words: str) -> list[str]:
        """A real command on this host."""
        return [*TIDEGATE, "--config", str(self.file), *words]

    def remove(self) -> None:
        """Makes room."""
        shutil.rmtree(self.folder)


#: As an admin starts it, where it is installed.
_INSTALLED = Path(sys.executable).with_name("tidegate")
TIDEGATE = [str(_INSTALLED)] if _INSTALLED.exists() else [sys.executable, "-m", "tidegate"]


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)
