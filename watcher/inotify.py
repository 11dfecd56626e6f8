"""Kernel events (inotify): that something has happened to a marker or a folder, never what.

watchdog's observers lose events silently; the layer below them, ``InotifyFD``, loses none and reports an overflow
(docs/BENCHMARKS.md). It is not part of watchdog's public interface, so its major version is bound, and
tests/watcher/test_inotify_layer.py checks what is relied on here.
"""

import errno
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from core import failpoints
from core.enums import WatchMode
from core.markers.foreign import Foreign, dumps_told_by
from core.markers.format import SUFFIXES
from core.preflight.folders import advice
from watcher.event_queue import EventQueue
from watcher.watch_tree import WatchTree, join

log = logging.getLogger("tidegate.watcher")


class InotifyWatch(NamedTuple):
    """One watch of the kernel, and the callback that watchdog has for it."""

    descriptor: WatchDescriptor
    callback: CallbackId


class Inotify:
    """One inotify instance and the thread that reads it.

    ``on_failure`` is called by that thread when an error ends it. Raises OSError with EMFILE when the host's instances
    are used up.
    """

    def __init__(self, on_failure: Callable[[], None] = lambda: None) -> None:
        self._ids = itertools.count()
        self._reader = _Reader(on_failure)
        self._reader.start()

    def add(self, descriptor: int, mask: Mask, receiver: WatchCallback) -> InotifyWatch:
        """Has the events of the file or folder behind this descriptor given to ``receiver``, by the reader's thread.

        Raises OSError: ENOSPC when the host's watches are used up, EACCES for what may not be read.
        """
        # An id of its own each time: watchdog warns, at length, of one that is used again.
        callback = CallbackId(next(self._ids))
        watched = self._reader.add_callback(f"/proc/self/fd/{descriptor}".encode(), mask, receiver, callback)
        if watched < 0:  # watchdog raises nothing for EACCES
            self._reader.remove_callbacks([(watched, callback)])
            raise PermissionError(errno.EACCES, "it may not be watched")
        return InotifyWatch(watched, callback)

    def remove(self, watches: Iterable[InotifyWatch]) -> None:
        """Ends these watches. Those that have ended already are left out."""
        self._reader.remove_callbacks(list(watches))

    def is_alive(self) -> bool:
        """False once its thread has ended."""
        return self._reader.is_alive()

    def close(self) -> None:
        """Ends the thread; no event is given to anybody afterwards."""
        self._reader.stop()
        self._reader.join()


class _Reader(InotifyFD):
    def __init__(self, on_failure: Callable[[], None]) -> None:
        super().__init__()
        self._on_failure = on_failure

    def run(self) -> None:
        try:
            super().run()
        except Exception:
            log.exception("the thread that reads kernel events has failed")
        finally:
            if self.should_keep_running():
                self._on_failure()


_OF_A_FOLDER = InotifyConstants.IN_ISDIR
_OF_THE_WATCHED_FOLDER = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
#: Neither IN_MODIFY nor IN_OPEN: a dump that is written, or read by the puller, gives no event. IN_ATTRIB is the only
#: event when busybox touches a marker that is there.
_MASK = Mask(
    InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_SUFFIXES = tuple(map(os.fsencode, SUFFIXES))

#: An instance that fails sooner than this is not replaced at once: each replacement is a scan of everything.
_SHORTEST_LIFE_SECONDS = 10.0

_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches is used up",
    errno.EMFILE: "fs.inotify.max_user_instances, or the limit of open files, is used up",
}


@dataclass(frozen=True, slots=True)
class _WatchedFolder:
    """``inode`` is (device, inode) of the folder when it was known as ``path``."""

    path: str
    watch: InotifyWatch
    inode: tuple[int, int]


class FolderEvents:
    """The events of a watch folder and all folders in it; ``queue`` gets the dumps and folders that have news.

    ``prepare`` comes before each scan of everything, and ``arm`` with each folder of any scan. Methods that begin with
    ``on_`` are called by watchdog's thread. ``now`` gives seconds of a clock that never jumps.
    """

    def __init__(self, tree: WatchTree, queue: EventQueue, now: Callable[[], float], degraded_seconds: float) -> None:
        self._tree = tree
        self._queue = queue
        self._now = now
        self._degraded_seconds = degraded_seconds
        self._lock = threading.Lock()
        self._by_path: dict[str, _WatchedFolder] = {}
        self._by_descriptor: dict[WatchDescriptor, _WatchedFolder] = {}
        self._inotify: Inotify | None = None
        self._opened_at = float("-inf")
        self._fault: str | None = None
        self._logged_fault: str | None = None
        self._logged_advice: str | None = None

    # --- by the thread that scans

    def prepare(self) -> None:
        """Opens an inotify instance where one is wanted and none works."""
        self._fault = None
        if self._tree.watch.mode is WatchMode.POLL or (self._inotify is not None and self._inotify.is_alive()):
            return
        has_failed_soon = self._inotify is not None and self._now() - self._opened_at < _SHORTEST_LIFE_SECONDS
        self.close()
        if has_failed_soon:
            self._fault = "its events fail again and again"
            return
        self._opened_at = self._now()
        try:
            self._inotify = Inotify(self._queue.scan)
        except OSError as error:
            self._fault = _fault_of(error)

    def arm(self, folder: str, descriptor: int) -> None:
        """Has events of the folder behind this descriptor reported from now on, under the path ``folder``.

        To be called before the folder is listed. Where it cannot be watched it is listed by scans alone.
        """
        if self._inotify is not None:
            try:
                self._arm(self._inotify, folder, descriptor)
            except OSError as error:
                self._fault = _fault_of(error)
        failpoints.point("armed")

    def are_complete(self) -> bool | None:
        """True when every folder that was scanned is watched. None: only scans are wanted."""
        if self._tree.watch.mode is WatchMode.POLL:
            return None
        return self._inotify is not None and self._fault is None

    def watches_root(self) -> bool:
        """True while the watch folder's path leads to the folder that is watched."""
        with self._lock:
            root = self._by_path.get("")
        try:
            status = os.stat(self._tree.watch.path)
        except OSError:
            return False
        return root is not None and root.inode == (status.st_dev, status.st_ino)

    def log_changes(self) -> None:
        """Logs whether events are complete when that has changed, and on which filesystems they cannot be."""
        sentence = advice(self._tree.watch)
        if sentence is not None and sentence != self._logged_advice:
            log.warning(sentence)
        self._logged_advice = sentence
        if self._fault == self._logged_fault:
            return
        self._logged_fault = self._fault
        if self._fault is None:
            log.info("%s: all its folders are watched by kernel events again", self._tree.watch.name)
        else:
            sentence = "%s: %s; markers without an event are found by a scan every %.0f s"
            log.warning(sentence, self._tree.watch.name, self._fault, self._degraded_seconds)

    def close(self) -> None:
        """Ends all watches: of a folder that is somewhere else by now, or because nobody asks any more."""
        with self._lock:
            self._by_path.clear()
            self._by_descriptor.clear()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _arm(self, inotify: Inotify, folder: str, descriptor: int) -> None:
        status = os.fstat(descriptor)
        inode = (status.st_dev, status.st_ino)
        with self._lock:
            before = self._by_path.get(folder)
            if before is not None and before.inode == inode:
                return
            if before is not None:
                self._drop(inotify, [before] if folder else list(self._by_path.values()))
            armed = _WatchedFolder(folder, inotify.add(descriptor, _MASK, self), inode)
            renamed = self._by_descriptor.get(armed.watch.descriptor)
            self._by_path[folder] = self._by_descriptor[armed.watch.descriptor] = armed
            if renamed is not None:  # the same folder under the path that it had before
                inotify.remove([renamed.watch])
                if self._by_path.get(renamed.path) is renamed:
                    del self._by_path[renamed.path]

    def _drop(self, inotify: Inotify, some: list[_WatchedFolder]) -> None:
        for folder in some:
            self._by_path.pop(folder.path, None)
            self._by_descriptor.pop(folder.watch.descriptor, None)
        inotify.remove(folder.watch for folder in some)

    # --- by watchdog's thread

    def on_event(self, event: InotifyEvent) -> None:
        """Puts into the queue what a marker or a folder is about; drops everything else."""
        if event.mask & _OF_THE_WATCHED_FOLDER:
            self._on_watched_folder(self._path_of(event.wd))
        elif event.mask & _OF_A_FOLDER:
            if not event.mask & InotifyConstants.IN_ATTRIB:
                self._on_folder(event)
        elif event.name.endswith(_SUFFIXES):
            self._on_marker(event)
        elif self._tree.watch.signals is not None:
            self._on_signal(event, self._tree.watch.signals)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """A watched folder was deleted or unmounted: a scan finds what is there instead."""
        with self._lock:
            folder = self._by_descriptor.pop(wd, None)
            if folder is not None and self._by_path.get(folder.path) is folder:
                del self._by_path[folder.path]
        self._on_watched_folder(None if folder is None else folder.path)

    def on_queue_overflow(self) -> None:
        """The kernel has dropped events: a scan finds what they would have reported."""
        self._queue.overflow()

    def _on_watched_folder(self, path: str | None) -> None:
        if path:
            self._queue.folder(path)
        elif path is not None:
            self._queue.scan()

    def _on_folder(self, event: InotifyEvent) -> None:
        above = self._path_of(event.wd)
        if above is None:
            return
        path = join(above, os.fsdecode(event.name))
        if event.mask & InotifyConstants.IN_MOVED_FROM:
            self._disarm(path)
        if self._tree.covers(path):
            self._queue.folder(path)
            if self._tree.watch.signals is not None:  # a dump that has its signal already is not searched
                self._queue.dump(path)

    def _on_marker(self, event: InotifyEvent) -> None:
        folder = self._path_of(event.wd)
        dump = os.fsdecode(event.name).rpartition(".")[0]
        if folder is None or not dump or dump.startswith("."):
            return
        if event.mask & InotifyConstants.IN_CREATE:
            self._queue.created(join(folder, dump), self._now())
        elif event.mask & InotifyConstants.IN_ATTRIB:
            self._queue.touched(join(folder, dump))
        else:
            self._queue.dump(join(folder, dump))

    def _on_signal(self, event: InotifyEvent, kind: Foreign) -> None:
        folder = self._path_of(event.wd)
        if folder is not None:
            for dump in dumps_told_by(folder, os.fsdecode(event.name), kind):
                self._queue.dump(dump)

    def _path_of(self, wd: WatchDescriptor) -> str | None:
        with self._lock:
            folder = self._by_descriptor.get(wd)
        return None if folder is None else folder.path

    def _disarm(self, path: str) -> None:
        """Ends the watches of a folder that was moved: they would go on under a path that leads elsewhere."""
        below = f"{path}/"
        with self._lock:
            some = [one for known, one in self._by_path.items() if known == path or known.startswith(below)]
            if self._inotify is not None:
                self._drop(self._inotify, some)


def _fault_of(error: OSError) -> str:
    return _LIMITS.get(error.errno or 0, error.strerror or str(error))
