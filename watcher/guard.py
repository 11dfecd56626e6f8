"""Watches what is let out of one watch folder: a dump that is written into must not go on standing in its export tree.

The guard sees that something was written; whoever takes links back looks for himself whether it is so. What no event
tells (a filesystem of others, files that may not be watched) is found by a look at all of it, as often as by a scan.
"""

import logging
import threading
from collections.abc import Callable, Collection

from core.clock import Clock
from core.config.settings import WatchFolder
from core.enums import WatchMode
from core.errors import BusyError, FaultError
from watcher.tree_bell import TreeBell

log = logging.getLogger("tidegate.watcher")

#: Looks at these names in the export tree of this watch folder, None for all, and takes back what was written into;
#: and, of whatever name, what is being dumped again. Raises BusyError and FaultError.
TakeBack = Callable[[str, Collection[str] | None], None]

#: So soon another tree in the place of the one that is heard is noticed, and one that was not there.
_TREE_SECONDS = 5.0
_NO_TREE_SECONDS = 1.0
#: Between one look and the next, however often it rings.
_PAUSE_SECONDS = 0.2
#: After a look that could not be had.
_RETRY_SECONDS = 1.0


class Guard(threading.Thread):
    """One thread for one export tree: its disk may hang, and a look may have to wait for a pass.

    ``ring`` and ``end`` may be called by any thread. Nothing is lost with it: it begins with a look at everything.
    """

    def __init__(self, watch: WatchFolder, clock: Clock, take_back: TakeBack) -> None:
        super().__init__(name=f"guard {watch.name}", daemon=True)
        self.watch = watch.name
        self._watch = watch
        self._clock = clock
        self._take_back = take_back
        self._condition = threading.Condition()
        self._ending = threading.Event()
        self._rung: set[str] | None = None
        self._bell: TreeBell | None = None
        self._look_due = self._tree_due = float("-inf")
        self._told_fault = ""

    def ring(self, *names: str) -> None:
        """Something has happened under these names; without one: to the markers of the watch folder."""
        with self._condition:
            self._rung = (self._rung or set()) | set(names)
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
                self._turn()
                self._ending.wait(_PAUSE_SECONDS)
                self._wait()
        except Exception:
            log.exception("%s: what is let out is looked at by the passes alone", self.watch)
        finally:
            self._close_bell()

    def _turn(self) -> None:
        if self._uptime() >= self._tree_due:
            self._listen()
            self._tree_due = self._uptime() + (_NO_TREE_SECONDS if self._bell is None else _TREE_SECONDS)
        rung = self._take()
        if rung is None and self._uptime() < self._look_due:
            return
        names = None if self._uptime() >= self._look_due else rung
        try:
            self._arm(names)
            self._take_back(self.watch, names)
        except (BusyError, FaultError, OSError) as error:
            log.warning("%s: what is let out is looked at again in a moment: %s", self.watch, error)
            self.ring(*(rung or ()))
            self._ending.wait(_RETRY_SECONDS)
        else:
            if names is None:
                self._look_due = self._uptime() + self._watch.scan_interval

    # --- events

    def _listen(self) -> None:
        """Makes a bell where none hears the tree that stands there now; what came before it is found by a look."""
        if self._watch.mode is WatchMode.POLL or (self._bell is not None and self._bell.hears_tree()):
            return
        self._close_bell()
        try:
            self._bell = TreeBell(self._watch.export, self.ring, self._want_look)
        except FileNotFoundError:
            return
        except OSError as error:
            self._tell(error.strerror or str(error))
            return
        self._want_look()

    def _arm(self, names: Collection[str] | None) -> None:
        """Before the look: what is written after it rings."""
        if self._bell is None:
            return
        try:
            each = self._bell.names() if names is None else names
            whole = [self._bell.arm(name) for name in each]
        except OSError as error:
            self._tell(error.strerror or str(error))
        else:
            if not all(whole):
                self._tell("some of its files may not be watched")

    def _close_bell(self) -> None:
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _tell(self, fault: str) -> None:
        if fault != self._told_fault:
            self._told_fault = fault
            sentence = "%s: %s: a rewrite of what is let out may be seen only by a look, every %.0f s"
            log.warning(sentence, self._watch.export, fault, self._watch.scan_interval)

    # --- what has rung

    def _want_look(self) -> None:
        """Called by the reader of events too: what it could not tell is found by a look."""
        self._look_due = float("-inf")
        self.ring()

    def _take(self) -> set[str] | None:
        with self._condition:
            rung, self._rung = self._rung, None
            return rung

    def _wait(self) -> None:
        with self._condition:
            due = min(self._look_due, self._tree_due)
            if self._rung is None and not self._ending.is_set() and (rest := due - self._uptime()) > 0:
                self._condition.wait(rest)

    def _uptime(self) -> float:
        return self._clock.now().uptime
