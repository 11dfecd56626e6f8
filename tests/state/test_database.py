"""The one door to the state file."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core.clock import Instant
from core.errors import BusyError, ExitCode, FaultError
from core.state import counters, dumps, ledger, locks
from core.state.database import Connection, DryRunState, State, read_only
from core.state.migrations import SCHEMA_VERSION, migrate, version_of
from tests.mounts import Mount, mount
from tests.users import as_nobody, open_the_way

__all__ = ["mount"]

NOW = Instant(1_000_000.0, "boot", 10.0)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "var" / "state.db")


def count_of(state: State, name: str) -> int:
    with state.read() as connection:
        return counters.counters(connection).get(name, {}).get("", 0)


def _count_and_fail(connection: Connection) -> None:
    counters.count(connection, "passes")
    raise RuntimeError


def test_a_new_state_is_made_with_its_folder_but_not_with_the_folder_above(tmp_path: Path) -> None:
    """A mistyped path must not become a second, empty state."""
    with State(tmp_path / "var" / "state.db").read() as connection:
        assert version_of(connection) == SCHEMA_VERSION
    with pytest.raises(FaultError, match="cannot be made"):
        State(tmp_path / "no" / "such" / "state.db")


def test_a_transaction_that_raises_leaves_nothing(state: State) -> None:
    """All of it or none of it."""
    with pytest.raises(RuntimeError), state.write() as connection:
        _count_and_fail(connection)
    assert count_of(state, "passes") == 0


def test_a_reader_sees_the_last_committed_transaction_while_another_writes(state: State) -> None:
    """Readers take no lock and wait for nobody."""
    with state.write() as connection:
        counters.count(connection, "passes")
        assert count_of(State(state.path), "passes") == 0
    assert count_of(state, "passes") == 1


def test_who_waits_too_long_is_told_who_holds_the_lock(state: State) -> None:
    """The holder's process and command are stamped into the lock file."""
    told = pytest.raises(BusyError, match=rf"in use by process {os.getpid()} ")
    with state.write(), told as caught, State(state.path).write(wait=0.05):
        pass
    assert caught.value.exit_code == ExitCode.BUSY


def test_a_killed_holder_frees_the_lock_at_once(state: State) -> None:
    """The lock is the kernel's: nobody has to clean up."""
    program = (
        "import os, sys; from pathlib import Path; from core.state.database import State\n"
        "with State(Path(sys.argv[1])).write(): os.write(1, b'held'); os.read(0, 1)"
    )
    command = [sys.executable, "-c", program, str(state.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.read(4) == b"held"
        with pytest.raises(BusyError), state.write(wait=0):
            pass
        child.kill()
        child.wait()
    with state.write(wait=0) as connection:
        counters.count(connection, "passes")


def test_the_lock_file_is_never_removed(state: State) -> None:
    """An unlinked lock file lets a second holder in."""
    path = state.path.with_name("state.db.lock")
    with state.write():
        inode = path.stat().st_ino
    with state.write():
        assert path.stat().st_ino == inode


def test_looking_whether_a_lock_is_held_neither_takes_nor_stamps_it(tmp_path: Path) -> None:
    """`status` asks whether a watcher runs, and must not keep one from starting."""
    path = tmp_path / "a.lock"
    assert not locks.is_held(path)
    with locks.hold(path, wait=0, what="it"):
        before = path.read_text()
        assert locks.is_held(path)
    assert not locks.is_held(path)
    assert path.read_text() == before


def test_only_one_watcher_holds_the_watch(state: State) -> None:
    """The second is told who the first is."""
    with state.watch_lock():
        assert state.is_watched()
        with pytest.raises(BusyError, match=str(os.getpid())), State(state.path).watch_lock():
            pass
    assert not state.is_watched()


def test_a_scratch_copy_takes_everything_over_and_gives_nothing_back(state: State) -> None:
    """`plan` tries things on a copy in memory: the file stays byte for byte what it was."""
    with state.write() as connection:
        counters.count(connection, "passes")
    state.close()
    before = state.path.read_bytes()
    dry_run = DryRunState(state.path)
    with dry_run.write() as connection:
        counters.count(connection, "passes")
    assert count_of(dry_run, "passes") == 2
    assert state.path.read_bytes() == before
    assert count_of(state, "passes") == 1


def test_a_scratch_copy_of_a_state_that_somebody_keeps_is_a_fault_and_no_endless_wait(state: State) -> None:
    """The driver's own copying tries for ever."""
    with closing(sqlite3.connect(state.path, isolation_level=None)) as greedy:
        state.close()
        greedy.execute("PRAGMA locking_mode = EXCLUSIVE")
        greedy.execute("BEGIN EXCLUSIVE")
        with pytest.raises(FaultError, match="database is locked"):
            DryRunState(state.path)


def test_a_scratch_copy_of_no_state_is_empty_and_makes_no_file(tmp_path: Path) -> None:
    """`tidegate plan` before anything else writes nothing."""
    dry_run = DryRunState(tmp_path / "var" / "state.db")
    assert count_of(dry_run, "passes") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_state_is_a_fault_with_its_name(tmp_path: Path) -> None:
    """A sentence, exit code 3, and the file is left alone."""
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database, and long enough to be looked at as one" * 40)
    with pytest.raises(FaultError, match=str(path)):
        State(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_newer_state_is_refused_and_left_alone(state: State) -> None:
    """An older Tidegate must not write what it does not understand."""
    state.close()
    with sqlite3.connect(state.path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(FaultError, match="newer Tidegate"):
        State(state.path)


def test_a_migration_copies_the_file_first(state: State) -> None:
    """What was there before the step can be had again."""

    def step(connection: Connection) -> None:
        connection.execute("ALTER TABLE vm ADD COLUMN nickname TEXT")

    with state.write() as connection:
        counters.count(connection, "passes", 7)
    with state.write() as connection:
        migrate(connection, state.path, {SCHEMA_VERSION: step}, SCHEMA_VERSION + 1)
        assert version_of(connection) == SCHEMA_VERSION + 1
    copy = State(state.path.with_name(f"state.db.before-version-{SCHEMA_VERSION + 1}"))
    assert count_of(copy, "passes") == 7
    with copy.read() as connection:
        assert version_of(connection) == SCHEMA_VERSION


def test_a_migration_that_fails_changes_nothing(state: State) -> None:
    """Step and version are one transaction."""

    def step(connection: Connection) -> None:
        connection.execute("ALTER TABLE vm ADD COLUMN nickname TEXT")
        raise RuntimeError

    with pytest.raises(RuntimeError), state.write() as connection:
        migrate(connection, state.path, {SCHEMA_VERSION: step}, SCHEMA_VERSION + 1)
    with state.read() as connection:
        assert version_of(connection) == SCHEMA_VERSION
        columns = connection.execute("PRAGMA table_info(vm)").fetchall()
    assert "nickname" not in {column[1] for column in columns}


def test_no_two_days_can_be_open(state: State) -> None:
    """The state itself refuses a second limit."""
    with state.write() as connection:
        ledger.add_day(connection, 1, NOW, 10, 0)
    with pytest.raises(FaultError), state.write() as connection:
        ledger.add_day(connection, 2, NOW, 10, 0)


def test_no_two_links_can_stand_under_one_name(state: State) -> None:
    """The state itself refuses two rows for one name of a tree."""
    row = {"day": 1, "watch": "w", "export_name": "vm1", "fingerprint": "1:2:3", "bytes": 2}
    with state.write() as connection:
        ledger.add_day(connection, 1, NOW, 10, 0)
        ids = ledger.charge(connection, [row, row], NOW)
        ledger.set_linked(connection, [(ids[0], 1)], NOW.wall)
    with pytest.raises(FaultError), state.write() as connection:
        ledger.set_linked(connection, [(ids[1], 1)], NOW.wall)


def test_a_file_name_of_any_bytes_comes_back_as_it_was(state: State) -> None:
    """A disk holds names that are no text."""
    name = os.fsdecode(b"vm\xff\n1")
    row = {
        "watch": "w",
        "path": name,
        "fingerprint": "",
        "state": "bad",
        "dump_time": 1.0,
        "recorded_at": 1.0,
        "signature": "",
    }
    with state.write() as connection:
        dumps.add(connection, row)
    with state.read() as connection:
        assert [one.path for one in dumps.without_end(connection)] == [name]


def test_a_path_with_signs_that_mean_something_in_a_url_is_a_path_like_any(tmp_path: Path) -> None:
    """``?``, ``#`` and ``%`` are letters of a file name."""
    state = State(tmp_path / "a?b#c%20" / "state.db")
    with state.write() as connection:
        counters.count(connection, "passes")
    assert count_of(DryRunState(state.path), "passes") == 1
    assert (tmp_path / "a?b#c%20" / "state.db").exists()


@pytest.mark.parametrize("closed", ["folder", "file"])
def test_who_has_no_right_to_the_state_is_told_who_has(state: State, tmp_path: Path, closed: str) -> None:
    """As a user who looks at what the service keeps."""
    open_the_way(tmp_path)
    (state.path if closed == "file" else state.path.parent).chmod(0)
    with as_nobody(), pytest.raises(FaultError, match="has no right to it: run this as root, or as the user of"):
        DryRunState(state.path)


def test_a_disk_without_room_for_a_state_is_called_full(mount: Mount) -> None:
    """SQLite speaks of an I/O error, or of a transaction that it has rolled back itself."""
    disk = mount("tmpfs", "size=400k")
    (disk / "filler").write_bytes(bytes(390 * 1024))
    with pytest.raises(FaultError, match="its disk is full"), State(disk / "state.db").write():
        pass
    (disk / "filler").unlink()
    with State(disk / "state.db").write():
        pass


def test_reading_only_sees_what_is_committed_and_makes_nothing(state: State) -> None:
    """`status` looks while others write; beside it the state's folder stays as it was."""
    with state.write() as connection:
        counters.count(connection, "passes")
        with read_only(state.path) as reader:
            assert counters.counters(reader) == {}
    before = sorted(state.path.parent.iterdir())
    with read_only(state.path) as reader:
        assert counters.counters(reader) == {"passes": {"": 1}}
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            counters.count(reader, "passes")
    assert sorted(state.path.parent.iterdir()) == before


def test_reading_only_where_there_never_was_a_state_is_an_empty_one_and_makes_no_file(tmp_path: Path) -> None:
    with read_only(tmp_path / "var" / "state.db") as connection:
        assert connection.execute("SELECT count(*) FROM vm").fetchone() == (0,)
    assert list(tmp_path.iterdir()) == []


def test_reading_only_of_a_state_that_is_gone_is_a_fault(state: State) -> None:
    """Its lock file is still there: an empty answer would be an all-clear."""
    with state.write():
        pass
    state.close()
    state.path.unlink()
    with pytest.raises(FaultError, match="the state file is gone"), read_only(state.path):
        pass


def test_reading_only_of_a_newer_state_or_of_none_of_ours_is_a_fault(state: State, tmp_path: Path) -> None:
    state.close()
    with closing(sqlite3.connect(state.path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database, and long enough to be looked at as one" * 40)
    with pytest.raises(FaultError, match="newer Tidegate"), read_only(state.path):
        pass
    with pytest.raises(FaultError, match="damaged"), read_only(other):
        pass
