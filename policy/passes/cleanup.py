"""When a dump has its end, its markers are removed: they are the queue, and what is done must not be in it.

Recorded before removed: a row that has its end and still has a marker is what the next pass tries again.
"""

import errno
import logging
import os

from core import failpoints
from core.config.settings import Config
from core.enums import DumpState
from core.filenames import printable
from core.fs.lease import is_open_for_writing
from core.fs.openat import open_folder
from core.fs.rename import rename_new
from core.markers import format as markers
from core.markers.foreign import look_at_all
from core.markers.format import aside_name
from core.state import dumps
from core.state.database import Connection, State
from core.state.dumps import DumpRow
from policy.reconcile.mounts import unmounted

log = logging.getLogger("tidegate.policy")

_FINISHED = (DumpState.PENDING, DumpState.RELEASED, DumpState.LINKED)


def end_displaced(connection: Connection, now: float) -> None:
    """Gives their end to failed dumps of VMs dumped again since, and to dumps whose name a later one has taken."""
    if not dumps.has_some_in(connection, (DumpState.FAILED, DumpState.CHANGED)):
        return
    rows = dumps.without_end(connection)
    latest = {(row.watch, row.path): row.id for row in rows}  # ids ascend
    newest_good: dict[str, float] = {}
    for row in rows:
        if row.vm is not None and row.fingerprint and row.reason is None and row.state in _FINISHED:
            newest_good[row.vm] = max(row.dump_time, newest_good.get(row.vm, row.dump_time))
    ended = [
        row.id
        for row in rows
        if (row.state is DumpState.FAILED and newest_good.get(row.vm or "", 0) > row.dump_time)
        or (row.state is DumpState.CHANGED and latest[row.watch, row.path] != row.id)
    ]
    dumps.change_many(connection, ended, state=DumpState.SUPERSEDED, reason=None, ended_at=now)


def remove_markers(config: Config, state: State) -> int:
    """Removes the markers of dumps that have their end. Returns how many dumps were cleared."""
    if not config.markers.remove:
        return 0
    with state.read() as connection:
        rows = dumps.with_ended_markers(connection)
        outlived = [row for row in dumps.beside_failures(connection) if _outlives_it(row)]
        down = unmounted(connection, config) if rows or outlived else frozenset()
    for row in outlived:
        if row.watch not in down:
            _clear(config, row, only=markers.MarkerKind.FAILED)
    cleared = [row for row in rows if row.watch not in down and _clear(config, row)]
    if cleared:
        with state.write() as connection:
            dumps.change_many(connection, [row.id for row in cleared], has_marker=False)
    return len(cleared)


def _outlives_it(row: DumpRow) -> bool:
    """True when this dump is good: the failure was one of an earlier dump of its name."""
    return row.state in _FINISHED and row.reason is None


def _clear(config: Config, row: DumpRow, only: markers.MarkerKind | None = None) -> bool:
    """True when no marker of this dump is left, or those that are left are a later dump's.

    A foreign signal stays, and the row keeps it: else each scan would take it for a new one.

    With ``only`` markers of that kind alone are removed.
    """
    folder, _, name = row.path.rpartition("/")
    try:
        watch = config.watch(row.watch)
        with open_folder(watch.path, *filter(None, folder.split("/"))) as descriptor:
            for kind in markers.MarkerKind:
                _take_up(descriptor, markers.marker_name(name, kind), row.signature)
            standing = look_at_all(descriptor, name, watch.signals)
            if markers.signature(standing) == row.signature:
                for marker in standing:
                    if only in (None, marker.kind) and not marker.is_foreign:
                        _remove(descriptor, name, marker)
            return not any(marker.is_foreign for marker in standing)
    except KeyError:  # the watch folder is no longer configured
        return False
    except FileNotFoundError:
        return config.watch(row.watch).path.is_dir()  # its folder is gone, and with it the marker
    except OSError as error:
        log.warning("%s: its marker cannot be removed: %s", printable(row.path), error.strerror)
        return False


def _take_up(folder: int, marker: str, signature: str) -> None:
    """Ends what a pass that was killed in ``_remove`` began: only what was written since the last look is put back.

    Put back, an old marker would count as the latest: the rename moves its ctime.
    """
    try:
        status = os.stat(aside_name(marker), dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return
        raise
    if markers.is_news(status, signature):
        _put_back(folder, marker)
    else:
        os.unlink(aside_name(marker), dir_fd=folder)


def _remove(folder: int, dump: str, marker: markers.MarkerFile) -> None:
    """Moves a marker aside, looks whether it is still the one that was read, and only then unlinks it.

    A script may touch the marker for its next dump between the look and the unlink: that one is put back, also when
    the script has only opened it so far: `touch` and `>` open first, and the time comes after.
    """
    name = markers.marker_name(dump, marker.kind)
    os.rename(name, aside_name(name), src_dir_fd=folder, dst_dir_fd=folder)
    failpoints.point("marker aside")
    is_open = is_open_for_writing(folder, aside_name(name))
    status = os.stat(aside_name(name), dir_fd=folder, follow_symlinks=False)  # later: who has closed it, has changed it
    if not is_open and (status.st_ino, status.st_mtime_ns) == (marker.inode, marker.mtime_ns):
        os.unlink(aside_name(name), dir_fd=folder)
    else:
        _put_back(folder, name)


def _put_back(folder: int, name: str) -> None:
    """Renames the marker back unless a newer one has taken the name: then the one aside has had its use."""
    try:
        rename_new(folder, aside_name(name), folder, name)
    except FileExistsError:
        os.unlink(aside_name(name), dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise
