"""Guards the export tree of one watch folder: a dump that is written to must not stay released.

The guard notices that something was written; whoever revokes links checks whether it is so. What gives no event
(another machine's writes, files that may not be watched) is found by a check of all links, as often as a scan.
"""

import heapq
import logging
import os
import stat
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, Mask, WatchDescriptor

from core.clock import Clock
from core.config.settings import WatchFolder
from core.enums import WatchMode
from core.errors import BusyError, FaultError
from core.fs.openat import open_unread
from watcher.inotify import Inotify, InotifyWatch

log = logging.getLogger("tidegate.watcher")

#: Checks these names in the export tree of this watch folder, None for all, and revokes the links whose dumps were
#: written to; and, under any name, those whose dumps are being made again. Raises BusyError and FaultError.
Revoke = Callable[[str, Collection[str] | None], None]

#: So soon another tree at the path of the one that is watched is noticed, and one where there was none.
_TREE_SECONDS = 5.0
_NO_TREE_SECONDS = 1.0
#: Between two checks, however many events come.
_PAUSE_SECONDS = 0.2
#: After a check that could not be made.
_RETRY_SECONDS = 1.0

#: Of a dump of more files so many are watched, the largest: they take longest to be rewritten.
FILES_OF_A_LINK = 1000
#: The files of all links may take one of so many parts of the host's inotify watches.
_SHARE = 4
_MAX_USER_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_USUAL_MAX_USER_WATCHES = 8192

_OF_THE_TREE = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ONLYDIR
)
#: The first write alone (IN_ONESHOT): a dump that is rewritten would give a thousand events a second. IN_CLOSE_WRITE
#: for those who write through a mapping, which IN_MODIFY does not report.
_OF_A_FILE = Mask(InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_ONESHOT)


class Guard(threading.Thread):
    """One thread for one export tree: its disk may hang, and a check may have to wait for a pass.

    ``notify`` and ``end`` may be called by any thread. Nothing is lost with the thread: it begins with a check of all.
    """

    def __init__(self, watch: WatchFolder, clock: Clock, revoke: Revoke) -> None:
        super().__init__(name=f"guard {watch.name}", daemon=True)
        self.watch = watch.name
        self._watch = watch
        self._clock = clock
        self._revoke = revoke
        self._condition = threading.Condition()
        self._ending = threading.Event()
        self._names: set[str] | None = None
        self._events: ExportTreeEvents | None = None
        self._check_due = self._tree_due = float("-inf")
        self._logged_fault = ""

    def notify(self, *names: str) -> None:
        """Something was done to these names in the tree; without a name: to the markers of the watch folder."""
        with self._condition:
            self._names = (self._names or set()) | set(names)
            self._condition.notify()

    def end(self) -> None:
        """Makes the thread end."""
        self._ending.set()
        with self._condition:
            self._condition.notify()

    def run(self) -> None:
        """The thread's own."""
        try:
            while not self._ending.is_set():
                self._work()
                self._ending.wait(_PAUSE_SECONDS)
                self._wait()
        except Exception:
            log.exception("%s: the guard has failed; rewritten dumps are found by the passes alone", self.watch)
        finally:
            self._close_events()

    def _work(self) -> None:
        if self._uptime() >= self._tree_due:
            self._watch_tree()
            self._tree_due = self._uptime() + (_NO_TREE_SECONDS if self._events is None else _TREE_SECONDS)
        notified = self._take()
        if notified is None and self._uptime() < self._check_due:
            return
        names = None if self._uptime() >= self._check_due else notified
        try:
            self._arm(names)
            self._revoke(self.watch, names)
        except (BusyError, FaultError, OSError) as error:
            log.warning("%s: the links cannot be checked now, next try in a moment: %s", self.watch, error)
            self.notify(*(notified or ()))
            self._ending.wait(_RETRY_SECONDS)
        else:
            if names is None:
                self._check_due = self._uptime() + self._watch.scan_interval

    # --- events

    def _watch_tree(self) -> None:
        """Watches the tree that is at its path now; what was done before is found by a check of all links."""
        if self._watch.mode is WatchMode.POLL or (self._events is not None and self._events.are_of_the_tree()):
            return
        self._close_events()
        try:
            self._events = ExportTreeEvents(self._watch.export, self.notify, self._request_check)
        except FileNotFoundError:
            return
        except OSError as error:
            self._log_fault(error.strerror or str(error))
            return
        self._request_check()

    def _arm(self, names: Collection[str] | None) -> None:
        """Before the check, so that whatever is written after it gives an event."""
        if self._events is None:
            return
        try:
            each = self._events.names() if names is None else names
            whole = [self._events.arm(name) for name in each]
        except OSError as error:
            self._log_fault(error.strerror or str(error))
        else:
            if not all(whole):
                self._log_fault("some of its files may not be watched")

    def _close_events(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _log_fault(self, fault: str) -> None:
        if fault != self._logged_fault:
            self._logged_fault = fault
            sentence = "%s: %s; a released dump that is rewritten may be noticed only by the check every %.0f s"
            log.warning(sentence, self._watch.export, fault, self._watch.scan_interval)

    # --- what is to be checked

    def _request_check(self) -> None:
        """Of all links. Called by the reader of events too, when some were lost."""
        self._check_due = float("-inf")
        self.notify()

    def _take(self) -> set[str] | None:
        with self._condition:
            names, self._names = self._names, None
            return names

    def _wait(self) -> None:
        with self._condition:
            due = min(self._check_due, self._tree_due)
            if self._names is None and not self._ending.is_set() and (rest := due - self._uptime()) > 0:
                self._condition.wait(rest)

    def _uptime(self) -> float:
        return self._clock.now().uptime


class ExportTreeEvents:
    """What is added to and removed from one export tree, and who writes to the files in it.

    A hard link is the dump's own file, so that a watch on it reports writes under whatever name. ``notify`` is called
    by the reader's thread with each name to which something was done, ``overflow`` when events were lost.

    Raises OSError when the tree is not there or the host's instances are used up. Not safe for threads.
    """

    def __init__(self, tree: Path, notify: Callable[[str], None], overflow: Callable[[], None]) -> None:
        self._tree = tree
        self._notify = notify
        self._overflow = overflow
        self._armed: dict[str, list[InotifyWatch]] = {}  # the names, those watched for longest first
        self._room = _room()
        descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._inode = _inode(os.fstat(descriptor))
            self._inotify = Inotify()
            self._watch_tree(descriptor)
        finally:
            os.close(descriptor)

    def are_of_the_tree(self) -> bool:
        """True while they come, and from the folder at the tree's path."""
        try:
            return self._inotify.is_alive() and self._inode == _inode(os.lstat(self._tree))
        except OSError:
            return False

    def names(self) -> list[str]:
        """All that is in the tree, the latest last. Raises OSError."""
        with os.scandir(self._tree) as entries:
            found = [(entry.stat(follow_symlinks=False).st_ctime_ns, entry.name) for entry in entries]
        return [name for _, name in sorted(found) if not name.startswith(".")]

    def arm(self, name: str) -> bool:
        """Watches the files under this name, or nothing more where there are none. Raises OSError.

        Where there is no room for more, those that have been watched for longest are given up: the storage had most
        time for them. False: some of it may not be watched.
        """
        self._forget(name)
        files = self._files(name)
        while self._armed and self._room < len(files):
            self._forget(next(iter(self._armed)))
        receiver = _NameEvents(name, self._notify, self._overflow)
        watches = self._armed.setdefault(name, []) if files else []
        for file in files:
            if (watch := self._arm_file(file, receiver)) is not None:
                watches.append(watch)
        return len(watches) == len(files)

    def close(self) -> None:
        """Ends its thread; nobody is notified afterwards."""
        self._armed.clear()
        self._inotify.close()

    def _watch_tree(self, descriptor: int) -> None:
        try:
            self._inotify.add(descriptor, _OF_THE_TREE, _NameEvents("", self._notify, self._overflow))
        except OSError:
            self.close()
            raise

    def _forget(self, name: str) -> None:
        watches = self._armed.pop(name, [])
        self._room += len(watches)
        self._inotify.remove(watches)

    def _arm_file(self, path: Path, receiver: "_NameEvents") -> InotifyWatch | None:
        """None where it is gone or may not be read."""
        try:
            descriptor = open_unread(path)
        except FileNotFoundError:
            return None
        try:
            watch = self._inotify.add(descriptor, _OF_A_FILE, receiver)
        except PermissionError:
            return None
        finally:
            os.close(descriptor)
        self._room -= 1
        return watch

    def _files(self, name: str) -> list[Path]:
        path = self._tree / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            return []
        if not stat.S_ISDIR(status.st_mode):
            return [path] if stat.S_ISREG(status.st_mode) else []
        return [Path(file) for _, file in heapq.nlargest(FILES_OF_A_LINK, _files_below(str(path)))]


@dataclass(frozen=True, slots=True)
class _NameEvents:
    """Events of the files under one name, or of the tree itself with the name ``""``. Called by watchdog's thread."""

    name: str
    notify: Callable[[str], None]
    overflow: Callable[[], None]

    def on_event(self, event: InotifyEvent) -> None:
        name = self.name or os.fsdecode(event.name)
        if name and not name.startswith("."):  # no link has such a name; a puller's unfinished files have
            self.notify(name)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """It has had its one event, or the file is gone."""
        if self.name:
            self.notify(self.name)

    def on_queue_overflow(self) -> None:
        self.overflow()


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
        return int(_MAX_USER_WATCHES.read_text()) // _SHARE
    except (OSError, ValueError):
        return _USUAL_MAX_USER_WATCHES // _SHARE
