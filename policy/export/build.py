"""Links of a file's descriptor, and folders built of them in staging, where nobody looks before they are whole."""

import os
from collections.abc import Callable, Iterable

from core import failpoints
from core.enums import Reason
from core.filenames import printable
from core.fs.fingerprint import DumpRejected, Identity, Member
from policy.export.attributes import copy_attributes
from policy.export.dump_files import Opener, check_same, recorded_folders
from policy.export.folders import each_folder, within

#: ``link``, or what makes copies: a file of ours with this descriptor, to stand in this folder under this name.
#: Returns the stamp that a later read must pass, see ``Published``.
Make = Callable[[Opener, int, int, str, Member], int]


def link(opener: Opener, held: int, folder: int, name: str, member: Member) -> int:
    """Links the file with the descriptor ``held`` as ``name``, and checks what was made.

    Raises FileExistsError when the name is taken, Hindered, and OSError with the errno of the link; then the link
    does not stand.
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
        check_same(status, member, member.name or "the dump")
    except DumpRejected:
        if status.st_ino == member.inode:  # else somebody took the name from us: what has it now is not ours
            os.unlink(name, dir_fd=folder)
        raise
    return max(status.st_ctime_ns, status.st_atime_ns)


def build_folder(opener: Opener, dump: int, staging: int, name: str, identity: Identity, *, make: Make) -> int:
    """Builds the folder dump with the descriptor ``dump`` as ``name``: its folders, empty ones too, and files.

    Returns the newest stamp of its files. Raises Hindered and OSError; then a part stands.
    """
    newest = 0
    os.mkdir(name, 0o700, dir_fd=staging)
    for folder, steps, files, below in recorded_folders(dump, identity):
        with within(staging, (name, *steps)) as copy:
            for each in below:
                os.mkdir(each, 0o700, dir_fd=copy)
            newest = max(newest, _make_all(opener, folder, copy, files, make))
            copy_attributes(folder, copy, also=0o700)  # we must be able to remove it again
    return newest


def _make_all(opener: Opener, folder: int, copy: int, files: Iterable[tuple[str, Member]], make: Make) -> int:
    newest = 0
    for name, member in files:
        held = opener.hold(folder, name, member)
        try:
            newest = max(newest, make(opener, held, copy, name, member))
        finally:
            os.close(held)
    return newest


def settle(staging: int, name: str, *, is_folder: bool, is_copy: bool) -> None:
    """Makes what was built lasting: a folder at every level, and a copy's files. Raises OSError."""
    if not is_folder:
        _fsync(staging, name)
        return
    for folder, _, entries in each_folder(staging, (name,)):
        for entry in entries if is_copy else ():
            if entry.is_file(follow_symlinks=False):
                _fsync(folder, entry.name)
        os.fsync(folder)


def _fsync(folder: int, name: str) -> None:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(file)
    finally:
        os.close(file)
