"""Going through folders by descriptor: never through a symbolic link, and few descriptors however deep they nest."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from core.enums import Reason
from core.fs.fingerprint import DumpRejected

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 64

#: A folder below another one: the names that lead there.
Steps = tuple[str, ...]


@contextmanager
def within(root: int, steps: Sequence[str]) -> Iterator[int]:
    """A descriptor of the folder that ``steps`` lead to from the one with the descriptor ``root``.

    Raises OSError: ENOENT, ENOTDIR (also for a symbolic link), EACCES.
    """
    descriptor = os.open(".", FOLDER_FLAGS, dir_fd=root)
    try:
        for step in steps:
            deeper = os.open(step, FOLDER_FLAGS, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def each_folder(root: int, steps: Steps = ()) -> Iterator[tuple[int, Steps, list[os.DirEntry[str]]]]:
    """Each folder from ``steps`` down, parents first: its descriptor, the steps to it, and what it holds.

    Each is opened anew from ``root``: a nest of any depth holds two descriptors open. Raises OSError, and
    Hindered(``unsafe``) for a nest deeper than 64.
    """
    waiting = [steps]
    while waiting:
        steps = waiting.pop()
        if len(steps) > _MAX_DEPTH:
            raise DumpRejected(Reason.UNSAFE, f"its folders are nested more than {_MAX_DEPTH} deep")
        with within(root, steps) as folder:
            with os.scandir(folder) as entries:
                found = list(entries)
            yield folder, steps, found
            waiting += [(*steps, entry.name) for entry in found if entry.is_dir(follow_symlinks=False)]


def discard(folder: int, name: str) -> bool:
    """Removes ``name``, a file or a whole folder, from the folder with this descriptor. False when it is not there.

    Follows no symbolic link, so that nobody who still holds the folder open can lead it elsewhere.
    """
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    except IsADirectoryError:
        _discard_folder(folder, name)
    return True


def remove_empty(folder: int, name: str) -> None:
    """Removes a folder that holds nothing but such folders. Raises OSError (ENOTEMPTY) where it holds more."""
    found = [steps for _, steps, _ in each_folder(folder, (name,))]
    _remove_folders(folder, found)


def _discard_folder(folder: int, name: str) -> None:
    emptied = []
    for current, steps, entries in each_folder(folder, (name,)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=current)
        emptied.append(steps)
    _remove_folders(folder, emptied)


def _remove_folders(folder: int, emptied: Sequence[Steps]) -> None:
    for *parents, last in reversed(emptied):  # parents came first, so now the deepest
        with within(folder, parents) as parent:
            os.rmdir(last, dir_fd=parent)
