"""A watcher that runs: in a thread, on a host with one watch folder or several, with the real clock."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.clock import SystemClock
from core.config.load import load
from core.config.settings import Config
from core.enums import DumpState
from core.state import counters, dumps
from core.state.counters import WatchStatus
from core.state.database import State
from tests.host import Host
from tests.waiting import WAIT_SECONDS, until
from watcher.service import Watcher


class Site:
    """A host, its state, and what a watcher has recorded in it. ``settings`` are keys of ``[[watch]]``.

    The scan interval is an hour: what is recorded sooner is found by an event or by the watcher's own care.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.host = Host(folder, watch={"scan_interval": "1h", **settings})
        self.dumps = self.host.dumps
        self.config: Config = load(self.host.file, preflight=False)
        self.state = State(self.config.state.path)

    def beside(self, name: str) -> Path:
        """One more watch folder."""
        folder = self.host.folder / name
        folder.mkdir()
        other = self.config.watches[0].replace(name=name, path=folder, export=folder / ".rsync")
        self.config = self.config.replace(watches=(*self.config.watches, other))
        return folder

    @contextmanager
    def watched(self, **how: Any) -> Iterator[Watcher]:
        """While a watcher runs. When it has had its first scan the block begins."""
        ready = threading.Event()
        watcher = Watcher(self.config, self.state, SystemClock(), on_ready=ready.set, **how)
        raised: list[BaseException] = []

        def run() -> None:
            try:
                watcher.run()
            except BaseException as error:  # noqa: BLE001 - handed to the test
                raised.append(error)
                ready.set()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert ready.wait(WAIT_SECONDS)
            yield watcher
        finally:
            watcher.stop()
            thread.join(WAIT_SECONDS)
        assert not thread.is_alive()
        assert raised == []

    # --- what is recorded

    def states(self, path: str, watch: str = "dumps") -> list[DumpState]:
        """Of each row of a dump, oldest first."""
        with self.state.read() as connection:
            return [row.state for row in dumps.by_paths(connection, watch, [path])]

    def is_recorded(self, path: str, watch: str = "dumps") -> bool:
        return self.states(path, watch) != []

    def records(self, path: str, watch: str = "dumps") -> None:
        """Waits until this dump is recorded."""
        until(lambda: self.is_recorded(path, watch), f"{path} was never recorded")

    def waiting(self, watch: str = "dumps") -> set[str]:
        """Dumps that could leave."""
        with self.state.read() as connection:
            rows = dumps.without_end(connection)
        return {row.path for row in rows if row.watch == watch and row.state is DumpState.PENDING and not row.reason}

    def status(self, watch: str = "dumps") -> WatchStatus | None:
        with self.state.read() as connection:
            return counters.watch_statuses(connection).get(watch)

    def is_up(self, watch: str = "dumps") -> bool:
        return (status := self.status(watch)) is not None and status.up

    def is_down(self, watch: str = "dumps") -> bool:
        return (status := self.status(watch)) is not None and not status.up

    def goes_down(self, watch: str = "dumps") -> str:
        """Waits until the folder is held to be down, and returns why."""
        until(lambda: self.is_down(watch), f"{watch} was never held to be down")
        status = self.status(watch)
        assert status is not None
        return status.detail

    def comes_up(self, watch: str = "dumps") -> None:
        until(lambda: self.is_up(watch), f"{watch} never came up: {self.status(watch)}")

    def counted(self, name: str, label: str = "dumps") -> int:
        with self.state.read() as connection:
            return counters.counters(connection).get(name, {}).get(label, 0)

    def times(self) -> counters.Histogram:
        with self.state.read() as connection:
            return counters.delays(counters.counters(connection))


def done(folder: Path, name: str, content: bytes = b"x") -> None:
    """A finished dump with its marker."""
    aside = folder / f".{os.path.basename(name)}.aside"
    aside.write_bytes(content)
    aside.replace(folder / name)
    (folder / f"{name}.done").touch()
