"""Copies of a file that share its blocks (reflinks): who rewrites the dump afterwards does not reach them."""

import errno
import fcntl
import os
import struct
from collections.abc import Mapping

from core import failpoints
from core.enums import Reason
from core.fs.fingerprint import DumpRejected, Identity, Member
from core.fs.reflinks import reflink
from policy.export.attributes import copy_attributes
from policy.export.dump_files import Opener, check_same
from policy.export.errors import explain_copy

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# <linux/fs.h>
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_NOCOW_FL = 0x00800000


class Copies:
    """Makes copies where ``build.link`` makes links, and keeps which inodes they have, by the names of the members."""

    def __init__(self) -> None:
        self._inodes: dict[str, int] = {}

    def make(self, opener: Opener, held: int, folder: int, name: str, member: Member) -> int:
        """Copies the file with the descriptor ``held`` as ``name``, and checks that it was not written meanwhile.

        Returns the stamp as ``build.link`` does. Raises Hindered; then a part may stand.
        """
        if fcntl.fcntl(held, fcntl.F_GETFL) & os.O_PATH:
            raise DumpRejected(Reason.LINK_ERROR, explain_copy(OSError(errno.EACCES, "")))
        failpoints.point("before link")
        copy = os.open(name, _NEW, 0o600, dir_fd=folder)
        try:
            _clone(held, copy)
            copy_attributes(held, copy)
            failpoints.point("after link")
            check_same(os.fstat(held), member, member.name or "the dump")
            status = os.fstat(copy)
        finally:
            os.close(copy)
        self._inodes[member.name] = status.st_ino
        return max(status.st_ctime_ns, status.st_atime_ns)

    def identity(self, dump: Identity) -> Identity:
        """What the copy of ``dump`` is, all of whose members were copied."""
        return dump.of_inodes(_in_order(self._inodes, dump))


def _in_order(inodes: Mapping[str, int], dump: Identity) -> list[int]:
    return [inodes[member.name] for member in dump.members]


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
