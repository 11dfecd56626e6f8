"""Files and folders opened below a descriptor: one name at a time, and never through a symbolic link.

Whoever may write in a folder can put something else under a name between a look and an open. So what lies in a folder
of others is reached from the descriptor of the folder that holds it, as openat2(2) does with RESOLVE_BENEATH and
RESOLVE_NO_SYMLINKS, which the standard library does not have.

What is opened to be read is opened with O_NOATIME where the kernel allows that (our own files, or CAP_FOWNER): the
time of a read in an export tree is evidence that the storage has read it.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_BELOW = os.O_NOFOLLOW | os.O_CLOEXEC
#: Neither waits for who writes into a FIFO, nor takes a terminal for its own.
_READABLE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | _BELOW
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BELOW
#: Opens no device and waits for no FIFO; of a symbolic link it opens the link.
_UNREAD = os.O_PATH | _BELOW

#: A folder below another one: the names that lead there.
Steps = tuple[str, ...]


def open_to_read(name: str | os.PathLike[str], folder: int | None = None) -> int:
    """A descriptor of what is called ``name``, whatever that is: only a symbolic link is refused (ELOOP).

    Without a ``folder`` it is a path, whose last part alone may be no link. Raises OSError; BlockingIOError where
    somebody has a lease on the file, which he has if he writes.
    """
    return _quietly(name, _READABLE, folder)


def reopen_to_read(number: str, proc: int) -> int:
    """A descriptor to read of what the descriptor ``number`` (``open_unread``) is of, whatever has its name by now.

    ``proc`` is the folder ``/proc/self/fd``. Raises OSError as ``open_to_read`` does.
    """
    return os.open(number, _READABLE & ~os.O_NOFOLLOW, dir_fd=proc)


def open_unread(name: str | os.PathLike[str], folder: int | None = None) -> int:
    """A descriptor to look at (O_PATH) and to open again by ``/proc/self/fd``. Raises OSError."""
    return os.open(name, _UNREAD, dir_fd=folder)


def open_new(name: str | os.PathLike[str], folder: int | None = None, *, mode: int = 0o600) -> int:
    """A descriptor of a new, empty file, to be written and read; of its mode the umask is taken away.

    Raises FileExistsError, and other OSErrors.
    """
    return os.open(name, _NEW, mode, dir_fd=folder)


@contextmanager
def open_folder(path: str | os.PathLike[str], *steps: str) -> Iterator[int]:
    """A descriptor of the folder ``path/steps…``. ``path`` is the admin's and may be a symbolic link, no step may.

    Raises OSError: ENOENT, ENOTDIR (also for a symbolic link, ``..`` and what is no single name), EACCES.
    """
    descriptor = _quietly(path, _FOLDER)
    try:
        for step in steps:
            descriptor = _down(descriptor, step)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_below(root: int, steps: Sequence[str]) -> Iterator[int]:
    """A descriptor of the folder that ``steps`` lead to from the one with the descriptor ``root``.

    Raises OSError as ``open_folder`` does.
    """
    descriptor = _quietly(".", _FOLDER, root)
    try:
        for step in steps:
            descriptor = _down(descriptor, step)
        yield descriptor
    finally:
        os.close(descriptor)


def open_file_below(root: int, path: str) -> int:
    """A descriptor to read of the file that ``path`` (``a/b/c``) leads to from the folder with the descriptor ``root``.

    Raises OSError as ``open_folder`` and ``open_to_read`` do.
    """
    *steps, name = path.split("/")
    with open_below(root, steps) as folder:
        return open_to_read(name, folder)


def open_folder_at(folder: int, name: str) -> int:
    """A descriptor of the folder ``name``. Raises OSError as ``open_folder`` does."""
    if name in {"", ".", ".."} or "/" in name:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    return _quietly(name, _FOLDER | os.O_NOFOLLOW, folder)


def _down(descriptor: int, step: str) -> int:
    """One step deeper; the descriptor of the folder above is closed where that succeeds."""
    deeper = open_folder_at(descriptor, step)
    os.close(descriptor)
    return deeper


def _quietly(name: str | os.PathLike[str], flags: int, folder: int | None = None) -> int:
    """Without a trace in the time of access, where the kernel allows it."""
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        return os.open(name, flags, dir_fd=folder)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Makes the names in a folder of ours survive a power cut. Raises OSError."""
    with open_folder(path) as folder:
        os.fsync(folder)


def sync_at(folder: int, name: str) -> None:
    """Makes a file or folder in the folder with this descriptor survive a power cut. Raises OSError."""
    descriptor = open_to_read(name, folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(folder: int, name: str, content: bytes, *, mode: int, is_exact: bool = False) -> None:
    """Writes a new file, whole and to survive a power cut: to be renamed to where others look.

    Of ``mode`` the umask is taken away, unless it ``is_exact``. Raises OSError; then nothing is left of it.
    """
    descriptor = open_new(name, folder, mode=mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if is_exact:
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise
