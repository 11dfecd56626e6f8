"""What the demo holds against each other: dumps, storage, what rsync says, what Tidegate says. Nothing is believed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from typing import NamedTuple

_MARKERS = (".done", ".failed", ".running")


class Differs(Exception):
    """Something is not as it must be. The text is a sentence that says what."""


class Copy(NamedTuple):
    """One file of the storage. rsync writes each file it receives anew, so that its inode tells one from the next."""

    inode: int
    mtime_ns: int
    size: int


@dataclass(frozen=True, slots=True)
class DayTold:
    """One day: the VMs let out, what the pass took, and what the storage got, by its own files and by rsync's word."""

    number: int
    vms: tuple[str, ...]
    released: int
    arrived: int
    transferred: int


@dataclass(frozen=True, slots=True)
class Cast:
    """The VMs of the dump folder by what is to become of them, found out without Tidegate."""

    can_leave: frozenset[str]
    failed: frozenset[str]
    oversize: frozenset[str]

    @property
    def vms(self) -> frozenset[str]:
        """All of them."""
        return self.can_leave | self.failed | self.oversize


def cast_of(dumps: Path, limit: int) -> Cast:
    """Reads the dump folder: what stands there and how heavy it is, and for whom only a failure was told."""
    sizes = {name: (dumps / name).stat().st_size for name in dump_names(dumps)}
    failed = {path.stem for path in dumps.glob("*.failed")} - sizes.keys()
    heavy = {name for name, size in sizes.items() if size > limit}
    return Cast(frozenset(sizes.keys() - heavy), frozenset(failed), frozenset(heavy))


def dump_names(folder: Path) -> set[str]:
    """The dumps in a folder: whatever is neither a marker nor hidden."""
    return {path.name for path in folder.iterdir() if path.suffix not in _MARKERS and not path.name.startswith(".")}


def copies(storage: Path) -> dict[str, Copy]:
    """Every file in the storage, by its path from there."""
    found = {}
    for path in storage.rglob("*"):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(storage))] = Copy(status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def arrived(before: Mapping[str, Copy], after: Mapping[str, Copy]) -> int:
    """Bytes of the files that are new in the storage, or were written anew."""
    return sum(copy.size for name, copy in after.items() if before.get(name) != copy)


def transferred(stats: str) -> int:
    """What ``rsync --stats --no-h`` says it has sent: whole files, before it saves anything on the wire."""
    match = re.search(r"^Total transferred file size: (\d+) bytes$", stats, re.MULTILINE)
    if match is None:
        raise Differs(f"rsync does not say what it has transferred: {stats!r}")
    return int(match[1])


def check_day(day: DayTold, limit: int) -> None:
    """Raises Differs unless the day kept the limit and all three tell the same."""
    for told, size in (("let out", day.released), ("arrived", day.arrived), ("sent by rsync", day.transferred)):
        if size > limit:
            raise Differs(f"day {day.number}: {size} bytes {told}, and the limit is {limit}")
    if not day.released <= day.arrived == day.transferred:
        raise Differs(
            f"day {day.number}: {day.released} bytes were let out, {day.arrived} arrived in the storage, "
            f"and rsync says {day.transferred}"
        )


def compare(dumps: Path, storage: Path, expected: Iterable[str]) -> int:
    """Compares each expected dump with the storage's copy, byte for byte. Returns how many bytes that were.

    Raises Differs that names everything that is missing, more than expected, or not the same.
    """
    names, there = set(expected), dump_names(storage)
    wrong = [f"{name} is missing in the storage" for name in sorted(names - there)]
    wrong += [f"{name} is in the storage and should not be" for name in sorted(there - names)]
    both = sorted(names & there)
    wrong += [f"{name} differs" for name in both if not cmp(dumps / name, storage / name, shallow=False)]
    if wrong:
        raise Differs("the storage is not what was dumped: " + "; ".join(wrong))
    return sum((dumps / name).stat().st_size for name in both)
