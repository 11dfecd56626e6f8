"""Folders with all that is in them, by descriptor: gone through and removed, whoever else may write in them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from core.fs.openat import Steps, open_below


def each_folder(root: int, steps: Steps = ()) -> Iterator[tuple[int, Steps, list[os.DirEntry[str]]]]:
    """Each folder from ``steps`` down, parents first: its descriptor, the steps to it, and what it holds.

    Each is opened anew from the descriptor ``root``: a nest of any depth holds two descriptors open. Raises OSError.
    """
    waiting = [steps]
    while waiting:
        steps = waiting.pop()
        with open_below(root, steps) as folder:
            with os.scandir(folder) as entries:
                found = list(entries)
            yield folder, steps, found
            waiting += [(*steps, entry.name) for entry in found if entry.is_dir(follow_symlinks=False)]


def remove(folder: int, name: str) -> bool:
    """Removes ``name``, a file or a whole folder, from the folder with this descriptor. False when it is not there.

    Follows no symbolic link, so that nobody who still holds the folder open can lead it elsewhere. Where somebody else
    removes it at the same time, something may be left. Raises OSError.
    """
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    except IsADirectoryError:
        with suppress(FileNotFoundError):
            _remove_folder(folder, name)
    return True


def remove_empty(folder: int, name: str) -> None:
    """Removes a folder that holds nothing but such folders. Raises OSError (ENOTEMPTY) where it holds more."""
    _remove_emptied(folder, [steps for _, steps, _ in each_folder(folder, (name,))])


def _remove_folder(folder: int, name: str) -> None:
    emptied = []
    for current, steps, entries in each_folder(folder, (name,)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=current)
        emptied.append(steps)
    _remove_emptied(folder, emptied)


def _remove_emptied(folder: int, emptied: Sequence[Steps]) -> None:
    for *parents, last in reversed(emptied):  # parents came first, so now the deepest
        with open_below(folder, parents) as parent:
            os.rmdir(last, dir_fd=parent)
