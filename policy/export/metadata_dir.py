"""The papers in the export tree: files that Tidegate itself keeps in a folder of its own there, `.tidegate`.

Others may be able to write in the tree: the folder is opened by descriptor and never through a symbolic link, it is
used only if nobody else can write in it, and a paper is written in staging and appears whole, by one rename.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from core import failpoints
from core.errors import FaultError
from policy.export.folders import FOLDER_FLAGS

FOLDER = ".tidegate"
#: The puller comes as a user of its own.
_FOLDER_MODE = 0o755
_PAPER_MODE = 0o644
_READABLE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def put(tree: int, staging: int, papers: Mapping[str, bytes | None]) -> bool:
    """Writes papers by their names, durably and in this order; None removes one. False when all stood so already.

    Descriptors of the tree and of an empty staging folder. Raises OSError, FaultError for a folder of others.
    """
    _make(tree)
    with _opened(tree) as folder:
        changed = [name for name, content in papers.items() if _read(folder, name) != content]
        for name in changed:
            _put(folder, staging, name, papers[name])
        if changed:
            os.fsync(folder)
    return bool(changed)


def stand(tree: int) -> bool:
    """Whether anything has the folder's name."""
    try:
        os.stat(FOLDER, dir_fd=tree, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def read(tree: int, name: str) -> bytes | None:
    """What a paper holds, None where there is none. Raises OSError, FaultError for a folder of others."""
    try:
        with _opened(tree) as folder:
            return _read(folder, name)
    except FileNotFoundError:
        return None


def _make(tree: int) -> None:
    try:
        os.mkdir(FOLDER, _FOLDER_MODE, dir_fd=tree)
    except FileExistsError:
        return
    with _opened(tree) as folder:
        os.fchmod(folder, _FOLDER_MODE)  # whatever the umask
        os.fsync(tree)


@contextmanager
def _opened(tree: int) -> Iterator[int]:
    try:
        folder = os.open(FOLDER, FOLDER_FLAGS, dir_fd=tree)
    except NotADirectoryError:
        raise FaultError(f"{FOLDER} in the export tree is no folder: move it away, Tidegate makes its own") from None
    try:
        status = os.fstat(folder)
        if status.st_uid not in {0, os.geteuid(), os.fstat(tree).st_uid} or status.st_mode & (
            stat.S_IWGRP | stat.S_IWOTH
        ):
            raise FaultError(
                f"{FOLDER} in the export tree can be written by others: move it away, Tidegate makes its own"
            )
        yield folder
    finally:
        os.close(folder)


def _read(folder: int, name: str) -> bytes | None:
    """Nothing, too, where something else than a plain file has the name: it is replaced."""
    try:
        file = os.open(name, _READABLE, dir_fd=folder)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or not _is_plain(folder, name):
            return None
        raise
    with os.fdopen(file, "rb") as opened:
        return opened.read() if stat.S_ISREG(os.fstat(file).st_mode) else None


def _is_plain(folder: int, name: str) -> bool:
    return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _put(folder: int, staging: int, name: str, content: bytes | None) -> None:
    if content is None:
        os.unlink(name, dir_fd=folder)
        return
    with os.fdopen(os.open(name, _NEW, _PAPER_MODE, dir_fd=staging), "wb") as file:
        os.fchmod(file.fileno(), _PAPER_MODE)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    failpoints.point("paper aside")
    os.rename(name, name, src_dir_fd=staging, dst_dir_fd=folder)
    failpoints.point("paper in place")
