"""Which folders of a watch folder are searched for dumps.

Left out are export trees, other watch folders, names that begin with a dot, recycle bins and other folders that a
NAS or a filesystem makes, folders that a program is still filling, dumps that are folders, and whatever only a symbolic
link leads to.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.config.settings import Config, WatchFolder
from core.fs.fingerprint import is_unfinished
from core.fs.io_timeout import ask
from core.fs.openat import open_folder, open_folder_at
from core.markers.foreign import is_looked_into, look_at_all
from core.state.mount_identity import filesystem_id_of

#: Another watch folder may be on a disk that does not answer: then its path is taken as it is written.
_IO_TIMEOUT_SECONDS = 2.0

#: Errors of opening a path where there is no folder to be searched.
NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


#: What is in these was deleted, or is no dump: Synology, QNAP, Windows, desktops, fsck.
_NO_DUMPS = frozenset(
    {"#recycle", "@recycle", "@recently-snapshot", "@eadir", "@tmp", "$recycle.bin", "recycler", "lost+found"}
    | {"system volume information", "network trash folder", "temporary items"}
)


def is_searched(name: str) -> bool:
    """Whether dumps may be in a folder of this name."""
    return name[:1] != "." and name.lower() not in _NO_DUMPS and not is_unfinished(name)


class WatchTree:
    """One watch folder. Folders in it are named by their path from its root, the root itself by ``""``."""

    def __init__(self, config: Config, watch: WatchFolder) -> None:
        self.watch = watch
        self._others = [one.export for one in config.watches] + [one.path for one in config.watches if one is not watch]
        self._excluded: frozenset[str] | None = None

    def refresh(self) -> None:
        """Resolves anew which other folders lie in this one: symbolic links on the way to them may have changed."""
        self._excluded = frozenset(_inside(self.watch.path, self._others))

    def covers(self, folder: str) -> bool:
        """False when the path of this folder alone excludes it from the search."""
        if not folder:
            return True
        parts = folder.split("/")
        if not self.watch.recursive or not all(map(is_searched, parts)):
            return False
        return self._excluded_folders().isdisjoint("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))

    def _excluded_folders(self) -> frozenset[str]:
        """Resolved when first needed, by the thread that may wait for this folder's disk."""
        if self._excluded is None:
            self.refresh()
        return self._excluded or frozenset()

    @contextmanager
    def open_root(self) -> Iterator[int]:
        """A descriptor of the watch folder. Raises OSError."""
        with open_folder(self.watch.path) as root:
            yield root

    @contextmanager
    def open(self, root: int, folder: str) -> Iterator[int]:
        """A descriptor of a folder below the descriptor ``root``.

        Raises OSError; with an errno of NOWHERE when there is no such folder, or it is not searched.
        """
        if not self.covers(folder):
            raise NotADirectoryError(errno.ENOTDIR, "it is not searched", folder)
        descriptor = os.dup(root)
        try:
            for part in folder.split("/") if folder else ():
                if not is_looked_into(part, self.watch.signals) or look_at_all(descriptor, part, self.watch.signals):
                    raise NotADirectoryError(errno.ENOTDIR, "it is inside a dump", folder)
                deeper = open_folder_at(descriptor, part)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)

    def is_root(self, root: int, filesystem_id: str | None = None) -> bool:
        """True while the watch folder's path leads to this descriptor: not unmounted, not moved away.

        With ``filesystem_id`` it must be on that filesystem as well.
        """
        if filesystem_id not in (None, filesystem_id_of(root)):
            return False
        opened = os.fstat(root)
        try:
            present = os.stat(self.watch.path)
        except OSError:
            return False
        return (opened.st_dev, opened.st_ino) == (present.st_dev, present.st_ino)


def _inside(root: Path, paths: list[Path]) -> Iterator[str]:
    real_root = os.path.realpath(root)
    for path in paths:
        real = _real(path)
        if real.startswith(real_root + "/"):
            yield real[len(real_root) + 1 :]


def _real(path: Path) -> str:
    try:
        return ask(str(path), _IO_TIMEOUT_SECONDS, lambda: os.path.realpath(path))
    except OSError:
        return os.path.normpath(path)


def join(folder: str, name: str) -> str:
    """The path of ``name`` in ``folder``."""
    return f"{folder}/{name}" if folder else name
