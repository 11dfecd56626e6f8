"""What an export tree holds under one name, looked at without leaving a trace."""

import os
import stat
from dataclasses import dataclass

from core.clock import time_of_files_ns
from core.fs.fingerprint import DumpRejected, Identity, Member, check_depth
from core.fs.subtree import each_folder
from policy.export.model import Presence, Published


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """The files under one name and their status, in the order of ``identity.members``."""

    identity: Identity
    statuses: tuple[os.stat_result, ...]

    @property
    def ctime_ns(self) -> int:
        """``Published.ctime_ns`` of what was not seen being made: the newest change of any file's status.

        A read in the future is of a time when the clock was wrong, perhaps before this was linked or rewritten: only a
        later one counts.
        """
        now = time_of_files_ns()
        changes = [status.st_ctime_ns for status in self.statuses]
        return max([*changes, *(one.st_atime_ns for one in self.statuses if one.st_atime_ns > now)], default=0)

    @property
    def exclusive_bytes(self) -> int:
        """Bytes on the disk of those of its files that have no other name: what is freed when they go."""
        return sum(status.st_blocks * 512 for status in self.statuses if status.st_nlink == 1)

    def published(self, dump: Identity) -> Published:
        """As if it had been made just now of ``dump``."""
        return Published(self.ctime_ns, None if self.identity == dump else self.identity)

    def newest_read_since(self, ctime_ns: int) -> float | None:
        """Seconds since the epoch of the newest read, when every file with content was read after ``ctime_ns``."""
        reads = [status.st_atime_ns for status in self.statuses if status.st_size]
        return max(reads) / 1e9 if reads and min(reads) > ctime_ns else None

    def newest_read_of_any_since(self, ctime_ns: int) -> float | None:
        """The same when any of them was read after ``ctime_ns``."""
        reads = [status.st_atime_ns for status in self.statuses if status.st_size and status.st_atime_ns > ctime_ns]
        return max(reads) / 1e9 if reads else None

    def is_unread_since(self, ctime_ns: int) -> bool:
        """True when no file with content was read after ``ctime_ns``, as far as the mount keeps the times of reads."""
        return all(status.st_atime_ns <= ctime_ns for status in self.statuses if status.st_size)


def entry_at(tree: int, name: str, device: int | None = None) -> TreeEntry | None:
    """What is called ``name``; None for what is no dump: a symbolic link, a special file, a folder that holds one.

    ``device`` is the tree's, from who looks at many. Raises OSError, FileNotFoundError where nothing has the name.
    """
    if device is None:
        device = os.fstat(tree).st_dev
    status = os.stat(name, dir_fd=tree, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        return _folder_at(tree, name, device)
    if not stat.S_ISREG(status.st_mode) or status.st_dev != device:
        return None
    return TreeEntry(Identity(False, (Member.of("", status),)), (status,))


def _folder_at(tree: int, name: str, device: int) -> TreeEntry | None:
    found = []
    try:
        for _, steps, entries in each_folder(tree, (name,)):
            check_depth(steps[1:])
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if status.st_dev != device:
                    return None
                if stat.S_ISREG(status.st_mode):
                    found.append((Member.of("/".join((*steps[1:], entry.name)), status), status))
                elif not stat.S_ISDIR(status.st_mode):
                    return None
    except (DumpRejected, FileNotFoundError):
        return None  # too deep; or a puller removes it file by file just now
    found.sort(key=lambda file: file[0].name)
    return TreeEntry(Identity(True, tuple(member for member, _ in found)), tuple(status for _, status in found))


def link_at(tree: int, name: str, recorded: Identity, *, copied: bool = False) -> TreeEntry | None:
    """What is called ``name``, if it is exactly what was recorded, or when ``copied`` a copy of it. Raises OSError."""
    try:
        found = entry_at(tree, name)
    except FileNotFoundError:
        return None
    if found is None:
        return None
    is_it = found.identity == recorded or (copied and found.identity.is_copy_of(recorded))
    return found if is_it else None


def presence(tree: int, name: str, recorded: Identity) -> Presence:
    """What has become of the link ``name`` in the tree with this descriptor. Raises OSError."""
    try:
        found = entry_at(tree, name)
    except FileNotFoundError:
        return Presence.ABSENT
    return compare(None if found is None else found.identity, recorded)


def compare(found: Identity | None, recorded: Identity) -> Presence:
    """What has become of a link that was recorded so, where this has its name."""
    if found == recorded:
        return Presence.INTACT
    if found is not None and _inodes(found) == _inodes(recorded):
        return Presence.CHANGED
    return Presence.OTHER


def is_made_of(found: Identity | None, recorded: Identity) -> bool:
    """True when each file that was found is a recorded one, changed or not, and there is at least one."""
    return found is not None and bool(found.members) and _inodes(found) <= _inodes(recorded)


def _inodes(identity: Identity) -> set[tuple[str, int]]:
    """Names and inodes; a dump that is one file has the empty name, which no file of a folder has."""
    return {(member.name, member.inode) for member in identity.members}
