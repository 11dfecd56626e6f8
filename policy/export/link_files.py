"""The files of a link, made of descriptors of the dump's: hard links, or copies that share its blocks (reflinks).

Who rewrites a dump afterwards reaches what was linked, and not what was copied. Folders are built in staging, where
nobody looks before they are whole.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress

from core import failpoints
from core.filenames import printable
from core.fs.fingerprint import DumpRejected, Identity, Member, check_unchanged
from core.fs.openat import open_below, open_new, sync_at
from core.fs.rename import reflink
from core.fs.subtree import each_folder
from core.reasons import Reason
from policy.export.dump_files import Opener, recorded_folders
from policy.export.errors import explain_copy
from policy.export.model import LinkRequest

_ACCESS_LIST = "system.posix_acl_access"
_NO_LIST = frozenset({errno.ENODATA, errno.EOPNOTSUPP})

# <linux/fs.h>
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_NOCOW_FL = 0x00800000

#: ``link``, or ``Copies.make``: of the file with this descriptor, in this folder under this name. Returns the stamp
#: that a later read must pass, see ``Published``.
Make = Callable[[Opener, int, int, str, Member], int]


def link(opener: Opener, held: int, folder: int, name: str, member: Member) -> int:
    """Links the file with the descriptor ``held`` as ``name``, and checks what was made.

    Raises FileExistsError when the name is taken, DumpRejected, and OSError with the errno of the link; then nothing is
    linked.
    """
    failpoints.point("before link")
    try:
        # Of the descriptor, since a name could be swapped under us. All three arguments are needed: without a
        # folder's descriptor CPython calls link(2), which takes /proc's symbolic link itself and gives EXDEV.
        os.link(str(held), name, src_dir_fd=opener.proc, dst_dir_fd=folder, follow_symlinks=True)
    except FileNotFoundError:
        shown = printable(member.name or name)
        raise DumpRejected(Reason.MISSING, f"{shown} was removed while it was linked") from None
    failpoints.point("after link")
    return _verified(folder, name, member)


def _verified(folder: int, name: str, member: Member) -> int:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    try:
        check_unchanged(status, member, member.name or "the dump")
    except DumpRejected:
        if status.st_ino == member.inode:  # else somebody took the name from us: what has it now is not ours
            os.unlink(name, dir_fd=folder)
        raise
    return max(status.st_ctime_ns, status.st_atime_ns)


class Copies:
    """Makes copies where ``link`` makes links, and keeps which inodes they have, by the names of the members."""

    def __init__(self) -> None:
        self._inodes: dict[str, int] = {}

    def make(self, opener: Opener, held: int, folder: int, name: str, member: Member) -> int:
        """Copies the file with the descriptor ``held`` as ``name``, and checks that it was not written meanwhile.

        Returns the stamp as ``link`` does. Raises DumpRejected; then a part of it may be left.
        """
        if fcntl.fcntl(held, fcntl.F_GETFL) & os.O_PATH:
            raise DumpRejected(Reason.LINK_ERROR, explain_copy(OSError(errno.EACCES, "")))
        failpoints.point("before link")
        copy = open_new(name, folder)
        try:
            _clone(held, copy)
            copy_attributes(held, copy)
            failpoints.point("after link")
            check_unchanged(os.fstat(held), member, member.name or "the dump")
            status = os.fstat(copy)
        finally:
            os.close(copy)
        self._inodes[member.name] = status.st_ino
        return max(status.st_ctime_ns, status.st_atime_ns)

    def identity(self, dump: Identity) -> Identity:
        """What the copy of ``dump`` is, all of whose members were copied."""
        return dump.of_inodes([self._inodes[member.name] for member in dump.members])


def _clone(source: int, copy: int) -> None:
    try:
        _follow_nocow(source, copy)
        reflink(source, copy)
    except OSError as error:
        raise DumpRejected(Reason.LINK_ERROR, explain_copy(error)) from None


def _follow_nocow(source: int, copy: int) -> None:
    """Btrfs shares no blocks between a file without copy-on-write (chattr +C, as libvirt sets it) and one with."""
    try:
        flags = _flags(source)
    except OSError:  # a filesystem without flags
        return
    if flags & _FS_NOCOW_FL:
        fcntl.ioctl(copy, _FS_IOC_SETFLAGS, struct.pack("l", _flags(copy) | _FS_NOCOW_FL))


def _flags(file: int) -> int:
    found: int = struct.unpack("l", fcntl.ioctl(file, _FS_IOC_GETFLAGS, struct.pack("l", 0)))[0]
    return found


# --- folders


def build_folder(opener: Opener, dump: int, staging: int, request: LinkRequest, *, make: Make) -> int:
    """Builds the folder dump with the descriptor ``dump`` in staging: its folders, empty ones too, and files.

    Returns the newest stamp of its files. Raises DumpRejected and OSError; then a part of it is left.
    """
    newest, name = 0, str(request.link_id)
    os.mkdir(name, 0o700, dir_fd=staging)
    for folder, steps, files, below in recorded_folders(dump, request.identity):
        with open_below(staging, (name, *steps)) as copy:
            for each in below:
                os.mkdir(each, 0o700, dir_fd=copy)
            for each, member in files:
                held = opener.hold(folder, each, member, request.most_names)
                try:
                    newest = max(newest, make(opener, held, copy, each, member))
                finally:
                    os.close(held)
            copy_attributes(folder, copy, also=0o700)  # we must be able to remove it again
    return newest


def sync_built(staging: int, name: str, *, is_folder: bool, is_copy: bool) -> None:
    """Makes what was built survive a power cut: a folder at every level, and a copy's files. Raises OSError."""
    if not is_folder:
        sync_at(staging, name)
        return
    for folder, _, entries in each_folder(staging, (name,)):
        for entry in entries if is_copy else ():
            if entry.is_file(follow_symlinks=False):
                sync_at(folder, entry.name)
        os.fsync(folder)


# --- who may read the dump may read what is made of it, and nobody else


def copy_attributes(source: int, copy: int, *, also: int = 0) -> None:
    """Gives the file or folder with the descriptor ``copy`` the owner, mode, access list and times of ``source``.

    ``also``: bits of the mode besides. Only root can give something away; else it stays ours, and the group's where
    we are in it. Raises OSError.
    """
    status = os.fstat(source)
    _give_away(copy, status)
    # Before the mode: where there is a list, the group's bits are its mask, and alone they would open it to the group.
    _copy_access_list(source, copy)
    os.fchmod(copy, status.st_mode & 0o777 | also)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def _give_away(copy: int, status: os.stat_result) -> None:
    try:
        os.fchown(copy, status.st_uid, status.st_gid)
    except PermissionError:
        with suppress(PermissionError):
            os.fchown(copy, -1, status.st_gid)


def _copy_access_list(source: int, copy: int) -> None:
    try:
        access = os.getxattr(source, _ACCESS_LIST)
    except OSError as error:
        if error.errno in _NO_LIST:
            return
        raise
    os.setxattr(copy, _ACCESS_LIST, access)
