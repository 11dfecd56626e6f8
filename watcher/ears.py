"""Whether the kernel tells of a watch folder: makes the doorbell, and knows where it is deaf."""

import errno
import logging
from collections.abc import Callable

from core import failpoints
from core.config.settings import WatchFolder
from core.enums import WatchMode
from core.preflight.events import advice
from watcher.inotify import Doorbell
from watcher.rings import Rings
from watcher.watch_tree import Ground

log = logging.getLogger("tidegate.watcher")

#: A doorbell that goes dead sooner is not made anew at once: that would be scans without end.
_SHORTEST_LIFE_SECONDS = 10.0

_USED_UP = {
    errno.ENOSPC: "fs.inotify.max_user_watches is used up",
    errno.EMFILE: "fs.inotify.max_user_instances, or the limit of open files, is used up",
}


class Ears:
    """Of one watch folder. ``now`` gives seconds of a clock that never jumps.

    ``prepare`` comes before each whole scan and ``arm`` with each folder of any scan; ``told`` after a whole one.
    """

    def __init__(self, ground: Ground, rings: Rings, now: Callable[[], float], deaf_seconds: float) -> None:
        self._ground = ground
        self._watch: WatchFolder = ground.watch
        self._rings = rings
        self._now = now
        self._deaf_seconds = deaf_seconds
        self._bell: Doorbell | None = None
        self._made_at = float("-inf")
        self._fault: str | None = None
        self._told_fault: str | None = None
        self._told_advice: str | None = None

    def prepare(self) -> None:
        """Makes a doorbell where one is wanted and none works."""
        self._fault = None
        if self._watch.mode is WatchMode.POLL or (self._bell is not None and self._bell.is_alive()):
            return
        died_young = self._bell is not None and self._now() - self._made_at < _SHORTEST_LIFE_SECONDS
        self.close()
        if died_young:
            self._fault = "its events fail again and again"
            return
        self._made_at = self._now()
        try:
            self._bell = Doorbell(self._ground, self._rings, self._now)
        except OSError as error:
            self._is_deaf(error)

    def arm(self, folder: str, descriptor: int) -> None:
        """Listens to this folder from now on; called before it is listed."""
        if self._bell is not None:
            try:
                self._bell.arm(folder, descriptor)
            except OSError as error:
                self._is_deaf(error)
        failpoints.point("armed")

    def are_open(self) -> bool | None:
        """True when the kernel tells of every folder that was scanned. None: it is not asked to."""
        return None if self._watch.mode is WatchMode.POLL else self._bell is not None and self._fault is None

    def hears_root(self) -> bool:
        """True while what is listened to as the watch folder is what stands at its path."""
        return self._bell is not None and self._bell.hears_root()

    def tell(self) -> None:
        """Logs what has become of them since the last time, and where they hear nothing by nature."""
        said = advice(self._watch)
        if said is not None and said != self._told_advice:
            log.warning(said)
        self._told_advice = said
        if self._fault == self._told_fault:
            return
        self._told_fault = self._fault
        if self._fault is None:
            log.info("%s: the kernel tells of all its folders again", self._watch.name)
        else:
            sentence = "%s: %s: what no event tells is found by a scan every %.0f s"
            log.warning(sentence, self._watch.name, self._fault, self._deaf_seconds)

    def close(self) -> None:
        """Ends the doorbell: what it hears comes from a folder that stands elsewhere, or nobody listens any more."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _is_deaf(self, error: OSError) -> None:
        self._fault = _USED_UP.get(error.errno or 0, error.strerror or str(error))
