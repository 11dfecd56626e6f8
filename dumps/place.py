"""The folder that a set's dumps go to, and what stands in it while one is made.

::

    TO/vm1-20261122T030000Z.img.running                                 the claim: the name is taken, and by whom
    TO/.tidegate-dumps/vm1-20261122T030000Z.img.part/                   one dump's own folder
    TO/.tidegate-dumps/vm1-20261122T030000Z.img.part/vm1-2026….img      $OUT, a file or a folder
    TO/.tidegate-dumps/vm1-20261122T030000Z.img.whole/                  the same when it is whole, durable and verified
    TO/vm1-20261122T030000Z.img                                         out of there, and named once
    TO/vm1-20261122T030000Z.img.done                                    what says so

Nobody looks for dumps in a folder with a dot name, and nobody lets out what has no marker.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import FaultError
from core.fs.rename import rename_new
from core.markers import format as markers
from core.markers.format import BadMarker, MarkerBody, MarkerKind
from core.units import format_stamp

_WORKSHOP = ".tidegate-dumps"
_PART, _WHOLE, _GONE = ".part", ".whole", ".gone"
#: An adapter may let others into the folder of its dump, QEMU say: the way there has to be open.
_WAY_THROUGH, _OWNERS_ALONE = 0o711, 0o700
#: More dumps of one VM in a row than anybody makes in as many seconds.
_TRIES = 1000


class Place:
    """``root`` is the watch folder, ``folder`` the one in it where the dumps go; it is made where it is not there.

    Raises FaultError.
    """

    def __init__(self, root: Path, folder: str) -> None:
        self.folder = folder
        self.path = root / folder if folder else root
        try:
            if not root.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            self.path.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with suppress(FileExistsError):
                self._make(self._workshop, _WAY_THROUGH)
        except OSError as error:
            raise FaultError(f"{self.path}: no dumps can be made there: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is made here any more."""
        os.close(self._descriptor)

    # --- names

    def claim(self, vm: str, suffix: str, started: float, body: dict[str, Any], is_known: Callable[[str], bool]) -> str:
        """The name of a new dump, which nobody else has or had; its ``X.running`` stands.

        ``is_known`` tells of a path in the watch folder whether a dump was ever recorded there. Raises OSError.
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
        self._make(self.part(name), _OWNERS_ALONE)

    def _make(self, folder: Path, mode: int) -> None:
        """Made by root it is given to the owner of the dumps' folder: as whom a command may well run."""
        folder.mkdir(mode=_OWNERS_ALONE)
        folder.chmod(mode)  # whatever the umask says
        owner = os.fstat(self._descriptor)
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.chown(folder, owner.st_uid, owner.st_gid)

    def in_watch(self, name: str) -> str:
        """The dump's path in the watch folder."""
        return f"{self.folder}/{name}" if self.folder else name

    def part(self, name: str) -> Path:
        """The folder in which this dump is made."""
        return self._workshop / f"{name}{_PART}"

    def out(self, name: str) -> Path:
        """Where it is written to."""
        return self.part(name) / name

    def _is_taken(self, name: str) -> bool:
        others = (markers.marker_name(name, kind) for kind in (MarkerKind.DONE, MarkerKind.FAILED))
        return any(os.path.lexists(self.path / each) for each in (name, *others))

    # --- the end of one dump

    def publish(self, name: str) -> None:
        """Gives the finished dump its name, for good. Raises OSError, FileExistsError where somebody else took it."""
        whole = self._whole(name)
        self.part(name).rename(whole)
        source = os.open(whole, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            rename_new(source, name, self._descriptor, name)
        finally:
            os.close(source)
        os.fsync(self._descriptor)

    def mark(self, name: str, kind: MarkerKind, body: dict[str, Any]) -> None:
        """Writes what became of it, in place of the claim. Raises OSError."""
        markers.write(self._descriptor, name, kind, body)

    def release(self, name: str) -> None:
        """Takes the claim back. Raises OSError."""
        markers.remove(self._descriptor, name, MarkerKind.RUNNING)

    def clear(self, name: str) -> None:
        """Removes the folder in which it was made. Raises OSError."""
        _remove(self._whole(name))

    def undo(self, name: str) -> None:
        """Removes whatever there is of it. Raises OSError.

        What stands under its name is taken for it only where it has left its own folder: it may be somebody else's.
        """
        whole = self._whole(name)
        if whole.is_dir() and not os.path.lexists(whole / name):
            with suppress(FileNotFoundError):
                os.rename(self.path / name, whole / name)
        _remove(whole)
        _remove(self.part(name))

    def remove(self, name: str) -> None:
        """Removes a dump of earlier and its markers: for all who look, it goes at once. Raises OSError."""
        for kind in MarkerKind:
            markers.remove(self._descriptor, name, kind)
        gone = self._workshop / f"{name}{_GONE}"
        gone.mkdir(exist_ok=True)
        os.rename(self.path / name, gone / name)
        _remove(gone)

    def _whole(self, name: str) -> Path:
        return self._workshop / f"{name}{_WHOLE}"

    @property
    def _workshop(self) -> Path:
        return self.path / _WORKSHOP

    # --- what others left

    def claims(self) -> Iterator[tuple[str, MarkerBody]]:
        """Each ``X.running`` of our own user that can be read: X and what it says. Raises OSError.

        What one says is acted upon, and others may write into this folder too.
        """
        for entry in sorted(os.listdir(self._descriptor)):
            found = markers.split_name(entry)
            if found is not None and found[1] is MarkerKind.RUNNING:
                with suppress(BadMarker, FileNotFoundError):
                    if os.stat(entry, dir_fd=self._descriptor, follow_symlinks=False).st_uid == os.geteuid():
                        yield found[0], markers.read_body(self._descriptor, *found)

    def is_marked(self, name: str, kind: MarkerKind) -> bool:
        """Whether this marker of it stands. Raises OSError."""
        return markers.look(self._descriptor, name, kind) is not None

    def sweep(self) -> None:
        """Removes the folders of dumps that nobody makes any more. Raises OSError.

        Those of a dump that is made just now stand behind its claim.
        """
        for folder in self._workshop.iterdir():
            if not self.is_marked(folder.stem, MarkerKind.RUNNING):
                _remove(folder)

    # --- the disk

    def free_bytes(self) -> int:
        """Bytes that may still be written here. Raises OSError."""
        status = os.fstatvfs(self._descriptor)
        return status.f_bavail * status.f_frsize

    def written_bytes(self, name: str) -> int:
        """What an unfinished dump takes by now."""
        total = 0
        for folder, _, files in os.walk(self.part(name)):
            for file in files:
                with suppress(OSError):
                    total += os.lstat(os.path.join(folder, file)).st_blocks * 512
        return total


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
