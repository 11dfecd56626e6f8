"""The kernel's events of one export tree: what comes and goes in it, and who writes into what stands there.

A hard link is the dump's own file, so that a watch on it rings whoever writes and under whatever name. It is asked for
the first write only, and taken off by that: a dump that is written anew would ring a thousand times a second.
"""

import errno
import heapq
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

#: Of a dump of more files so many are watched, the largest: they are what a rewriting takes longest for.
FILES_OF_A_LINK = 1000
#: Files of all links: so much of what the host allows is left to the watch folders and to others.
_SHARE = 4
_ALLOWED = Path("/proc/sys/fs/inotify/max_user_watches")
_USUAL_ALLOWED = 8192

_OF_THE_TREE = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ONLYDIR
)
#: IN_CLOSE_WRITE for who writes through a mapping, of which IN_MODIFY tells nothing.
_OF_A_FILE = Mask(InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_ONESHOT)
_UNREAD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_Watch = tuple[WatchDescriptor, CallbackId]


@dataclass(frozen=True, slots=True)
class _Named:
    """Hears the files that stand under one name. All of it is called by watchdog's thread."""

    name: str
    ring: Callable[[str], None]
    overflow: Callable[[], None]

    def on_event(self, event: InotifyEvent) -> None:
        """For the tree itself ``name`` is empty, and the event says which entry it is about."""
        name = self.name or os.fsdecode(event.name)
        if name and not name.startswith("."):  # no link has such a name; a puller's unfinished files have
            self.ring(name)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """It has rung, or the file is gone."""
        if self.name:
            self.ring(self.name)

    def on_queue_overflow(self) -> None:
        self.overflow()


class TreeBell:
    """One inotify instance. ``ring`` is called with each name under which something has happened.

    Raises OSError when the tree is not there or the host's instances are used up. Not safe for threads.
    """

    def __init__(self, tree: Path, ring: Callable[[str], None], overflow: Callable[[], None]) -> None:
        self._tree = tree
        self._ring = ring
        self._overflow = overflow
        self._room = _room()
        self._ids = itertools.count()
        self._armed: dict[str, list[_Watch]] = {}
        descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._inode = _inode(os.fstat(descriptor))
            self._kernel = InotifyFD()
            self._kernel.start()
            self._listen_to_tree(descriptor)
        finally:
            os.close(descriptor)

    def hears_tree(self) -> bool:
        """True while it works, and what it hears is what stands at the tree's path."""
        try:
            return self._kernel.is_alive() and self._inode == _inode(os.lstat(self._tree))
        except OSError:
            return False

    def names(self) -> list[str]:
        """All that stands in the tree, the latest last. Raises OSError."""
        with os.scandir(self._tree) as entries:
            found = [(entry.stat(follow_symlinks=False).st_ctime_ns, entry.name) for entry in entries]
        return [name for _, name in sorted(found) if not name.startswith(".")]

    def arm(self, name: str) -> bool:
        """Watches what stands under this name, or nothing more where nothing does. Raises OSError.

        Where there is no room for more, those are left that have been watched for longest: the storage had most time
        for them. False: some of it may not be watched.
        """
        self.forget(name)
        files = self._files(name)
        self._make_room(len(files))
        heard = _Named(name, self._ring, self._overflow)
        watches = self._armed.setdefault(name, []) if files else []
        for file in files:
            if (watch := self._arm_file(file, heard)) is not None:
                watches.append(watch)
        return len(watches) == len(files)

    def forget(self, name: str) -> None:
        """Watches this name no more."""
        watches = self._armed.pop(name, [])
        self._room += len(watches)
        self._kernel.remove_callbacks(watches)

    def close(self) -> None:
        """Ends its thread. It rings no more."""
        self._armed.clear()
        self._kernel.stop()
        self._kernel.join()

    def _listen_to_tree(self, descriptor: int) -> None:
        try:
            heard = self._add(descriptor, _OF_THE_TREE, _Named("", self._ring, self._overflow))
        except OSError:
            self.close()
            raise
        if heard is None:
            self.close()
            raise PermissionError(errno.EACCES, "it may not be watched")

    def _make_room(self, wanted: int) -> None:
        while self._armed and self._room < wanted:
            self.forget(next(iter(self._armed)))

    def _arm_file(self, path: Path, heard: _Named) -> _Watch | None:
        try:
            descriptor = os.open(path, _UNREAD)
        except FileNotFoundError:
            return None
        try:
            watch = self._add(descriptor, _OF_A_FILE, heard)
        finally:
            os.close(descriptor)
        self._room -= watch is not None
        return watch

    def _add(self, descriptor: int, mask: Mask, heard: _Named) -> _Watch | None:
        """None where it may not be read, of which watchdog says nothing."""
        number = CallbackId(next(self._ids))
        watched = self._kernel.add_callback(f"/proc/self/fd/{descriptor}".encode(), mask, heard, number)
        if watched >= 0:
            return watched, number
        self._kernel.remove_callbacks([(watched, number)])
        return None

    def _files(self, name: str) -> list[Path]:
        path = self._tree / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            return []
        if not stat.S_ISDIR(status.st_mode):
            return [path] if stat.S_ISREG(status.st_mode) else []
        return [Path(file) for _, file in heapq.nlargest(FILES_OF_A_LINK, _files_below(str(path)))]


def _files_below(folder: str) -> Iterator[tuple[int, str]]:
    """Size and path. What goes meanwhile is left out: a storage may be removing it file by file."""
    folders = [folder]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False).st_size, entry.path


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _room() -> int:
    try:
        return int(_ALLOWED.read_text()) // _SHARE
    except (OSError, ValueError):
        return _USUAL_ALLOWED // _SHARE
