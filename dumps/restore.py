"""Puts a dump back: copied aside, compared with what it should be, and named once.

::

    TO/.tidegate-restore-vm1/vm1   while it is copied
    TO/vm1                         when all of it is there and has its checksums

Killed on the way it leaves the first; whoever restores the VM there again removes that.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import BusyError, FaultError, UsageError
from core.filenames import printable
from core.fs.rename import rename_new
from dumps import domain
from dumps.adapters.libvirt import DEFINITION
from dumps.copies import Copy, Expected
from dumps.failure import DumpFailed

_WORKSHOP = ".tidegate-restore-"
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

    Raises UsageError where that stands already, BusyError where somebody restores it there just now, and FaultError
    for a file that is not what it should be, after which nothing of it stands there.
    """
    to = to.absolute()
    target = to / (copy.path.name if "" in copy.files else vm)
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{to}: nothing can be restored there: {error.strerror}") from error
    try:
        with _workshop(to, target.name) as folder:
            return _restore(copy, folder / target.name, target)
    except FileExistsError:
        raise UsageError(f"{target}: stands there already, and nothing is overwritten; name another folder") from None
    except OSError as error:
        raise FaultError(f"{error.filename or to}: {error.strerror or error}") from error


def _restore(copy: Copy, aside: Path, target: Path) -> Restored:
    if os.path.lexists(target):
        raise FileExistsError
    sums, size = {}, 0
    for name, expected in sorted(copy.files.items()):
        source, own = (copy.path / name, aside / name) if name else (copy.path, aside)
        own.parent.mkdir(parents=True, exist_ok=True)
        sums[name], one = _copy(source, own)
        _compare(source, expected, sums[name], one, copy)
        size += one
    define, notes = _write_definition(aside, target) if DEFINITION in copy.files else (None, ())
    for folder, _, _ in os.walk(aside, topdown=False):
        _keep(Path(folder))
    _name(aside, target)
    return Restored(target, sums, size, define, notes)


@contextmanager
def _workshop(to: Path, name: str) -> Iterator[Path]:
    """A folder of its own for as long as it lasts. What somebody who was killed has left in it goes first."""
    folder = to / f"{_WORKSHOP}{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{to / name}: is being restored by somebody else") from None
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path) -> tuple[str, int]:
    """Its sha256 and its size. A part that is nothing but zeros takes no room."""
    digest, total = hashlib.sha256(), 0
    with open(source, "rb", buffering=0, opener=_plain) as read, open(target, "xb", opener=_private) as write:
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


def _plain(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _private(path: str, flags: int) -> int:
    """What a VM has is nobody else's business; libvirt lets QEMU at it."""
    return os.open(path, flags, 0o600)


def _compare(source: Path, expected: Expected, sha256: str, size: int, copy: Copy) -> None:
    if expected.size is not None and expected.size != size:
        told = f"{size} bytes are there, and {copy.told_by} tells of {expected.size}"
    elif expected.sha256 is not None and expected.sha256.lower() != sha256:
        told = f"its sha256 is not the one that {copy.told_by} tells"
    else:
        return
    raise FaultError(f"{printable(str(source))}: {told}: nothing was restored")


def _write_definition(aside: Path, target: Path) -> tuple[Path, Sequence[str]]:
    """The definition with the disks that are put back, beside the one of the dump."""
    try:
        text, notes = domain.moved((aside / DEFINITION).read_text(encoding="utf-8"), target, set(os.listdir(aside)))
    except (DumpFailed, UnicodeDecodeError) as error:
        raise FaultError(f"{DEFINITION}: {error}: nothing was restored") from None
    with open(aside / _TO_DEFINE, "x", encoding="utf-8", opener=_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return target / _TO_DEFINE, notes


def _name(aside: Path, target: Path) -> None:
    descriptors = [
        os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for folder in (aside.parent, target.parent)
    ]
    try:
        rename_new(descriptors[0], aside.name, descriptors[1], target.name)
        os.fsync(descriptors[1])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
