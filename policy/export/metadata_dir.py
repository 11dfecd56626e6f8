"""Tidegate's own files in the export tree, in a folder of their own there: `.tidegate`.

Others may be able to write in the tree: the folder is opened by descriptor and never through a symbolic link, it is
used only if nobody else can write in it, and a file is written in staging and appears whole, by one rename.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from core import failpoints
from core.errors import FaultError
from core.fs.openat import open_folder_at, open_to_read, write_new

FOLDER = ".tidegate"
#: The puller comes as a user of its own.
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


def write(tree: int, staging: int, contents: Mapping[str, bytes | None]) -> bool:
    """Writes files by their names, durably and in this order; None removes one. False when all stood so already.

    Descriptors of the tree and of an empty staging folder. Raises OSError, FaultError for a folder of others.
    """
    _make(tree)
    with _opened(tree) as folder:
        changed = [name for name, content in contents.items() if _read(folder, name) != content]
        for name in changed:
            _write(folder, staging, name, contents[name])
        if changed:
            os.fsync(folder)
    return bool(changed)


def exists(tree: int) -> bool:
    """Whether anything has the folder's name."""
    try:
        os.stat(FOLDER, dir_fd=tree, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def read(tree: int, name: str) -> bytes | None:
    """What one of the files holds, None where there is none. Raises OSError, FaultError for a folder of others."""
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
        folder = open_folder_at(tree, FOLDER)
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
        file = open_to_read(name, folder)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or not _is_plain(folder, name):
            return None
        raise
    with os.fdopen(file, "rb") as opened:
        return opened.read() if stat.S_ISREG(os.fstat(file).st_mode) else None


def _is_plain(folder: int, name: str) -> bool:
    return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _write(folder: int, staging: int, name: str, content: bytes | None) -> None:
    if content is None:
        os.unlink(name, dir_fd=folder)
        return
    write_new(staging, name, content, mode=_FILE_MODE, is_exact=True)
    failpoints.point("metadata aside")
    os.rename(name, name, src_dir_fd=staging, dst_dir_fd=folder)
    failpoints.point("metadata in place")
