"""Foreign signals: what a program that knows no markers leaves when a dump is complete. Read like an empty ``X.done``.

| signals | a dump X is complete when there is |
|---|---|
| ``vzdump`` | ``vzdump-qemu-100-2026_11_22-03_00_00.log`` beside the archive, whose last line is of a success |
| ``status-ok`` | ``X/STATUS.ok`` |
| ``success`` | ``X/success`` |
| ``Quiet`` | nothing: X has one of its names, and was not written for so long |

They are their program's own, and never removed. A log of vzdump beside an archive can also end in an error, where
something failed after the archive had its final name: then it is read like ``X.failed``.
"""

import datetime
import errno
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

from core.clock import time_of_files_ns
from core.enums import Signals
from core.fs.fingerprint import MAX_DEPTH, is_unfinished
from core.fs.openat import open_folder_at, open_to_read
from core.markers import format as markers
from core.markers.format import MarkerBody, MarkerFile, MarkerKind

_INSIDE = {Signals.STATUS_OK: "STATUS.ok", Signals.SUCCESS: "success"}
_VZDUMP = r"(vzdump-(qemu|lxc|openvz)-\d+-(\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d))"
_ARCHIVE = re.compile(_VZDUMP + r"\.(?:vma|tar)(?:\.(?:gz|lzo|zst))?")
_LOG = re.compile(_VZDUMP + r"\.log")
#: The last line of a log of vzdump, before it is copied beside the archive; the error may have lines of its own.
_VERDICT = re.compile(
    rb"^(?:[-\d]+ [:\d]+ )?(?:(INFO: Finished Backup)|ERROR: Backup) of VM \d+(?(1)| failed)", re.MULTILINE
)
_LOG_END_BYTES = 1 << 14
#: It is no plain file of anybody's log.
_NO_LOG = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
_PACKED = ("", ".gz", ".lzo", ".zst")


class Quiet(NamedTuple):
    """Dumps without a marker: ``names`` is found in their names; they are complete ``seconds`` after the last write."""

    names: re.Pattern[str]
    seconds: float

    def may_be(self, dump: str) -> bool:
        """Whether this is such a dump's name, complete or not."""
        return dump[0] != "." and not is_unfinished(dump) and self.names.search(dump) is not None


Foreign = Signals | Quiet


def look_at_all(folder: int, dump: str, kind: Foreign | None) -> tuple[MarkerFile, ...]:
    """Every marker of ``dump`` and its foreign signal, the one that counts first. Raises OSError."""
    own = markers.look_at_all(folder, dump)
    foreign = look(folder, dump, kind)
    return own if foreign is None else markers.in_order((*own, foreign))


def look(folder: int, dump: str, kind: Foreign | None) -> MarkerFile | None:
    """The foreign signal of ``dump``, if it has one. Raises OSError when that cannot be known."""
    if isinstance(kind, Quiet):
        return _look_whether_quiet(folder, dump, kind)
    name = _signal_of(dump, kind)
    if name is None:
        return None
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        is_there = stat.S_ISREG(status.st_mode) and _stands(folder, dump)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not is_there:
        return None
    if kind is Signals.VZDUMP:
        return _look_at_log(folder, name)
    return _signal(MarkerKind.DONE, status)


def is_looked_into(name: str, kind: Foreign | None) -> bool:
    """False for a folder that is a dump as soon as it is complete: what lies in it is no dump before, either."""
    return not isinstance(kind, Quiet) or not kind.may_be(name)


def body_of(dump: str, kind: Foreign | None, of: MarkerKind = MarkerKind.DONE) -> MarkerBody:
    """What the name of a dump holds besides: vzdump's has the time when it was begun, in the host's local time."""
    match = _ARCHIVE.fullmatch(dump) if kind is Signals.VZDUMP else None
    try:
        local = None if match is None else datetime.datetime.strptime(match[3], "%Y_%m_%d-%H_%M_%S").astimezone()
    except (ValueError, OverflowError):  # no date that there is
        local = None
    error = "vzdump's log ends in an error" if of is MarkerKind.FAILED else None
    return MarkerBody(started=None if local is None else local.timestamp(), error=error)


def dumps_told_by(folder: str, name: str, kind: Foreign | None) -> Iterator[str]:
    """The paths of dumps that may be complete by the file ``name`` in ``folder``; none if it is no signal.

    Quiet dumps have no such file: a scan finds them.
    """
    if isinstance(kind, Quiet):
        return
    if kind is Signals.VZDUMP and (match := _LOG.fullmatch(name)):
        ending = ".vma" if match[2] == "qemu" else ".tar"
        above = f"{folder}/" if folder else ""
        yield from (f"{above}{match[1]}{ending}{packed}" for packed in _PACKED)
    elif kind is not None and name == _INSIDE.get(kind) and folder:
        yield folder


def _signal_of(dump: str, kind: Signals | None) -> str | None:
    if kind is Signals.VZDUMP:
        match = _ARCHIVE.fullmatch(dump)
        return None if match is None else f"{match[1]}.log"
    return None if kind is None or dump.startswith(".") else f"{dump}/{_INSIDE[kind]}"


def _signal(kind: MarkerKind, status: os.stat_result) -> MarkerFile:
    return MarkerFile(kind, status.st_ctime_ns, status.st_mtime_ns, status.st_ino, True, is_foreign=True)


def _look_at_log(folder: int, name: str) -> MarkerFile | None:
    """What the end of a log of vzdump signals; nothing while it is not there yet. Raises OSError."""
    try:
        descriptor = open_to_read(name, folder)
    except OSError as error:
        if error.errno in _NO_LOG:
            return None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        text = os.pread(descriptor, _LOG_END_BYTES, max(0, status.st_size - _LOG_END_BYTES))
    finally:
        os.close(descriptor)
    kind = _verdict_of(text)
    return None if kind is None else _signal(kind, status)


def _verdict_of(end_of_log: bytes) -> MarkerKind | None:
    """A success is the last line. After an error there can be more of its message."""
    found = list(_VERDICT.finditer(end_of_log))
    if not found:
        return None
    last = found[-1]
    if last[1] is None:
        return MarkerKind.FAILED
    return MarkerKind.DONE if b"\n" not in end_of_log[last.end() :].strip() else None


def _look_whether_quiet(folder: int, dump: str, quiet: Quiet) -> MarkerFile | None:
    """By the times of writing alone: that of a change moves when the dump is let out.

    It is as old as the last of them, so that a marker of a failure afterwards counts.

    One that lies far ahead was set by somebody.
    """
    if not quiet.may_be(dump):
        return None
    try:
        status = os.stat(dump, dir_fd=folder, follow_symlinks=False)
        written = status.st_mtime_ns
        if stat.S_ISDIR(status.st_mode):
            written = max(written, _newest_within(folder, dump))
        elif not stat.S_ISREG(status.st_mode):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    rest = int(quiet.seconds * 1e9)
    if abs(time_of_files_ns() - written) < rest:
        return None
    return MarkerFile(MarkerKind.DONE, written, written, status.st_ino, True, is_foreign=True)


def _newest_within(folder: int, name: str, depth: int = 0) -> int:
    """The latest time of writing of anything in a folder, in nanoseconds. Raises OSError."""
    newest = 0
    inside = open_folder_at(folder, name)
    try:
        for inner in os.listdir(inside):
            status = os.stat(inner, dir_fd=inside, follow_symlinks=False)
            newest = max(newest, status.st_mtime_ns)
            if stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:  # a deeper one is refused whatever its times
                newest = max(newest, _newest_within(inside, inner, depth + 1))
    finally:
        os.close(inside)
    return newest


def _stands(folder: int, dump: str) -> bool:
    """The log of a backup that failed has no dump beside it, and means nothing."""
    return not stat.S_ISLNK(os.stat(dump, dir_fd=folder, follow_symlinks=False).st_mode)
