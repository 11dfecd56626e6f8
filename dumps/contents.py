"""What a command has made: counted, summed, and on the disk for good before it gets its name."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.filenames import printable
from core.fs.fingerprint import DumpRejected, Identity, allowed_owners, identify
from core.fs.openat import open_file_below, open_folder
from core.fs.subtree import each_folder
from dumps.adapter import Written
from dumps.failure import DumpFailed

#: Folder dumps may be of thousands of small files, and each waits for the disk alone.
_FSYNCS_AT_ONCE = 8
_PART_BYTES = 1 << 20

#: Called now and then, and raises what ends the work.
Interrupt = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Contents:
    """A dump that is whole and durable. ``sums``: file -> sha256, "" for a dump that is one file; None: not summed."""

    identity: Identity
    sums: dict[str, str] | None

    def marker_fields(self) -> dict[str, Any]:
        """The keys of its marker."""
        sums = self.sums or {}
        if not self.identity.is_folder:
            return {"size": self.identity.bytes, **({"sha256": sums[""]} if sums else {})}
        files = {one.name: {"size": one.size, **_sum(sums.get(one.name))} for one in self.identity.members}
        return {"size": self.identity.bytes, "files": files}


def _sum(sha256: str | None) -> dict[str, str]:
    return {} if sha256 is None else {"sha256": sha256}


def identify_dump(out: Path) -> Identity:
    """The files of the dump at ``out``. Raises DumpFailed where there is none that could ever be released."""
    try:
        with open_folder(out.parent) as folder:
            return identify(folder, out.name, allowed_owners(folder))
    except DumpRejected as error:
        raise DumpFailed(f"nothing that can be taken was made at {out.name}: {error.detail}") from None


def make_durable(out: Path, written: Written | None, *, checksum: bool, interrupt: Interrupt) -> Contents:
    """Sums the files unless that was done on the way, and has the disk keep them. Raises DumpFailed and OSError."""
    before = identify_dump(out)
    if written is not None and written.bytes != before.bytes:
        raise DumpFailed(f"{written.bytes} bytes were written and {before.bytes} are there")
    names = [one.name for one in before.members]
    if written is not None and written.sha256 is not None:
        sums: dict[str, str] | None = {"": written.sha256}
    else:
        sums = {name: sha256_of(out, name, interrupt) for name in names} if checksum else None
    with open_folder(out.parent) as folder:
        with ThreadPoolExecutor(_FSYNCS_AT_ONCE) as pool:
            list(pool.map(lambda name: _sync(folder, _below(out, name)), names))
        for inside, _, _ in each_folder(folder, (out.name,)) if before.is_folder else ():
            os.fsync(inside)
    if identify_dump(out) != before:
        raise DumpFailed("it was still being written after its command had ended")
    return Contents(before, sums)


def sha256_of(out: Path, name: str, interrupt: Interrupt) -> str:
    """The sum of one file of the dump at ``out``, "" for a dump that is one file. Raises DumpFailed when it is none."""
    digest = hashlib.sha256()
    part = bytearray(_PART_BYTES)
    view = memoryview(part)
    with open_folder(out.parent) as folder, os.fdopen(open_plain(folder, _below(out, name)), "rb", 0) as file:
        while count := file.readinto(view):
            digest.update(view[:count])
            interrupt()
    return digest.hexdigest()


def open_plain(folder: int, path: str) -> int:
    """A descriptor of the plain file that ``path`` leads to from this folder. Raises DumpFailed when it is none.

    Whoever owns it may have put something else in its place: a pipe that nobody writes to, a way to any file.
    """
    try:
        file = open_file_below(folder, path)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
    else:
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    raise DumpFailed(f"{printable(path.rpartition('/')[2])} is no longer a plain file")


def _below(out: Path, name: str) -> str:
    """The path of a dump's file from the folder that holds the dump."""
    return f"{out.name}/{name}" if name else out.name


def _sync(folder: int, path: str) -> None:
    file = open_file_below(folder, path)
    try:
        os.fsync(file)
    finally:
        os.close(file)
