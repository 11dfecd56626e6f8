"""Puts a dump back: copied aside, compared with what it should be, and named once.

::

    TO/.tidegate-restore-vm1/vm1   while it is copied
    TO/vm1                         when all of it is there and has its checksums

Killed on the way it leaves the first; the next restore of the VM there removes that.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import BusyError, FaultError, UsageError
from core.filenames import printable
from core.fs.openat import open_below, open_folder, open_new, open_to_read, write_new
from core.fs.rename import rename_new
from core.fs.subtree import each_folder, remove
from dumps import domain
from dumps.adapters.libvirt import DEFINITION
from dumps.contents import open_plain
from dumps.copies import Copy, ExpectedFile
from dumps.failure import DumpFailed

_WORK_FOLDER = ".tidegate-restore-"
#: The definition whose disks are those that were put back.
_TO_DEFINE = "define.xml"
_PART_BYTES = 1 << 20
_ZEROS = bytes(_PART_BYTES)


@dataclass(frozen=True, slots=True)
class Restored:
    """``define``: the file for `virsh define`, where the dump has a definition; ``notes``: what is different in it."""

    path: Path
    sums: dict[str, str]
    bytes: int
    define: Path | None
    notes: Sequence[str]


def restore(vm: str, copy: Copy, to: Path) -> Restored:
    """Puts it back as ``to/VM`` if it is a folder, under its own name if it is a file. Overwrites nothing.

    Raises UsageError where that exists already, BusyError where somebody restores it there just now, and FaultError
    for a file that is not what it should be, after which nothing of it is there.
    """
    to = to.absolute()
    target = to / (copy.path.name if "" in copy.files else vm)
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{to}: nothing can be restored there: {error.strerror}") from error
    try:
        with _work_folder(to, target.name) as folder:
            return _restore(copy, folder, target)
    except FileExistsError:
        raise UsageError(f"{target}: exists already and is not overwritten; name another folder") from None
    except OSError as error:
        raise FaultError(f"{error.filename or to}: {error.strerror or error}") from error


def _restore(copy: Copy, work_folder: int, target: Path) -> Restored:
    if os.path.lexists(target):
        raise FileExistsError
    sums, size = {}, 0
    with open_folder(copy.path.parent) as source:
        for name, expected in sorted(copy.files.items()):
            path = f"{copy.path.name}/{name}" if name else copy.path.name
            sums[name], one = _copy(source, path, work_folder, f"{target.name}/{name}" if name else target.name)
            _compare(copy.path / name if name else copy.path, expected, sums[name], one, copy)
            size += one
    define, notes = _write_definition(work_folder, target) if DEFINITION in copy.files else (None, ())
    if "" not in copy.files:
        for folder, _, _ in each_folder(work_folder, (target.name,)):
            os.fsync(folder)
    with open_folder(target.parent) as to:
        rename_new(work_folder, target.name, to, target.name)
        os.fsync(to)
    return Restored(target, sums, size, define, notes)


@contextmanager
def _work_folder(to: Path, name: str) -> Iterator[int]:
    """A folder of our own for as long as it lasts. What somebody who was killed has left in it goes first."""
    own = f"{_WORK_FOLDER}{name}"
    with open_folder(to) as parent:
        with suppress(FileExistsError):
            os.mkdir(own, 0o700, dir_fd=parent)
        with open_below(parent, [own]) as folder:
            status = os.fstat(folder)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise FaultError(f"{to / own}: others can write in it; remove it")
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(f"{to / name}: is being restored by somebody else") from None
            for left in os.listdir(folder):
                remove(folder, left)
            try:
                yield folder
            finally:
                remove(parent, own)


def _copy(source: int, path: str, target: int, name: str) -> tuple[str, int]:
    """Its sha256 and its size. A part that is nothing but zeros takes no room."""
    digest, total = hashlib.sha256(), 0
    try:
        file = open_plain(source, path)
    except DumpFailed as error:
        raise FaultError(f"{error}: nothing was restored") from None
    with open(file, "rb", buffering=0) as read, open(_new_file(target, name), "wb") as write:
        while part := read.read(_PART_BYTES):
            digest.update(part)
            total += len(part)
            if part == _ZEROS:
                write.seek(len(part), os.SEEK_CUR)
            else:
                write.write(part)
        write.truncate(total)
        write.flush()
        os.fsync(write.fileno())
    return digest.hexdigest(), total


def _new_file(folder: int, path: str) -> int:
    """A new file and the folders that lead to it. What a VM has is nobody else's business; libvirt lets QEMU at it."""
    *steps, name = path.split("/")
    for depth, step in enumerate(steps):
        with open_below(folder, steps[:depth]) as above, suppress(FileExistsError):
            os.mkdir(step, dir_fd=above)
    with open_below(folder, steps) as above:
        return open_new(name, above)


def _compare(source: Path, expected: ExpectedFile, sha256: str, size: int, copy: Copy) -> None:
    if expected.size is not None and expected.size != size:
        why = f"it has {size} bytes, and {expected.size} by {copy.known_from}"
    elif expected.sha256 is not None and expected.sha256.lower() != sha256:
        why = f"its sha256 is not the one in {copy.known_from}"
    else:
        return
    raise FaultError(f"{printable(str(source))}: {why}: nothing was restored")


def _write_definition(work_folder: int, target: Path) -> tuple[Path, Sequence[str]]:
    """The definition with the disks that are put back, beside the one of the dump."""
    with open_below(work_folder, [target.name]) as folder:
        try:
            with open(open_to_read(DEFINITION, folder), encoding="utf-8") as file:
                text, notes = domain.moved(file.read(), target, set(os.listdir(folder)))
        except (DumpFailed, UnicodeDecodeError) as error:
            raise FaultError(f"{DEFINITION}: {error}: nothing was restored") from None
        write_new(folder, _TO_DEFINE, text.encode(), mode=0o600)
    return target / _TO_DEFINE, notes
