"""The confirm modes: what each value of ``[offsite] confirm`` takes as evidence that the storage has a dump.

A mode is one object here, and one word in ``core.enums.Evidence``.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import NamedTuple

from core.clock import Instant
from core.config.settings import Config, WatchFolder
from core.enums import Evidence
from core.fs.fingerprint import Identity
from core.fs.openat import open_folder
from core.state import ledger, syncs
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from core.units import last_reached
from policy.export import Presence, TreeEntry
from policy.export.inspect import is_made_of
from policy.planner.day import PRESUMED_AFTER

#: A sync that was announced and not reported is forgotten after this: the puller has died.
SEAL_LASTS_SECONDS = 24 * 3600.0

#: All entries of one export tree by name, as ``ExportTree.entries`` returns them.
Entries = Mapping[str, TreeEntry | None]


class PartlyFetched(NamedTuple):
    """What is left of a link that is not whole any more, and when it was read last, in seconds since the epoch."""

    presence: Presence
    read_at: float | None


@dataclass(frozen=True, slots=True)
class ConfirmMode:
    """A mode that sees nothing in the export trees, and confirms nothing by itself: ``report`` is one.

    ``awaits_report``: a transfer that has ended is over when its report comes, and not before.
    """

    evidence: Evidence
    awaits_report: bool = False

    def read_at(self, link: LinkRow, found: TreeEntry) -> float | None:
        """When an outstanding link, unchanged in its tree, was read as far as it matters; None: it was not."""
        return None

    def partly_fetched(
        self, watch: WatchFolder, entries: Entries, link: LinkRow, dump: DumpRow, recorded: Identity
    ) -> PartlyFetched | None:
        """What became of a link that is not in its tree as it was ``recorded``; None: nothing of it was fetched."""
        return None

    def emptied_folders(self, entries: Entries) -> list[str]:
        """Names of folders that the puller has emptied and left."""
        return []

    def is_confirmed(self, presence: Presence, read_at: float | None) -> bool:
        """Whether the storage has a link that is found like this."""
        return False

    def confirmed_at_day_end(self, connection: Connection, config: Config, now: Instant) -> list[LinkRow]:
        """Links that the storage is held to have because a day ends."""
        return []

    def is_syncing(self, connection: Connection, quiet: float, now: float) -> bool:
        """Whether a sync that nobody announced may be running; ``quiet`` are the seconds after its last read."""
        return False

    def last_read_of_sync(self, connection: Connection, since: float, now: float) -> float | None:
        """The last read after ``since`` of a sync that may have passed; None: reads show none, or one still runs."""
        return None


class ReadMode(ConfirmMode):
    """``read``: the access times of a link show that each of its files was read after it was made."""

    def read_at(self, link: LinkRow, found: TreeEntry) -> float | None:  # noqa: D102
        return found.newest_read_since(link.linked_ctime_ns or 0)

    def is_confirmed(self, presence: Presence, read_at: float | None) -> bool:  # noqa: D102
        return presence is Presence.INTACT and read_at is not None

    def is_syncing(self, connection: Connection, quiet: float, now: float) -> bool:
        """For ``quiet`` seconds after the last read, unless that sync was reported."""
        last_read = ledger.last_read(connection, since=now - quiet)
        reported = syncs.reports(connection)
        return last_read is not None and not (reported and (reported[0].reported_at or 0) >= last_read)

    def last_read_of_sync(self, connection: Connection, since: float, now: float) -> float | None:  # noqa: D102
        return ledger.last_read(connection, since=since)


class RemovalMode(ReadMode):
    """``removal``: the puller removes each file once it has it, as `rsync --remove-source-files` does.

    A hard link is the dump's own file. So when the link is gone the dump shows whether it was read since it was
    linked; a link that nobody has read was removed by somebody else.
    """

    def read_at(self, link: LinkRow, found: TreeEntry) -> float | None:
        """A read of any file begins a transfer."""
        return found.newest_read_of_any_since(link.linked_ctime_ns or 0)

    def partly_fetched(
        self, watch: WatchFolder, entries: Entries, link: LinkRow, dump: DumpRow, recorded: Identity
    ) -> PartlyFetched | None:
        """``fetched``: all of it is gone, and was read before.

        ``intact``: files of a folder are gone and the others are as they were made, so that it is being fetched;
        ``changed``: not as they were made.
        """
        left = _what_is_left(entries, link, recorded)
        if left is not None and not set(left.identity.members) <= set(recorded.members):
            return PartlyFetched(Presence.CHANGED, None)
        if left is None or link.ended_at is not None or link.linked_ctime_ns is None:
            return None
        if left.statuses:
            return PartlyFetched(Presence.INTACT, left.newest_read_of_any_since(link.linked_ctime_ns))
        read_at = _dump_read_since(watch, dump, recorded, link.linked_ctime_ns) or link.read_at
        return None if read_at is None else PartlyFetched(Presence.FETCHED, max(read_at, _tree_changed_at(watch)))

    def emptied_folders(self, entries: Entries) -> list[str]:  # noqa: D102
        found = ((name, one) for name, one in entries.items() if one is not None and one.identity.is_folder)
        return [name for name, one in found if not one.statuses]

    def is_confirmed(self, presence: Presence, read_at: float | None) -> bool:  # noqa: D102
        return presence is Presence.FETCHED

    def is_syncing(self, connection: Connection, quiet: float, now: float) -> bool:
        """Also from the first read of a link to its removal."""
        return self._is_being_fetched(connection, now) or super().is_syncing(connection, quiet, now)

    def last_read_of_sync(self, connection: Connection, since: float, now: float) -> float | None:  # noqa: D102
        return None if self._is_being_fetched(connection, now) else super().last_read_of_sync(connection, since, now)

    def _is_being_fetched(self, connection: Connection, now: float) -> bool:
        """Something was read and is not removed yet. Forgotten as late as an announced sync."""
        return ledger.has_some_read(connection, since=now - SEAL_LASTS_SECONDS)


class PresumedMode(ConfirmMode):
    """``presumed``: nothing is seen. At a day's end links old enough are held to have arrived."""

    def confirmed_at_day_end(self, connection: Connection, config: Config, now: Instant) -> list[LinkRow]:  # noqa: D102
        since_end = now.wall - last_reached(config.day.at, config.day.timezone, now.wall)
        waiting = [link for link in ledger.outstanding(connection) if link.in_tree]
        return [link for link in waiting if now.elapsed_since(link.released) - since_end >= PRESUMED_AFTER]


_MODES: Mapping[Evidence, ConfirmMode] = {
    mode.evidence: mode
    for mode in (
        ReadMode(Evidence.READ),
        ConfirmMode(Evidence.REPORT, awaits_report=True),
        RemovalMode(Evidence.REMOVAL),
        PresumedMode(Evidence.PRESUMED),
    )
}


def confirm_mode(config: Config) -> ConfirmMode:
    """The configured one."""
    return _MODES[config.offsite.confirm]


def is_syncing(connection: Connection, config: Config, now: float) -> bool:
    """True while the storage may be pulling: a sync was announced and not reported, or the mode sees one."""
    if syncs.open_seals(connection, since=now - SEAL_LASTS_SECONDS):
        return True
    return confirm_mode(config).is_syncing(connection, config.day.quiet, now)


# --- what is left of a link that was removed


def _what_is_left(entries: Entries, link: LinkRow, recorded: Identity) -> TreeEntry | None:
    """What is in the tree of it, perhaps nothing or rewritten; None where something else has its name."""
    if link.export_name not in entries:
        return TreeEntry(recorded._replace(members=()), ())
    found = entries[link.export_name]
    if found is None or not (found.identity.is_folder and recorded.is_folder):
        return None
    is_empty = not found.identity.members
    return found if is_empty or is_made_of(found.identity, recorded) else None


def _tree_changed_at(watch: WatchFolder) -> float:
    """The last time that something went from the tree, or came."""
    try:
        return watch.export.stat().st_mtime
    except OSError:
        return 0.0


def _dump_read_since(watch: WatchFolder, dump: DumpRow, recorded: Identity, linked_ctime_ns: int) -> float | None:
    """When the dump's own files were read last, if each that has content was since; None too where it is gone."""
    folder, _, name = dump.path.rpartition("/")
    reads = []
    try:
        with open_folder(watch.path, *filter(None, folder.split("/"))) as parent:
            for member in recorded.members:
                status = os.stat(os.path.join(name, member.name).rstrip("/"), dir_fd=parent, follow_symlinks=False)  # noqa: PTH118 - below a descriptor
                if not (stat.S_ISREG(status.st_mode) and member.is_unchanged(status)):
                    return None
                reads += [status.st_atime_ns] if member.size else []
    except OSError:
        return None
    return max(reads) / 1e9 if reads and min(reads) > linked_ctime_ns else None
