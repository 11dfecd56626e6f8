"""What a dump is: its files, looked at by descriptor and never through a symbolic link.

The identity of a dump is the set of its files' names, inodes, sizes and modification times. The device number is
left out on purpose: btrfs and others give a filesystem a new one at each mount, and a reboot must not make every
dump look changed.

Named tuples and no dataclasses, whose module loads so much that ``tidegate mark`` would take half as long again.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.filenames import printable
from core.fs.openat import Steps, open_folder_at
from core.fs.subtree import each_folder
from core.reasons import Reason

#: Names under which programs write what is not finished yet.
_UNFINISHED = (".tmp", ".temp", ".partial", ".part", ".incomplete", ".filepart", ".crdownload", ".inprogress")
_UNFINISHED_VZDUMP = ("vzdump-", ".dat")
#: No dump has folders within folders deeper than this.
MAX_DEPTH = 64


class DumpRejected(Exception):
    """A dump cannot be taken: the reason, and a detail for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Member(NamedTuple):
    """One file of a dump. ``name`` is relative to the dump's folder, empty for a dump that is one file."""

    name: str
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, name: str, status: os.stat_result) -> "Member":
        """The file ``name`` as it is now."""
        return cls(name, status.st_ino, status.st_size, status.st_mtime_ns)

    def is_unchanged(self, status: os.stat_result) -> bool:
        """Whether this is the status of the very file that was recorded, not written to since."""
        return (status.st_ino, status.st_size, status.st_mtime_ns) == (self.inode, self.size, self.mtime_ns)


class Identity(NamedTuple):
    """The files of one dump, sorted by name."""

    is_folder: bool
    members: tuple[Member, ...]

    @property
    def bytes(self) -> int:
        """Apparent size, summed by name: an upper bound of what one synchronization sends."""
        return sum([member.size for member in self.members])

    @property
    def inodes(self) -> tuple[int, ...]:
        """Those of the members, in their order."""
        return tuple(member.inode for member in self.members)

    def of_inodes(self, inodes: Sequence[int]) -> "Identity":
        """A copy of this: files of the same names, sizes and times that have these inodes, in the order of members."""
        pairs = zip(self.members, inodes, strict=True)
        return Identity(self.is_folder, tuple(member._replace(inode=inode) for member, inode in pairs))

    def is_copy_of(self, other: "Identity") -> bool:
        """True when it differs in inodes alone: as rsync sees it, the same files."""
        return self != other and len(self.members) == len(other.members) and self == other.of_inodes(self.inodes)

    @property
    def newest_mtime_ns(self) -> int:
        """The latest modification of any file."""
        return max((member.mtime_ns for member in self.members), default=0)

    @property
    def fingerprint(self) -> str:
        """A short text that differs when any file's name, inode, size or modification time does."""
        if not self.is_folder:
            member = self.members[0]
            return f"{member.inode}:{member.size}:{member.mtime_ns}"
        import hashlib  # loads OpenSSL, a sixth of what `mark` may cost

        digest = hashlib.blake2b(digest_size=16)
        for member in self.members:
            digest.update(os.fsencode(member.name) + f"\0{member.inode}:{member.size}:{member.mtime_ns}\n".encode())
        return digest.hexdigest()


def allowed_owners(folder: int | os.PathLike[str]) -> frozenset[int]:
    """User ids whose files may be released from this watch folder: its owner, root and ourselves.

    Never of a folder below it, which may be a guest's own.
    """
    return frozenset({os.stat(folder).st_uid, 0, os.geteuid()})


def identify(folder: int, name: str, owners: frozenset[int]) -> Identity:
    """The identity of the dump ``name`` in the folder with this descriptor.

    Raises DumpRejected with ``missing``, ``unsafe``, ``running`` (a file that is named as unfinished) or
    ``verify_failed`` (nothing in it).
    """
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        raise DumpRejected(Reason.MISSING, "the marker's dump is not there") from None
    except OSError as error:
        raise DumpRejected(Reason.MISSING, f"the dump cannot be looked at: {error.strerror}") from None
    if stat.S_ISDIR(status.st_mode):
        identity = _identify_folder(folder, name, owners, status.st_dev)
    else:
        _refuse_unfinished(name)
        check_file(status, name, owners)
        identity = Identity(False, (Member.of("", status),))
    if identity.bytes == 0:
        raise DumpRejected(Reason.VERIFY_FAILED, "the dump is empty")
    return identity


def check_file(status: os.stat_result, name: str, owners: frozenset[int]) -> None:
    """Raises DumpRejected(``unsafe``) unless this is a plain file of an allowed owner without setuid or setgid."""
    if not stat.S_ISREG(status.st_mode):
        raise DumpRejected(Reason.UNSAFE, f"{printable(name)} is {_kind_of(status.st_mode)}, not a plain file")
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise DumpRejected(Reason.UNSAFE, f"{printable(name)} is setuid or setgid")
    if status.st_uid not in owners:
        raise DumpRejected(Reason.UNSAFE, f"{printable(name)} belongs to user id {status.st_uid}, who is no owner here")


def check_unchanged(status: os.stat_result, member: Member, shown: str) -> None:
    """Raises DumpRejected(``changed``) unless this file is the one that was recorded, unchanged."""
    if member.is_unchanged(status):
        return
    if status.st_ino != member.inode:
        why = "is another file than the one that was recorded"
    elif status.st_size != member.size:
        why = f"has another size: {member.size} bytes were recorded, it has {status.st_size}"
    else:
        why = "was modified after it was recorded"
    raise DumpRejected(Reason.CHANGED, f"{printable(shown)} {why}")


def check_depth(steps: Steps) -> None:
    """Raises DumpRejected(``unsafe``) for a folder that lies so many steps below its dump."""
    if len(steps) > MAX_DEPTH:
        raise DumpRejected(Reason.UNSAFE, f"its folders are nested more than {MAX_DEPTH} deep")


def _identify_folder(folder: int, name: str, owners: frozenset[int], device: int) -> Identity:
    try:
        descriptor = open_folder_at(folder, name)
    except OSError as error:
        raise DumpRejected(Reason.MISSING, f"the dump's folder cannot be opened: {error.strerror}") from None
    try:
        members = list(_members(descriptor, owners, device))
    except FileNotFoundError as error:
        raise DumpRejected(Reason.CHANGED, f"its files change while they are looked at: {error.filename}") from None
    except OSError as error:
        raise DumpRejected(Reason.MISSING, f"the dump's folder cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return Identity(True, tuple(sorted(members)))


def _members(dump: int, owners: frozenset[int], device: int) -> Iterator[Member]:
    for _, steps, entries in each_folder(dump):
        check_depth(steps)
        above = "".join(f"{step}/" for step in steps)
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if status.st_dev != device:
                raise DumpRejected(Reason.UNSAFE, f"{printable(above + entry.name)} lies on another filesystem")
            if not stat.S_ISDIR(status.st_mode):
                _refuse_unfinished(entry.name)
                check_file(status, above + entry.name, owners)
                yield Member.of(above + entry.name, status)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is still being written, by the usage of backup programs."""
    start, end = _UNFINISHED_VZDUMP
    return name.lower().endswith(_UNFINISHED) or (name.startswith(start) and name.endswith(end))


def _refuse_unfinished(name: str) -> None:
    if is_unfinished(name):
        raise DumpRejected(Reason.RUNNING, f"{printable(name)} is named as a file that is still being written")


def _kind_of(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")
