"""What the standard library lacks: a rename that overwrites nothing, one that swaps two names, and the reflink."""

import ctypes
import errno
import fcntl
import os

_NOREPLACE = 1
_EXCHANGE = 2

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
if _renameat2 is not None:
    _renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

#: From filesystems and C libraries that know rename but not its flags.
_FLAGS_UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
#: A folder, a file that is not ours to link, or a filesystem without hard links.
_NO_LINK = frozenset({errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP})

_FICLONE = 0x40049409  # <linux/fs.h>


def rename_new(source: int, name: str, target: int, new_name: str) -> None:
    """Moves ``name`` to a name that is free.

    Raises FileExistsError when it is not, and nothing moved; any other OSError likewise.
    """
    try:
        _rename(source, name, target, new_name, _NOREPLACE)
    except OSError as error:
        if error.errno not in _FLAGS_UNKNOWN:
            raise
        _rename_new_without_flags(source, name, target, new_name)


def exchange(first: int, name: str, second: int, other_name: str, aside: str) -> str:
    """Swaps two names that both exist. Returns where the second one is now, in the folder ``first``.

    That is ``name``; on a filesystem that cannot swap it is ``aside``, and ``other_name`` was absent for an instant.
    """
    try:
        _rename(first, name, second, other_name, _EXCHANGE)
    except OSError as error:
        if error.errno not in _FLAGS_UNKNOWN:
            raise
        _exchange_without_flags(first, name, second, other_name, aside)
        return aside
    return name


def reflink(source: int, copy: int) -> None:
    """Makes the empty file ``copy`` hold what ``source`` holds, with shared blocks: btrfs, and xfs with reflink=1.

    Two descriptors, to be written and to be read. Raises OSError: EOPNOTSUPP, EINVAL or ENOTTY where the filesystem
    cannot, EXDEV between two of them.
    """
    fcntl.ioctl(copy, _FICLONE, source)


def _rename(source: int, name: str, target: int, new_name: str, flag: int) -> None:
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    if _renameat2(source, os.fsencode(name), target, os.fsencode(new_name), flag):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _rename_new_without_flags(source: int, name: str, target: int, new_name: str) -> None:
    """A link never overwrites, so it serves for a file. A folder's rename overwrites at most an empty folder."""
    try:
        os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _refuse_existing(target, new_name)
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
    else:
        os.unlink(name, dir_fd=source)


def _refuse_existing(folder: int, name: str) -> None:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def _exchange_without_flags(first: int, name: str, second: int, other_name: str, aside: str) -> None:
    os.rename(other_name, aside, src_dir_fd=second, dst_dir_fd=first)
    try:
        os.rename(name, other_name, src_dir_fd=first, dst_dir_fd=second)
    except OSError:
        os.rename(aside, other_name, src_dir_fd=first, dst_dir_fd=second)
        raise
