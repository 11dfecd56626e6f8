"""What a command has made: counted, summed, and on the disk for good before it gets its name."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from core.filenames import printable
from core.fs.fingerprint import DumpRejected, Identity, allowed_owners, identify
from core.fs.openat import open_folder
from dumps.adapter import Sum
from dumps.failure import DumpFailed

#: Folder dumps may be of thousands of small files, and each waits for the disk alone.
_FSYNCS_AT_ONCE = 8
_PART_BYTES = 1 << 20

Pause = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Contents:
    """A dump that is whole and durable. ``sums``: file -> sha256, "" for a dump that is one file; None: not summed."""

    identity: Identity
    sums: dict[str, str] | None

    def told(self) -> dict[str, Any]:
        """The keys of its marker."""
        sums = self.sums or {}
        if not self.identity.is_folder:
            return {"size": self.identity.bytes, **({"sha256": sums[""]} if sums else {})}
        files = {one.name: {"size": one.size, **_sum(sums.get(one.name))} for one in self.identity.members}
        return {"size": self.identity.bytes, "files": files}


def _sum(sha256: str | None) -> dict[str, str]:
    return {} if sha256 is None else {"sha256": sha256}


def look(out: Path) -> Identity:
    """The files of the dump at ``out``. Raises DumpFailed where there is none that could ever leave."""
    try:
        with open_folder(out.parent) as folder:
            return identify(folder, out.name, allowed_owners(folder))
    except DumpRejected as error:
        raise DumpFailed(f"nothing that can be taken was made at {out.name}: {error.detail}") from None


def settle(out: Path, made: Sum | None, *, checksum: bool, pause: Pause) -> Contents:
    """Sums the files unless that was done on the way, and has the disk keep them. Raises DumpFailed and OSError.

    ``pause`` is called now and then, and raises what ends it.
    """
    before = look(out)
    if made is not None and made.bytes != before.bytes:
        raise DumpFailed(f"{made.bytes} bytes were written and {before.bytes} are there")
    paths = {one.name: out / one.name if one.name else out for one in before.members}
    if made is not None and made.sha256 is not None:
        sums: dict[str, str] | None = {"": made.sha256}
    else:
        sums = {name: sha256_of(path, pause) for name, path in paths.items()} if checksum else None
    with ThreadPoolExecutor(_FSYNCS_AT_ONCE) as pool:
        list(pool.map(_keep, paths.values()))
    for folder in _folders(out) if before.is_folder else ():
        _keep(folder)
    if look(out) != before:
        raise DumpFailed("it was still being written after its command had ended")
    return Contents(before, sums)


def sha256_of(path: Path, pause: Pause) -> str:
    """The sum of one file. Raises DumpFailed when it is none."""
    digest = hashlib.sha256()
    part = bytearray(_PART_BYTES)
    view = memoryview(part)
    with _opened(path) as file:
        while count := file.readinto(view):
            digest.update(view[:count])
            pause()
    return digest.hexdigest()


def _opened(path: Path) -> FileIO:
    """Whoever owns it may have put something else in its place: a pipe that nobody writes to, a way to any file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    else:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return FileIO(descriptor)
        os.close(descriptor)
    raise DumpFailed(f"{printable(path.name)} is no longer a plain file")


def _folders(out: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(out, topdown=False)]


def _keep(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
