"""``confirm = "removal"``: the puller removes each file once it has it, as `rsync --remove-source-files` does.

A hard link is the dump's own file. So when the link is gone the dump tells whether it was read since it was linked; and
a link that nobody has read was removed by somebody else.
"""

import os
import stat
from collections.abc import Mapping

from core.config.settings import WatchFolder
from core.fs.fingerprint import Identity
from core.fs.openat import open_folder
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from policy.export import Presence, TreeEntry
from policy.export.inspect import is_made_of


class Removals:
    """What a puller has removed from one export tree. ``entries`` is all that stands in it."""

    def __init__(self, watch: WatchFolder, entries: Mapping[str, TreeEntry | None]) -> None:
        self._watch = watch
        self._entries = entries

    def seen(self, link: LinkRow, row: DumpRow, recorded: Identity) -> tuple[Presence, float | None] | None:
        """What became of a link that does not stand whole, and when it was read; None where nothing was fetched of it.

        ``fetched``: all of it is gone, and was read before. ``stands``: files of a folder are gone and others stand
        as they were made, so that it is being fetched; ``changed``: not as they were made.
        """
        left = self._left(link, recorded)
        if left is not None and not set(left.identity.members) <= set(recorded.members):
            return Presence.CHANGED, None
        if left is None or link.ended_at is not None or link.linked_ctime_ns is None:
            return None
        if left.statuses:
            return Presence.INTACT, left.newest_read_of_any_since(link.linked_ctime_ns)
        read_at = _read_since(self._watch, row, recorded, link.linked_ctime_ns) or link.read_at
        return None if read_at is None else (Presence.FETCHED, max(read_at, self._removed_at()))

    def leftovers(self) -> list[str]:
        """Folders that no file stands in any more: the puller leaves them."""
        found = ((name, one) for name, one in self._entries.items() if one is not None and one.identity.is_folder)
        return [name for name, one in found if not one.statuses]

    def _left(self, link: LinkRow, recorded: Identity) -> TreeEntry | None:
        """What still stands of it, perhaps nothing or rewritten; None where something else has its name."""
        if link.export_name not in self._entries:
            return TreeEntry(recorded._replace(members=()), ())
        found = self._entries[link.export_name]
        if found is None or not (found.identity.is_folder and recorded.is_folder):
            return None
        is_empty = not found.identity.members
        return found if is_empty or is_made_of(found.identity, recorded) else None

    def _removed_at(self) -> float:
        """The last time that something went from the tree, or came."""
        try:
            return self._watch.export.stat().st_mtime
        except OSError:
            return 0.0


def _read_since(watch: WatchFolder, row: DumpRow, recorded: Identity, linked_ctime_ns: int) -> float | None:
    """When the dump's own files were read last, if each that has content was since; None too where it is gone."""
    folder, _, name = row.path.rpartition("/")
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
