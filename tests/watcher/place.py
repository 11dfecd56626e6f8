"""A watch folder with its state, looked at from inside the process."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.config.settings import Config, WatchFolder
from core.enums import DumpState, MarkerResult
from core.state import counters, dumps, vms
from core.state.database import State
from core.state.dumps import DumpRow
from core.state.vms import VmRow
from tests.clock import GivenClock
from tests.host import Host
from watcher.observation import Observation, observe
from watcher.recorder import Recorder
from watcher.scanner import Scanned, Scanner


class Place:
    """``folder/dumps`` and its state. ``settings`` are keys of ``[[watch]]``. The clock stops until it is moved."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.host = Host(folder, watch=settings)
        self.dumps = self.host.dumps
        self.config: Config = self.host.config()
        self.watch: WatchFolder = self.config.watches[0]
        self.state = State(self.config.state.path)
        self.clock = GivenClock()

    def close(self) -> None:
        """Closes the state."""
        self.state.close()

    def path(self, name: str) -> Path:
        """A path in the dump folder, whose folders are made."""
        path = self.dumps / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def dump(self, name: str, content: bytes = b"x") -> Path:
        """A dump that is one file, without a marker."""
        path = self.path(name)
        aside = path.with_name(".aside")
        aside.write_bytes(content)
        aside.replace(path)
        return path

    def mark(self, name: str, kind: str = "done", text: str = "") -> Path:
        """Its marker, replaced whole so that it is another inode each time."""
        path = self.path(f"{name}.{kind}")
        aside = path.with_name(".aside")
        aside.write_text(text)
        aside.replace(path)
        return path

    def done(self, name: str, content: bytes = b"x", text: str = "") -> None:
        """A finished dump with its marker."""
        self.dump(name, content)
        self.mark(name, text=text)

    # --- looks

    def look(self, name: str) -> Observation:
        """What is seen at this path now, however far the clock is behind."""
        (seen,) = observe(self.config, self.watch, [name], self.clock.wall + 10)
        return seen

    def scan(self, **how: Any) -> Scanned:
        """One scan, recorded, a second after what was before."""
        self.clock.advance(1)
        return Scanner(self.config, self.watch, self.state, self.clock).scan(**how)

    def record(self, paths: list[str]) -> None:
        """These dumps are looked at, as after events of their markers."""
        self.clock.advance(1)
        Recorder(self.config, self.watch, self.state, self.clock).record(paths)

    # --- the state

    def rows(self, name: str) -> list[DumpRow]:
        """All rows of a path, oldest first."""
        with self.state.read() as connection:
            return dumps.by_paths(connection, self.watch.name, [name])

    def row(self, name: str) -> DumpRow:
        """The only row of a path."""
        (row,) = self.rows(name)
        return row

    def states(self, name: str) -> list[tuple[DumpState, bool]]:
        """State of each row of a path, and whether it has a marker."""
        return [(row.state, row.has_marker) for row in self.rows(name)]

    def decide(self, name: str, state: DumpState) -> None:
        """What the policy would do with the newest row of a path."""
        ends = state in {DumpState.CONFIRMED, DumpState.SUPERSEDED, DumpState.EXPIRED, DumpState.REVOKED}
        with self.state.write() as connection:
            row = dumps.by_paths(connection, self.watch.name, [name])[-1]
            ended_at = self.clock.wall if ends else None
            dumps.change(connection, row.id, state=state, reason=None, ended_at=ended_at)

    def vm(self, name: str) -> VmRow | None:
        """What is known of a VM, retired or not."""
        with self.state.read() as connection:
            return vms.one(connection, name)

    def results(self) -> Counter[MarkerResult]:
        """How many markers had each result so far."""
        with self.state.read() as connection:
            counted = counters.counters(connection).get("markers", {})
        return Counter({MarkerResult(label): number for label, number in counted.items()})

    def everything(self) -> list[tuple[Any, ...]]:
        """All rows of all dumps and VMs, with every column."""
        with self.state.read() as connection:
            rows = connection.execute("SELECT * FROM dump ORDER BY id").fetchall()
            return rows + [tuple(row) for row in vms.all_vms(connection).values()]

    def standing(self) -> set[str]:
        """Paths of the dumps that are recorded to have a marker."""
        with self.state.read() as connection:
            return set(dumps.marker_signatures(connection, self.watch.name))


@contextmanager
def open_files() -> Iterator[None]:
    """No descriptor is left open by the block."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before
