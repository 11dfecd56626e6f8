"""Links of a file's descriptor, and folders built of them in staging, where nobody looks before they are whole."""

import os
from collections.abc import Iterable
from contextlib import suppress

from policy.links.folders import each_folder, within
from policy.links.source import Grip, check_same, recorded_folders
from tidegate import trace
from tidegate.identity import Hindered, Identity, Member
from tidegate.names import printable
from tidegate.terms import Reason


def link(grip: Grip, held: int, folder: int, name: str, member: Member) -> int:
    """Links the file with the descriptor ``held`` as ``name``, and checks what was made.

    Returns the stamp that a later read must pass, see ``Published``. Raises FileExistsError when the name is
    taken, Hindered, and OSError with the errno of the link; then the link does not stand.
    """
    trace.point("before link")
    try:
        # Of the descriptor, since a name could be swapped under us. All three arguments are needed: without a
        # folder's descriptor CPython calls link(2), which takes /proc's symbolic link itself and gives EXDEV.
        os.link(str(held), name, src_dir_fd=grip.proc, dst_dir_fd=folder, follow_symlinks=True)
    except FileNotFoundError:
        shown = printable(member.name or name)
        raise Hindered(Reason.MISSING, f"{shown} was removed while it was linked") from None
    trace.point("after link")
    return _verified(folder, name, member)


def _verified(folder: int, name: str, member: Member) -> int:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    try:
        check_same(status, member, member.name or "the dump")
    except Hindered:
        if status.st_ino == member.inode:  # else somebody took the name from us: what has it now is not ours
            os.unlink(name, dir_fd=folder)
        raise
    return max(status.st_ctime_ns, status.st_atime_ns)


def build_folder(grip: Grip, dump: int, staging: int, name: str, identity: Identity) -> int:
    """Builds the folder dump with the descriptor ``dump`` as ``name``: its folders, empty ones too, and files.

    Returns the newest stamp of its files, as ``link`` does. Raises Hindered and OSError; then a part stands.
    """
    newest = 0
    os.mkdir(name, 0o700, dir_fd=staging)
    for folder, steps, files, below in recorded_folders(dump, identity):
        with within(staging, (name, *steps)) as copy:
            for each in below:
                os.mkdir(each, 0o700, dir_fd=copy)
            newest = max(newest, _link_all(grip, folder, copy, files))
            _copy_attributes(os.fstat(folder), copy)
    return newest


def _link_all(grip: Grip, folder: int, copy: int, files: Iterable[tuple[str, Member]]) -> int:
    newest = 0
    for name, member in files:
        held = grip.hold(folder, name, member)
        try:
            newest = max(newest, link(grip, held, copy, name, member))
        finally:
            os.close(held)
    return newest


def _copy_attributes(status: os.stat_result, copy: int) -> None:
    """Mode, owner and times as `cp -al` gives them: who may read the dump's folder may read it here, no others.

    Its owner's own bits are kept on, since we must be able to remove the folder again.
    """
    os.fchmod(copy, status.st_mode & 0o777 | 0o700)
    with suppress(PermissionError):  # only root can give folders away; else it stays ours, as with `cp -al`
        os.fchown(copy, status.st_uid, status.st_gid)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def settle_folder(staging: int, name: str) -> None:
    """Makes a built folder lasting, every level of it. Raises OSError."""
    for folder, _, _ in each_folder(staging, (name,)):
        os.fsync(folder)
