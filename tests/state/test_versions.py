"""Two versions of Tidegate on one state file."""

import sqlite3
from pathlib import Path

import pytest

from core.errors import NewerStateError
from core.state import counters, locks
from core.state.database import DryRunState, RunningWatcher, State, running_watcher
from core.version import __version__

NEWER = 99


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state.db")


def migrated(path: Path) -> None:
    """What a newer Tidegate leaves, while an older one has the file open."""
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {NEWER}")
    raw.close()


def test_an_older_service_writes_nothing_once_a_newer_command_has_migrated_the_file(state: State) -> None:
    """It would write what it does not understand; so each transaction looks first."""
    state.check_version()
    migrated(state.path)
    with pytest.raises(NewerStateError, match="written by a newer Tidegate"), state.write() as connection:
        counters.count(connection, "passes")
    with pytest.raises(NewerStateError, match="written by a newer Tidegate"):
        state.check_version()
    with state.read() as connection:
        assert counters.counters(connection) == {}


def test_what_looks_at_a_newer_file_names_it(state: State) -> None:
    """`status` and `plan` say which file, as a pass does."""
    migrated(state.path)
    with pytest.raises(NewerStateError, match=str(state.path)):
        DryRunState(state.path)


def test_the_version_of_a_running_watcher_stands_in_its_lock(state: State) -> None:
    """Others see it without opening the state, and without keeping a watcher from starting."""
    assert running_watcher(state.path) is None
    with state.watch_lock():
        found = running_watcher(state.path)
        assert isinstance(found, RunningWatcher)
        assert (found.version, f"(tidegate {__version__}" in found.told) == (__version__, True)
    assert running_watcher(state.path) is None


def test_a_stamp_of_before_there_were_versions_tells_none(tmp_path: Path) -> None:
    """Its version is unknown, and not that of the command that looks."""
    path = tmp_path / "a.lock"
    path.write_text("process 1 (tidegate watch)\n")
    assert locks.version_of_holder(path) is None
