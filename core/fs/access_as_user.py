"""Whether another user could read some files: tried as that user, in a process of its own.

Modes alone do not decide: there are access lists, groups, and closed folders on the way.
"""

import ctypes
import json
import os
import pwd
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from core.errors import FaultError, UsageError
from core.filenames import printable
from core.fs.openat import open_to_read, open_unread

_PR_SET_DUMPABLE = 4
#: Of very many more are not named anyway.
_MOST = 1000


class Unreadable(NamedTuple):
    """A file or folder, and the kernel's reason."""

    path: str
    why: str


def unreadable(user: str, trees: Sequence[Path], dumps: Iterable[Path]) -> list[Unreadable]:
    """What ``user`` cannot read of these folders, by their paths, and of these dumps, through any other name of theirs.

    A link has the rights of its file and none of the folders that the dump lies in. What is not there is left out.
    Raises UsageError where there is no such user, or we may not become him, and FaultError.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise UsageError(f"check: there is no user {user!r} on this host") from None
    if os.geteuid() not in (0, entry.pw_uid):
        raise UsageError(f"check: only root can try what {user!r} may read; run it with sudo")
    listed = list(dumps)
    return _in_a_child(lambda: list(_tried(entry, trees, listed)))


def _tried(entry: pwd.struct_passwd, trees: Sequence[Path], dumps: Sequence[Path]) -> Iterator[Unreadable]:
    if os.geteuid() == 0:
        os.setgroups(os.getgrouplist(entry.pw_name, entry.pw_gid))
        os.setegid(entry.pw_gid)
    for tree in trees:
        with _as(entry.pw_uid):
            yield from _of_a_tree(tree)
    for dump in dumps:
        try:
            held = open_unread(dump)
        except OSError:
            continue  # gone meanwhile, or not for us to see: the pass shows what is wrong with it
        try:
            with _as(entry.pw_uid):
                yield from _of_a_dump(held, str(dump))
        finally:
            os.close(held)


def _of_a_tree(tree: Path) -> Iterator[Unreadable]:
    try:
        list(tree.iterdir())
    except FileNotFoundError:
        pass
    except OSError as error:
        shut = next((folder for folder in reversed(tree.parents) if not _lets_through(folder)), None)
        yield Unreadable(str(tree), _said(error) + (f", since {shut} does not let him through" if shut else ""))


def _lets_through(folder: Path) -> bool:
    return os.access(folder, os.X_OK, effective_ids=True)


def _of_a_dump(held: int, path: str) -> Iterator[Unreadable]:
    """``held`` was opened without asking whether it may be read: this asks."""
    try:
        file = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        yield Unreadable(path, _said(error))
        return
    try:
        yield from _within(file, path)
    finally:
        os.close(file)


def _within(file: int, path: str) -> Iterator[Unreadable]:
    """What is in it, where it is a folder. Raises nothing: what cannot be looked at cannot be read."""
    try:
        names = sorted(os.listdir(file))
    except NotADirectoryError:
        return
    for name in names:
        inner = f"{path}/{name}"
        try:
            below = open_to_read(name, file)
        except OSError as error:
            yield Unreadable(inner, _said(error))
            continue
        try:
            yield from _within(below, inner)
        finally:
            os.close(below)


@contextmanager
def _as(uid: int) -> Iterator[None]:
    """The block runs as this user; the process goes back to what it was."""
    before = os.geteuid()
    os.seteuid(uid)
    try:
        # Whoever changes his user is closed to /proc, also to himself.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        yield
    finally:
        os.seteuid(before)


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _in_a_child(look: Callable[[], list[Unreadable]]) -> list[Unreadable]:
    """The groups of a process cannot be lent: the child ends with them."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(ours)
            with os.fdopen(theirs, "w") as pipe:
                json.dump([(printable(path), why) for path, why in look()[:_MOST]], pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise FaultError("it could not be tried what another user may read")
    return [Unreadable(*one) for one in json.loads(answer)]
