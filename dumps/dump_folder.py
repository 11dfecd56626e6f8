"""The folder that a set's dumps go to, what is in it while one is made, and the disk space that they need.

::

    TO/vm1-20261122T030000Z.img.running                                 the claim: the name is taken, and by whom
    TO/.tidegate-dumps/vm1-20261122T030000Z.img.part/                   one dump's own folder
    TO/.tidegate-dumps/vm1-20261122T030000Z.img.part/vm1-2026….img      $OUT, a file or a folder
    TO/.tidegate-dumps/vm1-20261122T030000Z.img.whole/                  the same when it is whole, durable and verified
    TO/vm1-20261122T030000Z.img                                         out of there, and named once
    TO/vm1-20261122T030000Z.img.done                                    its marker

Nobody looks for dumps in a folder with a dot name, and nobody releases what has no marker. Others may be able to write
in TO: all but the commands, which get the path of $OUT, reach what is in it by descriptor.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from core.errors import FaultError
from core.fs.openat import open_below, open_folder
from core.fs.rename import rename_new
from core.fs.subtree import each_folder, remove
from core.markers import format as markers
from core.markers.format import BadMarker, MarkerBody, MarkerKind
from core.units import format_size, format_stamp
from dumps.failure import DumpFailed

#: Keys of a claim besides those that all markers have: what a later run needs to clean up after it. ``RUN`` is a key of
#: the finished dump's marker, too, by which it is known that we have made it.
RUN, ADAPTER, URI = "run", "adapter", "uri"

_WORK_FOLDER = ".tidegate-dumps"
_PART, _WHOLE, _GONE = ".part", ".whole", ".gone"
#: An adapter may let others into the folder of its dump, QEMU say: the way there has to be open.
_WAY_THROUGH, _OWNERS_ALONE = 0o711, 0o700
#: More dumps of one VM in a row than anybody makes in as many seconds.
_TRIES = 1000


class DumpFolder:
    """``root`` is the watch folder, ``folder`` the one in it where the dumps go; it is made where it is not there.

    Raises FaultError, also where a part of ``folder`` is a symbolic link: what is behind it is no part of the watch
    folder.
    """

    def __init__(self, root: Path, folder: str) -> None:
        self.folder = folder
        self.path = root / folder
        with ExitStack() as stack:
            try:
                self._descriptor = stack.enter_context(open_folder(root))
                for step in filter(None, folder.split("/")):
                    with suppress(FileExistsError):
                        os.mkdir(step, dir_fd=self._descriptor)
                    self._descriptor = stack.enter_context(open_below(self._descriptor, [step]))
                with suppress(FileExistsError):
                    self._make(self._descriptor, _WORK_FOLDER, _WAY_THROUGH)
                self._work_folder = stack.enter_context(open_below(self._descriptor, [_WORK_FOLDER]))
            except OSError as error:
                raise FaultError(f"{self.path}: no dumps can be made there: {error.strerror}") from error
            self._opened = stack.pop_all()

    def close(self) -> None:
        """Nothing is made here any more."""
        self._opened.close()

    # --- names

    def claim(self, vm: str, suffix: str, started: float, body: dict[str, Any], is_known: Callable[[str], bool]) -> str:
        """The name of a new dump, which nobody else has or had; its ``X.running`` is written.

        ``is_known``: whether a dump was ever recorded at this path in the watch folder. Raises OSError.
        """
        for later in range(_TRIES):
            name = f"{vm}-{format_stamp(started + later)}{suffix}"
            if self._is_taken(name) or is_known(self.in_watch(name)) or not markers.claim(self._descriptor, name, body):
                continue
            if self._is_taken(name):  # by somebody who claims nothing, since the first look
                self.release(name)
                continue
            return name
        raise FileExistsError(errno.EEXIST, "every name for it is taken")

    def begin(self, name: str) -> None:
        """Makes the folder in which it is made. Raises OSError."""
        self._make(self._work_folder, name + _PART, _OWNERS_ALONE)

    def _make(self, parent: int, name: str, mode: int) -> None:
        """Made by root it is given to the owner of the dumps' folder: as whom a command may well run."""
        os.mkdir(name, _OWNERS_ALONE, dir_fd=parent)
        with open_below(parent, [name]) as made:
            os.fchmod(made, mode)  # whatever the umask
            owner = os.fstat(self._descriptor)
            if os.geteuid() == 0 and owner.st_uid != 0:
                os.fchown(made, owner.st_uid, owner.st_gid)

    def in_watch(self, name: str) -> str:
        """The dump's path in the watch folder."""
        return f"{self.folder}/{name}" if self.folder else name

    def out(self, name: str) -> Path:
        """Where it is written to."""
        return self.path / _WORK_FOLDER / f"{name}{_PART}" / name

    def _is_taken(self, name: str) -> bool:
        others = (markers.marker_name(name, kind) for kind in (MarkerKind.DONE, MarkerKind.FAILED))
        return any(_exists(self._descriptor, each) for each in (name, *others))

    # --- the end of one dump

    def publish(self, name: str) -> None:
        """Gives the finished dump its name, for good. Raises OSError, FileExistsError where somebody else took it."""
        os.rename(name + _PART, name + _WHOLE, src_dir_fd=self._work_folder, dst_dir_fd=self._work_folder)
        with open_below(self._work_folder, [name + _WHOLE]) as whole:
            rename_new(whole, name, self._descriptor, name)
        os.fsync(self._descriptor)

    def mark(self, name: str, kind: MarkerKind, body: dict[str, Any]) -> None:
        """Writes what became of it, in place of the claim. Raises OSError."""
        markers.write(self._descriptor, name, kind, body)

    def release(self, name: str) -> None:
        """Takes the claim back. Raises OSError."""
        markers.remove(self._descriptor, name, MarkerKind.RUNNING)

    def clear(self, name: str) -> None:
        """Removes the folder in which it was made. Raises OSError."""
        remove(self._work_folder, name + _WHOLE)

    def undo(self, name: str) -> None:
        """Removes whatever there is of it. Raises OSError.

        What has its name is taken for it only where it has left its own folder: it may be somebody else's.
        """
        with suppress(FileNotFoundError), open_below(self._work_folder, [name + _WHOLE]) as whole:
            if not _exists(whole, name):
                os.rename(name, name, src_dir_fd=self._descriptor, dst_dir_fd=whole)
        self.clear(name)
        remove(self._work_folder, name + _PART)

    def remove(self, name: str) -> None:
        """Removes a dump of earlier and its markers: for all who look, it goes at once. Raises OSError."""
        for kind in MarkerKind:
            markers.remove(self._descriptor, name, kind)
        with suppress(FileExistsError):
            os.mkdir(name + _GONE, _OWNERS_ALONE, dir_fd=self._work_folder)
        with open_below(self._work_folder, [name + _GONE]) as gone:
            os.rename(name, name, src_dir_fd=self._descriptor, dst_dir_fd=gone)
        remove(self._work_folder, name + _GONE)

    # --- what others left

    def claims(self) -> Iterator[tuple[str, MarkerBody]]:
        """Each ``X.running`` of our own user that can be read: X and its body. Raises OSError.

        What is in one is acted upon, and others may write into this folder too.
        """
        for entry in sorted(os.listdir(self._descriptor)):
            found = markers.split_name(entry)
            if found is not None and found[1] is MarkerKind.RUNNING:
                with suppress(BadMarker, FileNotFoundError):
                    if os.stat(entry, dir_fd=self._descriptor, follow_symlinks=False).st_uid == os.geteuid():
                        yield found[0], markers.read_body(self._descriptor, *found)

    def is_marked(self, name: str, kind: MarkerKind) -> bool:
        """Whether it has this marker. Raises OSError."""
        return markers.look(self._descriptor, name, kind) is not None

    def sweep(self) -> None:
        """Removes the folders of dumps that nobody makes any more. Raises OSError.

        Those of a dump that is made just now have its claim beside them.
        """
        for folder in os.listdir(self._work_folder):
            if not self.is_marked(folder.rpartition(".")[0], MarkerKind.RUNNING):
                remove(self._work_folder, folder)

    # --- the disk

    def free_bytes(self) -> int:
        """Bytes that may still be written here. Raises OSError."""
        status = os.fstatvfs(self._descriptor)
        return status.f_bavail * status.f_frsize

    def written_bytes(self, name: str) -> int:
        """What an unfinished dump takes by now; 0 where it cannot be looked at."""
        total = 0
        with suppress(OSError):  # a part of it may go while it is looked at
            for _, _, entries in each_folder(self._work_folder, (name + _PART,)):
                for entry in entries:
                    with suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        return total


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class SpaceReservations:
    """SpaceReservations in a folder, for dumps that are made at the same time: none counts on what another needs."""

    def __init__(self, folder: DumpFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._needs: dict[str, int] = {}

    def reserve(self, name: str, last: int, margin: int | None) -> None:
        """Sees that a dump as large as the ``last`` one of its VM has space, and ``margin`` more.

        ``margin`` None: a tenth of it. ``last`` 0: nothing is known of its size. Raises DumpFailed, and OSError.
        """
        wanted = last + (last // 10 if margin is None else margin)
        with self._lock:
            free = self._folder.free_bytes() - sum(map(self._still_to_come, self._needs))
            if wanted > free:
                raise DumpFailed(
                    f"not enough disk space: {format_size(max(0, free))} is free in {self._folder.path}, and it needs "
                    f"{format_size(wanted)} (the last one had {format_size(last)})"
                )
            self._needs[name] = last

    def release(self, name: str) -> None:
        """It needs no more space."""
        with self._lock:
            self._needs.pop(name, None)

    def _still_to_come(self, name: str) -> int:
        return max(0, self._needs[name] - self._folder.written_bytes(name))
