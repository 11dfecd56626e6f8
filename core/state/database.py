"""The state file: lock, transaction, commit or rollback. Nothing else opens it to write.

::

    state.db             SQLite, WAL, synchronous=FULL
    state.db.lock        held for each writing transaction
    state.db.pass.lock   held by a pass from plan to links, and by every command that moves links
    state.db.watch.lock  held by the watcher as long as it runs
    state.db.sync.lock   held by `tidegate sync` as long as it runs

Readers take no lock: they see the last committed transaction.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from sqlite3 import Connection, DatabaseError
from typing import NamedTuple

from core.errors import FaultError
from core.state import locks
from core.state.locks import make_for_the_folders_owner
from core.state.migrations import SCHEMA_VERSION, create, migrate, refuse_newer, version_of

__all__ = ["Connection", "DatabaseError", "DryRunState", "Generation", "State", "read_only"]

#: How long a transaction waits for another one. Transactions take milliseconds; a minute means trouble.
WRITE_WAIT_SECONDS = 60.0
#: Longer than `is_watched` looks, so that a command beside it never keeps a watcher from starting.
WATCH_WAIT_SECONDS = 1.0
#: How long a connection waits for whoever else has SQLite's own lock. Our own writers take turns by ours.
_SQLITE_WAIT_SECONDS = 10.0
#: A scrape waits no longer for a file that somebody has locked as a whole. Below Prometheus' own timeout of 10 s.
_GENERATION_WAIT_SECONDS = 2.0
#: A commit is on the disk before the next step: links follow it.
SYNCHRONOUS = "FULL"
#: Open connections that are kept for the next one who asks; more than these read or write at once for a moment only.
_MOST_IDLE = 5
#: Statements that stay prepared in each connection: all that there are.
_PREPARED = 256
#: What a copy holds in memory: the state of some ten thousand VMs.
DRY_RUN_CACHE_BYTES = 64 * 1024 * 1024

#: How SQLite calls a file that this user may not open or write.
_NOT_OURS = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_OTHER_USER = "; uid {uid} has no right to it: run this as root, or as the user of the service"


class State:
    """The state file at ``path``. Opening makes or migrates it. Raises FaultError.

    Any thread may use it, several at once: each transaction has a connection of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[Connection] = []  # append and pop are atomic
        make_folder(path.parent)
        make_for_the_folders_owner(path)
        with self.read() as connection:
            current = version_of(connection) == SCHEMA_VERSION
        if not current:
            with self.write() as connection:
                migrate(connection, path)

    @contextmanager
    def write(self, *, wait: float = WRITE_WAIT_SECONDS) -> Iterator[Connection]:
        """One locked transaction: committed when the block ends, rolled back when it raises.

        Raises BusyError when the lock is not free within ``wait`` seconds, FaultError when SQLite fails, and
        NewerStateError when a newer Tidegate has changed the file since it was opened.
        """
        with self._lock(wait), _faults_of(self.path), self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                refuse_newer(connection, self.path)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(DatabaseError):  # on a full disk SQLite has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view, without a lock. Raises FaultError when SQLite fails."""
        with _faults_of(self.path), self._connection() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                with suppress(DatabaseError):  # what SQLite has rolled back by itself must not hide why
                    connection.execute("ROLLBACK")

    def pass_lock(self, *, wait: float) -> AbstractContextManager[None]:
        """Makes its holder the only one that moves links. Raises BusyError after ``wait`` seconds."""
        return pass_lock(self.path, wait=wait)

    def sync_lock(self, *, wait: float) -> AbstractContextManager[None]:
        """Makes its holder the only one that pushes. Taken before the pass lock. Raises BusyError after ``wait``."""
        lock = _beside(self.path, "sync.lock")
        return locks.hold(lock, wait=wait, what="a sync is already run", advice=locks.RETRY_OR_WAIT)

    def watch_lock(self) -> AbstractContextManager[None]:
        """Makes its holder the only watcher. Raises BusyError when another one runs."""
        return watch_lock(self.path)

    def is_watched(self) -> bool:
        """True while a watcher runs."""
        return locks.is_held(_beside(self.path, "watch.lock"))

    def check_version(self) -> None:
        """Raises NewerStateError when the file is no longer ours to write; FaultError when it cannot be read."""
        with self.read() as connection:
            refuse_newer(connection, self.path)

    def close(self) -> None:
        """Closes the connections that nobody uses; whoever asks next opens another one."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _prepared(_opened(self.path))
        try:
            yield connection
        finally:
            if connection.in_transaction or len(self._idle) >= _MOST_IDLE:
                connection.close()
            else:
                self._idle.append(connection)

    def _lock(self, wait: float) -> AbstractContextManager[None]:
        return write_lock(self.path, wait=wait)


class DryRunState(State):
    """A copy of a state file of which only this process knows: whatever is tried on it, nothing is written to it.

    It is in memory as far as ``DRY_RUN_CACHE_BYTES`` go; the rest is in a file of SQLite's own that has no name.
    One transaction at a time, of whichever thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copy = _prepared(_opened(""))
        self._copy.execute(f"PRAGMA cache_size = -{DRY_RUN_CACHE_BYTES // 1024}")
        with _faults_of(path):
            if is_there(path):
                with closing(_opened(_read_only_uri(path))) as source:
                    source.backup(self._copy, progress=_refuse_to_wait)
            refuse_newer(self._copy, path)
            migrate(self._copy, None)

    def copy_to(self, path: Path) -> None:
        """Writes all of it, durably, into the empty or missing file ``path``. Raises FaultError."""
        with _faults_of(self.path), closing(sqlite3.connect(path)) as target:
            self._copy.backup(target)

    def close(self) -> None:
        """The copy is gone."""
        self._copy.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        yield self._copy

    @contextmanager
    def _no_lock(self) -> Iterator[None]:
        yield

    def _lock(self, wait: float) -> AbstractContextManager[None]:
        return self._no_lock()

    def pass_lock(self, *, wait: float) -> AbstractContextManager[None]:
        """Nobody else can see this copy."""
        return self._no_lock()


@contextmanager
def read_only(path: Path) -> Iterator[Connection]:
    """One consistent view of the state file, for whoever only shows it; makes, locks, copies and changes nothing.

    Where there has never been one it is an empty one. Raises FaultError when it is gone or cannot be read, and
    NewerStateError.
    """
    with _faults_of(path), closing(_opened(_read_only_uri(path) if is_there(path) else "")) as connection:
        connection.execute("BEGIN")
        if is_there(path):
            refuse_newer(connection, path)
            if (version := version_of(connection)) < SCHEMA_VERSION:
                raise FaultError(f"{path}: the state file has the older version {version}; run `tidegate pass`")
        elif _beside(path, "lock").exists():  # each state file has left one beside it
            raise FaultError(f"{path}: the state file is gone: mount its disk, or run `tidegate state rebuild`")
        else:
            create(connection)
        yield connection


def _refuse_to_wait(status: int, _left: int, _pages: int) -> None:
    """Called after each step of a copy: the driver itself would try for ever where somebody keeps the file."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise sqlite3.OperationalError("database is locked")


#: With less than this left not even an empty state can be made.
_FULL_BYTES = 64 * 1024


class RunningWatcher(NamedTuple):
    """A watcher that runs: its stamp, for people, and its version, None where the stamp has none."""

    told: str
    version: str | None


def running_watcher(path: Path) -> RunningWatcher | None:
    """Who watches for the state file ``path``, None if nobody does. Looks, and opens or makes nothing."""
    held = _beside(path, "watch.lock")
    return RunningWatcher(locks.holder(held), locks.version_of_holder(held)) if locks.is_held(held) else None


def write_lock(path: Path, *, wait: float) -> AbstractContextManager[None]:
    """Makes its holder the only one that writes the state file ``path``. Raises BusyError after ``wait`` seconds."""
    return locks.hold(_beside(path, "lock"), wait=wait, what="the state file is in use")


def pass_lock(path: Path, *, wait: float) -> AbstractContextManager[None]:
    """As ``State.pass_lock``, for a state file ``path`` that need not be there."""
    lock = _beside(path, "pass.lock")
    return locks.hold(lock, wait=wait, what="the export trees are in use", advice=locks.RETRY_OR_WAIT)


def watch_lock(path: Path) -> AbstractContextManager[None]:
    """As ``State.watch_lock``, for a state file ``path`` that need not be there."""
    lock = _beside(path, "watch.lock")
    return locks.hold(lock, wait=WATCH_WAIT_SECONDS, what="the watch folders are already watched")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _opened(file: str | Path, *, wait: float = _SQLITE_WAIT_SECONDS) -> Connection:
    """A connection for any thread, one at a time; '' is a database that goes with its connection.

    BEGIN and COMMIT are ours: the driver would start transactions late.
    """
    return sqlite3.connect(
        file,
        timeout=wait,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_PREPARED,
        uri=isinstance(file, str),
    )


def _read_only_uri(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"


def _prepared(connection: Connection) -> Connection:
    for pragma in ("journal_mode=WAL", f"synchronous={SYNCHRONOUS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


class Generation:
    """Whether anything was committed to the state file since: what was made from it is kept by this.

    The file at ``path`` must be there. May be asked by any thread, by one at a time. SQLite counts for each connection
    what the others have committed, in this process and in any other (``PRAGMA data_version``). It is asked on a
    connection that is kept and never writes; that takes microseconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._opened = 0  # each connection counts for itself
        self._file: tuple[int, int] | None = None

    def now(self) -> tuple[int, ...]:
        """Other numbers than before once anything was committed, or written to the file by whomever.

        Raises FaultError when it cannot be read, is gone, or is no longer the file that it was.
        """
        try:
            status = self._path.stat()
            self._stay_with((status.st_dev, status.st_ino))
            return self._version(), self._opened, status.st_size, status.st_ctime_ns
        except OSError as error:
            raise FaultError(f"{self._path}: the state file cannot be used: {error.strerror}") from error
        except DatabaseError as error:
            self.close()
            raise FaultError(f"{self._path}: the state file cannot be used: {error}") from error

    def close(self) -> None:
        """Closes the connection; the next question opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _stay_with(self, file: tuple[int, int]) -> None:
        """A connection stays with the file that it has opened, and would never notice another one in its place."""
        if self._file not in (None, file):
            raise FaultError(f"{self._path}: this is another state file than before; restart the service")
        self._file = file

    def _version(self) -> int:
        if self._connection is None:
            self._connection = _opened(_read_only_uri(self._path), wait=_GENERATION_WAIT_SECONDS)
            self._opened += 1
        with closing(self._connection.execute("PRAGMA data_version")) as rows:
            return int(rows.fetchone()[0])


def is_there(path: Path) -> bool:
    """Whether there is a state file. Raises FaultError where this user may not know."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FaultError(f"{path}: the state file cannot be opened: {error.strerror}{_of_its_user(error)}") from error
    return True


def _of_its_user(error: OSError) -> str:
    return _OTHER_USER.format(uid=os.geteuid()) if isinstance(error, PermissionError) else ""


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise _fault(path, error) from error


def _fault(path: Path, error: BaseException | None) -> FaultError:
    """SQLite's message; for a file that is damaged, or of another user, with what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _NOT_OURS and not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return FaultError(f"{path}: the state file cannot be used: {error}{_OTHER_USER.format(uid=os.geteuid())}")
    if code not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return FaultError(f"{path}: the state file cannot be used: {'its disk is full' if _is_full(path) else error}")
    return FaultError(
        f"{path}: the state file is damaged: {error}; run `tidegate state rebuild --replace`: it makes a "
        "new one from the export trees and the markers, and keeps this one beside it"
    )


def make_folder(folder: Path) -> None:
    """Makes the folder itself but not its parents: a mistyped path must not become a second state."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FaultError(f"{folder}: the state's folder cannot be made: {error.strerror}") from error


def _is_full(path: Path) -> bool:
    """Whether its disk is: SQLite has many names for that."""
    try:
        status = os.statvfs(path.parent)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _FULL_BYTES
