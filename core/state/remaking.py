"""A state file made anew: beside the old one, which is kept, and then in its place by one rename."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from core.errors import BusyError, FaultError, UsageError
from core.state import locks
from core.state.database import WATCH_WAIT_SECONDS, DryRunState, make_folder, running_watcher
from core.state.owner import make_for_the_folders_owner

#: What SQLite may keep beside a state file; a new one must find nothing of it.
_COMPANY = ("", "-wal", "-shm")


@contextmanager
def alone(path: Path, *, wait: float) -> Iterator[None]:
    """Nobody passes, moves links or watches at the state file ``path``, be it there or not. Raises BusyError."""
    running = running_watcher(path)
    if running is not None:
        raise BusyError(f"state rebuild: the service ({running.told}) runs on {path}; stop it first, nothing was done")
    make_folder(path.parent)
    with (
        no_pass(path, wait=wait),
        locks.hold(path.with_name(f"{path.name}.watch.lock"), wait=WATCH_WAIT_SECONDS, what="the watch"),
    ):
        yield


def no_pass(path: Path, *, wait: float) -> AbstractContextManager[None]:
    """Nobody passes or moves links at the state file ``path``, which need not be there. Raises BusyError."""
    return locks.hold(path.with_name(f"{path.name}.pass.lock"), wait=wait, what="the pass lock")


def refuse_content(path: Path) -> None:
    """Raises UsageError when there is a state file in which something stands, or which cannot be read."""
    if _has_content(path):
        raise UsageError(
            f"state rebuild: there is a state file, {path}, that is not empty; `tidegate state verify` says whether it "
            "is well, and --replace makes a new one and keeps this one beside it"
        )


def _has_content(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                return bool(connection.execute("SELECT 1 FROM sqlite_master").fetchone())
            tables = ("vm", "dump", "link", "day")
            return any(connection.execute(f"SELECT 1 FROM {one} LIMIT 1").fetchone() for one in tables)  # noqa: S608
    except sqlite3.DatabaseError:
        return True


def draft_of(path: Path) -> DryRunState:
    """An empty state in memory, from which the state file ``path`` is to be made."""
    return DryRunState(path.with_name(f"{path.name}.rebuilt"))


def put_in_place(draft: DryRunState, path: Path, *, wait: float) -> Path | None:
    """Makes the draft the state file ``path``, for who is ``alone``. Returns where the old one is kept, if one stood.

    Raises FaultError; then the old one stands, or is kept and none stands: do it again.
    """
    new = draft.path
    try:
        new.unlink(missing_ok=True)
        make_for_the_folders_owner(new)
        draft.copy_to(new)
        with locks.hold(path.with_name(f"{path.name}.lock"), wait=wait, what="the state file"):
            kept = _keep_aside(path)
            new.replace(path)
            _settle(path.parent)
    except OSError as error:
        raise FaultError(f"{path}: the state file cannot be made: {error.strerror}") from error
    return kept


def _keep_aside(path: Path) -> Path | None:
    kept = _free_name(path)
    found = [path.with_name(path.name + suffix) for suffix in _COMPANY]
    standing = [(old, kept.with_name(kept.name + suffix)) for old, suffix in zip(found, _COMPANY, strict=True)]
    had_one = path.exists()
    for old, new in standing:
        if old.exists():
            old.rename(new)
    return kept if had_one else None


def _free_name(path: Path) -> Path:
    number = 1
    while path.with_name(f"{path.name}.replaced-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}.replaced-{number}")


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
