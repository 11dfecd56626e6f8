"""Foreign signals: what a program that knows no markers leaves when a dump is complete. Read like an empty ``X.done``.

| signals | a dump X is complete when there is |
|---|---|
| ``vzdump`` | ``vzdump-qemu-100-2026_11_22-03_00_00.log`` beside the archive, which has its final name before |
| ``status-ok`` | ``X/STATUS.ok`` |
| ``success`` | ``X/success`` |

They are their program's own, and never removed.
"""

import datetime
import os
import re
import stat
from collections.abc import Iterator

from tidegate.markers import format as markers
from tidegate.markers.format import MarkerBody, MarkerFile, MarkerKind
from tidegate.terms import Signals

_INSIDE = {Signals.STATUS_OK: "STATUS.ok", Signals.SUCCESS: "success"}
_VZDUMP = r"(vzdump-(qemu|lxc|openvz)-\d+-(\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d))"
_ARCHIVE = re.compile(_VZDUMP + r"\.(?:vma|tar)(?:\.(?:gz|lzo|zst))?")
_LOG = re.compile(_VZDUMP + r"\.log")
_PACKED = ("", ".gz", ".lzo", ".zst")


def look_at_all(folder: int, dump: str, kind: Signals | None) -> tuple[MarkerFile, ...]:
    """Every marker of ``dump`` and its foreign signal, the one that counts first. Raises OSError."""
    own = markers.look_at_all(folder, dump)
    foreign = look(folder, dump, kind)
    return own if foreign is None else markers.in_order((*own, foreign))


def look(folder: int, dump: str, kind: Signals | None) -> MarkerFile | None:
    """The foreign signal of ``dump``, if it stands. Raises OSError when that cannot be said."""
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
    return MarkerFile(MarkerKind.DONE, status.st_ctime_ns, status.st_mtime_ns, status.st_ino, True, is_foreign=True)


def body_of(dump: str, kind: Signals | None) -> MarkerBody:
    """What the name of a dump says besides: vzdump's tells when it was begun, in the host's local time."""
    match = _ARCHIVE.fullmatch(dump) if kind is Signals.VZDUMP else None
    try:
        local = None if match is None else datetime.datetime.strptime(match[3], "%Y_%m_%d-%H_%M_%S").astimezone()
    except (ValueError, OverflowError):  # no date that there is
        local = None
    return MarkerBody(started=None if local is None else local.timestamp())


def dumps_told_by(folder: str, name: str, kind: Signals | None) -> Iterator[str]:
    """The paths of which the file ``name`` in ``folder`` may tell that they are complete; none if it is no signal."""
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


def _stands(folder: int, dump: str) -> bool:
    """The log of a backup that failed stands alone, and means nothing."""
    return not stat.S_ISLNK(os.stat(dump, dir_fd=folder, follow_symlinks=False).st_mode)
