"""The kernel's events of one watch folder: the doorbell, never the message.

watchdog's observer above this layer loses events without a word; its lower layer, ``InotifyFD``, loses none and
tells of an overflow (docs/BENCHMARKS.md). It is no public interface, so its major version is bound and
tests/watcher/test_inotify_layer.py holds what is relied on here.
"""

import itertools
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from core.markers.foreign import Foreign, dumps_told_by
from core.markers.format import SUFFIXES
from watcher.rings import Rings
from watcher.watch_tree import Ground, join

log = logging.getLogger("tidegate.watcher")

_OF_A_FOLDER = InotifyConstants.IN_ISDIR
_OF_THE_FOLDER_ITSELF = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
#: No IN_MODIFY and no IN_OPEN: a dump that is written, or read by the puller, rings nothing. IN_ATTRIB is all that a
#: busybox tells when it touches a marker that stands.
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


class _Reader(InotifyFD):
    """The thread that reads events. ``ended`` is called when it ends unasked: nobody else would be told."""

    def __init__(self, ended: Callable[[], None]) -> None:
        super().__init__()
        self._ended = ended

    def run(self) -> None:
        try:
            super().run()
        except Exception:
            log.exception("the reader of events has failed")
        finally:
            if self.should_keep_running():
                self._ended()


@dataclass(frozen=True, slots=True)
class _Armed:
    """One watch of the kernel: on which folder, and which inode it was."""

    folder: str
    descriptor: WatchDescriptor
    callback: CallbackId
    inode: tuple[int, int]


class Doorbell:
    """One inotify instance with one watch for each folder of a watch folder.

    watchdog's thread calls ``on_event``, ``on_watch_deleted`` and ``on_queue_overflow``, which only put into
    ``rings`` what rang. ``now`` gives seconds of a clock that never jumps. Raises OSError with EMFILE when the
    host's instances are used up.
    """

    def __init__(self, ground: Ground, rings: Rings, now: Callable[[], float]) -> None:
        self._ground = ground
        self._rings = rings
        self._now = now
        self._lock = threading.Lock()
        self._by_folder: dict[str, _Armed] = {}
        self._by_descriptor: dict[WatchDescriptor, _Armed] = {}
        self._callbacks = itertools.count()
        self._reader = _Reader(rings.scan)
        self._reader.start()

    def arm(self, folder: str, descriptor: int) -> None:
        """Watches the folder behind this descriptor, which is known as ``folder``. Twice is once.

        By descriptor, so that it is the very folder that is listed next. Raises OSError: ENOSPC when the host's
        watches are used up.
        """
        status = os.fstat(descriptor)
        inode = (status.st_dev, status.st_ino)
        with self._lock:
            before = self._by_folder.get(folder)
            if before is not None and before.inode == inode:
                return
            if before is not None:
                self._drop(list(self._by_folder.values()) if not folder else [before])
            self._add(folder, descriptor, inode)

    def _add(self, folder: str, descriptor: int, inode: tuple[int, int]) -> None:
        # Each time an id of its own: watchdog warns, at length, of an id that is used again.
        callback = CallbackId(next(self._callbacks))
        watched = self._reader.add_callback(f"/proc/self/fd/{descriptor}".encode(), _MASK, self, callback)
        if watched < 0:  # watchdog says nothing of EACCES
            self._reader.remove_callbacks([(watched, callback)])
            raise PermissionError(f"{folder}: may not be watched")
        renamed = self._by_descriptor.get(watched)
        armed = _Armed(folder, watched, callback, inode)
        self._by_folder[folder] = self._by_descriptor[watched] = armed
        if renamed is not None:  # the same folder under the name that it had before
            self._reader.remove_callbacks([(watched, renamed.callback)])
            if self._by_folder.get(renamed.folder) is renamed:
                del self._by_folder[renamed.folder]

    def hears_root(self) -> bool:
        """True while what is armed as the watch folder is what stands at its path."""
        with self._lock:
            armed = self._by_folder.get("")
        try:
            status = os.stat(self._ground.watch.path)
        except OSError:
            return False
        return armed is not None and armed.inode == (status.st_dev, status.st_ino)

    def is_alive(self) -> bool:
        """False when its thread has ended."""
        return self._reader.is_alive()

    def close(self) -> None:
        """Ends the thread. It rings no more."""
        with self._lock:
            self._by_folder.clear()
            self._by_descriptor.clear()
        self._reader.stop()
        self._reader.join()

    # --- called by watchdog's thread

    def on_event(self, event: InotifyEvent) -> None:
        """Puts the name into the rings when it is a marker's or a folder's."""
        if event.mask & _OF_THE_FOLDER_ITSELF:
            self._on_itself(event.wd)
        elif event.mask & _OF_A_FOLDER:
            if not event.mask & InotifyConstants.IN_ATTRIB:
                self._on_folder(event)
        elif event.name.endswith(_SUFFIXES):
            self._on_marker(event)
        elif self._ground.watch.signals is not None:
            self._on_signal(event, self._ground.watch.signals)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The folder was deleted or unmounted: a scan tells what stands in its place."""
        with self._lock:
            armed = self._by_descriptor.pop(wd, None)
            if armed is None:
                return
            if self._by_folder.get(armed.folder) is armed:
                del self._by_folder[armed.folder]
        self._ring_for(armed.folder)

    def on_queue_overflow(self) -> None:
        """Events were lost: a scan finds what they would have told."""
        self._rings.overflow()

    def _on_itself(self, wd: WatchDescriptor) -> None:
        folder = self._folder_of(wd)
        if folder is not None:
            self._ring_for(folder)

    def _on_folder(self, event: InotifyEvent) -> None:
        folder = self._folder_of(event.wd)
        if folder is None:
            return
        path = join(folder, os.fsdecode(event.name))
        if event.mask & InotifyConstants.IN_MOVED_FROM:
            self._disarm(path)
        if self._ground.covers(path):
            self._rings.folder(path)
            if self._ground.watch.signals is not None:  # a dump that has its signal already is not looked into
                self._rings.name(path)

    def _on_marker(self, event: InotifyEvent) -> None:
        folder = self._folder_of(event.wd)
        dump = os.fsdecode(event.name).rpartition(".")[0]
        if folder is None or not dump or dump.startswith("."):
            return
        if event.mask & InotifyConstants.IN_CREATE:
            self._rings.unclosed(join(folder, dump), self._now())
        elif event.mask & InotifyConstants.IN_ATTRIB:
            self._rings.touched(join(folder, dump))
        else:
            self._rings.name(join(folder, dump))

    def _on_signal(self, event: InotifyEvent, kind: Foreign) -> None:
        folder = self._folder_of(event.wd)
        if folder is not None:
            for dump in dumps_told_by(folder, os.fsdecode(event.name), kind):
                self._rings.name(dump)

    def _folder_of(self, wd: WatchDescriptor) -> str | None:
        with self._lock:
            armed = self._by_descriptor.get(wd)
        return None if armed is None else armed.folder

    def _ring_for(self, folder: str) -> None:
        if folder:
            self._rings.folder(folder)
        else:
            self._rings.scan()

    def _disarm(self, folder: str) -> None:
        """Its watches would go on ringing under a name that leads elsewhere."""
        with self._lock:
            below = f"{folder}/"
            self._drop([one for path, one in self._by_folder.items() if path == folder or path.startswith(below)])

    def _drop(self, some: list[_Armed]) -> None:
        for armed in some:
            self._by_folder.pop(armed.folder, None)
            self._by_descriptor.pop(armed.descriptor, None)
        self._reader.remove_callbacks([(armed.descriptor, armed.callback) for armed in some])
