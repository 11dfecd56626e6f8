"""The room on the disks of the dumps: what is free, what links alone keep from it, and what is done about that."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.clock import Instant
from core.config.settings import Config, WatchFolder
from core.enums import LinkState, Storage
from core.filenames import printable
from core.fs.fingerprint import Identity
from core.fs.io_timeout import ask
from core.state import counters, dumps, ledger, syncs
from core.state.database import Connection
from core.state.ledger import LinkRow
from core.units import format_size
from policy.reconcile.confirm_modes import SEAL_LASTS_SECONDS
from policy.reconcile.link_check import LinkCheck
from policy.reconcile.tree_scan import TreeScan

log = logging.getLogger("tidegate.policy")

_ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Of one watch folder, in bytes. ``pinned`` is what would be free if no link stood: the dumps are gone."""

    free: int
    pinned: int


@dataclass(frozen=True, slots=True)
class LowDiskSpace:
    """A watch folder with less room than its ``min_free``."""

    watch: WatchFolder
    space: DiskSpace
    drops: bool

    def __str__(self) -> str:
        least, free = format_size(self.watch.min_free or 0), format_size(self.space.free)
        kept = f"links alone keep {format_size(self.space.pinned)} there"
        advice = "confirmed ones are removed" if self.drops else "remove old dumps, or enlarge the disk"
        return f"{self.watch.name}: {free} free, less than min_free = {least}; {kept}: {advice}"


def measure(connection: Connection, config: Config, scan: TreeScan) -> dict[str, DiskSpace]:
    """What the disks say, by the names of the watch folders that answer. Changes nothing."""
    found = {}
    for watch in config.watches:
        if watch.name not in scan.unmounted:
            try:
                free = ask(str(watch.path), _ANSWER_SECONDS, partial(_free, watch.path))
            except OSError as error:
                log.warning("%s: its free space is unknown: %s", watch.path, error.strerror)
                continue
            found[watch.name] = DiskSpace(free, _pinned(connection, watch, scan.checks))
    return found


def record(connection: Connection, found: Mapping[str, DiskSpace]) -> None:
    """Leaves it in the state, for those who show it."""
    for name, space in found.items():
        counters.set_watch_status(connection, name, free_bytes=space.free, pinned_bytes=space.pinned)


def short(connection: Connection, config: Config) -> tuple[LowDiskSpace, ...]:
    """The watch folders that had less than their ``min_free`` when they were last measured."""
    statuses = counters.watch_statuses(connection)
    found = []
    for watch in config.watches:
        status = statuses.get(watch.name)
        if watch.min_free is None or status is None or status.free_bytes is None:
            continue
        if status.free_bytes < watch.min_free:
            space = DiskSpace(status.free_bytes, status.pinned_bytes or 0)
            found.append(LowDiskSpace(watch, space, config.offsite.storage is Storage.COLLECT))
    return tuple(found)


def to_drop(connection: Connection, config: Config, now: Instant) -> list[LinkRow]:
    """Confirmed links that go though the storage was reading a moment ago: their disk has too little space.

    Only a collection has had its use of them, and none goes while a sync is sealed: its manifest names them.
    """
    wanting = {one.watch.name for one in short(connection, config)}
    if not wanting or config.offsite.storage is not Storage.COLLECT:
        return []
    if syncs.open_seals(connection, since=now.wall - SEAL_LASTS_SECONDS):
        return []
    confirmed = ledger.in_tree_and(connection, [LinkState.CONFIRMED])
    links = [link for link in confirmed if link.watch in wanting and link.dump_id is not None]
    for link in links:
        log.warning("%s: removed from the export tree, as its disk has too little space", printable(link.export_name))
    return links


def _free(path: Path) -> int:
    """For who is not root."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _pinned(connection: Connection, watch: WatchFolder, checks: Sequence[LinkCheck]) -> int:
    """Bytes on the disk of files that have no other name, and of copies whose dumps are gone or other ones by now."""
    ours = [one for one in checks if one.link.watch == watch.name and one.exclusive_bytes]
    copies = [one for one in ours if one.link.copy_inodes is not None]
    rows = dumps.by_ids(connection, {one.link.dump_id for one in copies if one.link.dump_id is not None})
    identities = dumps.identities_of(connection, rows.values())
    shared = {row.id for row in rows.values() if _stands(watch.path / row.path, identities[row.id])}
    return sum(one.exclusive_bytes for one in ours if one.link.copy_inodes is None or one.link.dump_id not in shared)


def _stands(path: Path, dump: Identity) -> bool:
    for member in dump.members:
        try:
            status = os.lstat(path / member.name if member.name else path)
        except OSError:
            return False
        if (status.st_ino, status.st_size, status.st_mtime_ns) != (member.inode, member.size, member.mtime_ns):
            return False
    return True
