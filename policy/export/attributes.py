"""Owner, mode, access list and times of what is made anew in the tree: who may read the dump may read it, no others."""

import errno
import os
from contextlib import suppress

_ACCESS_LIST = "system.posix_acl_access"
_NO_LIST = frozenset({errno.ENODATA, errno.EOPNOTSUPP})


def copy_attributes(source: int, copy: int, *, also: int = 0) -> None:
    """Gives the file or folder with the descriptor ``copy`` what ``source`` has; ``also``: bits of the mode besides.

    Only root can give something away; else it stays ours, and the group's where we are in it. Raises OSError.
    """
    status = os.fstat(source)
    _give_away(copy, status)
    # Before the mode: where a list stands, the group's bits are its mask, and alone they would open it to the group.
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
