"""Which folders of a watch folder are looked into.

Not export trees, not other watch folders, not what begins with a dot, not what is itself a dump, and nothing that
is reached through a symbolic link.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.config.settings import Config, WatchFolder
from core.fs.fingerprint import open_folder
from core.fs.io_timeout import ask
from core.markers.foreign import is_looked_into, look_at_all
from core.state.mount_identity import filesystem_id_of

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: Another folder may stand on a disk that does not answer: then its path is taken as it is written.
_IO_TIMEOUT_SECONDS = 2.0

#: A path that leads nowhere, or to something else than a folder that is looked into.
NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


class Ground:
    """One watch folder. Folders in it are named by their path from its root, the root itself by ``""``."""

    def __init__(self, config: Config, watch: WatchFolder) -> None:
        self.watch = watch
        self._others = [one.export for one in config.watches] + [one.path for one in config.watches if one is not watch]
        self._skipped: frozenset[str] | None = None

    def look_around(self) -> None:
        """Finds out anew which other folders lie in this one: symbolic links on the way to them may have changed."""
        self._skipped = frozenset(_inside(self.watch.path, self._others))

    def covers(self, folder: str) -> bool:
        """True unless the name of this folder says that it is not looked into."""
        if not folder:
            return True
        parts = folder.split("/")
        paths = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        is_plain = self.watch.recursive and not any(part.startswith(".") for part in parts)
        return is_plain and self._others_inside().isdisjoint(paths)

    def _others_inside(self) -> frozenset[str]:
        """Looked for when it is first asked for, by the thread that may wait for this folder's disk."""
        if self._skipped is None:
            self.look_around()
        return self._skipped or frozenset()

    @contextmanager
    def open_root(self) -> Iterator[int]:
        """A descriptor of the watch folder. Raises OSError."""
        with open_folder(self.watch.path) as root:
            yield root

    @contextmanager
    def open(self, root: int, folder: str) -> Iterator[int]:
        """A descriptor of a folder below the descriptor ``root``.

        Raises OSError; with an errno of NOWHERE when there is no such folder to look into.
        """
        if not self.covers(folder):
            raise NotADirectoryError(errno.ENOTDIR, "it is not looked into", folder)
        descriptor = os.dup(root)
        try:
            for part in folder.split("/") if folder else ():
                if not is_looked_into(part, self.watch.signals) or look_at_all(descriptor, part, self.watch.signals):
                    raise NotADirectoryError(errno.ENOTDIR, "it lies inside a dump", folder)
                deeper = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)

    def is_root(self, root: int, filesystem_id: str | None = None) -> bool:
        """True while this descriptor is what stands at the watch folder's path: not unmounted, not moved away.

        With ``footing`` it must be that folder as well.
        """
        if filesystem_id not in (None, filesystem_id_of(root)):
            return False
        held = os.fstat(root)
        try:
            standing = os.stat(self.watch.path)
        except OSError:
            return False
        return (held.st_dev, held.st_ino) == (standing.st_dev, standing.st_ino)


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
