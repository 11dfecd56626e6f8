"""Tries out, on the real folders, what Tidegate lives by: links or reflinks, and the trace that a read leaves.

What is tried leaves nothing behind. If it is killed in between, a ``.tidegate-probe-…`` of one byte stands until the
next one is made there; no scan looks at dot names and the puller does not see it, since it stands beside the tree.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from core.fs.openat import open_folder, open_new, open_to_read
from core.fs.rename import reflink

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_REFLINKS = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EINVAL, errno.EXDEV})
_CLOSED = frozenset({errno.EACCES, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: More of them are seldom in use in one folder at a time.
_PROBES = 16


def link_fault(dumps: Path, tree: Path) -> str | None:
    """Why no dump in the folder ``dumps`` can be linked into ``tree``; None if it can.

    The test link is made beside the tree, where Tidegate stages its links, or in the nearest folder
    that exists. Whether the tree itself is on another mount is found out without touching it.
    """
    if (fault := _no_tree(tree)) is not None:
        return fault
    beside = _nearest(tree.parent)
    try:
        _try_link(dumps, beside, tree)
    except OSError as error:
        return _sentence(error, dumps, beside, tree)
    return None


def reflink_fault(dumps: Path, tree: Path) -> str | None:
    """Why no dump in the folder ``dumps`` can be copied into ``tree`` by sharing its blocks; None if it can.

    As ``link_fault``; where the dumps lie in a folder that is not ours to write, both test files are made beside
    the tree.
    """
    if (fault := _no_tree(tree)) is not None:
        return fault
    beside = _nearest(tree.parent)
    try:
        _try_reflink(dumps, beside, tree)
    except OSError as error:
        if error.errno not in _NO_REFLINKS:
            return _sentence(error, dumps, beside, tree)
        return (
            f"the filesystem of {dumps} and {tree} supports no reflinks ({_reason(error)}): they need one xfs (made "
            'with reflink=1) or btrfs that has both; leave publish = "reflink" out, or move them there'
        )
    return None


def shows_reads(tree: Path) -> bool:
    """Whether the mount of ``tree`` keeps the time of a read, found out by a real one beside the tree.

    Where nothing can be written there, the options of the mount must do.
    """
    beside = _nearest(tree.parent)
    try:
        with open_folder(beside) as folder, _probe_file(folder) as name:
            return _read_leaves_trace(folder, name)
    except OSError:
        return not os.statvfs(beside).f_flag & os.ST_NOATIME


def _no_tree(tree: Path) -> str | None:
    """A tree that is a symlink could lead anywhere, and whoever owns the dumps may have put it there."""
    try:
        mode = tree.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{tree} cannot be read: {(error.strerror or str(error)).lower()}"
    if stat.S_ISLNK(mode):
        return f"{tree} is a symlink; name the folder that it leads to"
    return None if stat.S_ISDIR(mode) else f"{tree} is not a folder; name one, or one that can be made"


def _try_link(dumps: Path, beside: Path, tree: Path) -> None:
    """Raises the OSError that a real link would meet."""
    with open_folder(dumps) as source, open_folder(beside) as target:
        _one_mount(source, target)
        if os.path.lexists(tree):
            with open_folder(tree) as inside:
                _one_mount(target, inside)
        # Dumps may lie in a folder that is not ours to write: then comparing the mounts must do.
        if _writable(source) or not _writable(target):
            _test_link(source, target)


def _try_reflink(dumps: Path, beside: Path, tree: Path) -> None:
    """Raises the OSError that a real copy would meet, or its move into the tree."""
    with open_folder(dumps) as source, open_folder(beside) as target:
        if os.path.lexists(tree):
            with open_folder(tree) as inside:
                _one_mount(target, inside)
        origin = source if _writable(source) else target
        with _probe_file(origin) as name, _probe_file(target) as copy:
            one, other = (os.open(each, os.O_RDWR, dir_fd=at) for each, at in ((name, origin), (copy, target)))
            try:
                reflink(one, other)
            finally:
                os.close(one)
                os.close(other)


def _one_mount(one: int, other: int) -> None:
    """Raises EXDEV where two folders are on different mounts; makes nothing in either.

    The kernel compares the mounts before it looks for the names, so that renaming what is not there
    says EXDEV across mounts and ENOENT within one. Subvolumes differ by their device only.
    """
    if os.fstat(one).st_dev != os.fstat(other).st_dev:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    nothing = _probe_name()
    try:
        os.rename(nothing, nothing, src_dir_fd=one, dst_dir_fd=other)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise


def _test_link(source: int, target: int) -> None:
    with _probe_file(source) as name, _probe_link(source, name, target) as link:
        one, other = os.stat(name, dir_fd=source), os.stat(link, dir_fd=target)
        if not os.path.samestat(one, other):  # a filesystem of layers may have made a copy
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def _sentence(error: OSError, dumps: Path, beside: Path, tree: Path) -> str | None:
    if error.errno in _FULL:
        return None  # a full disk is nothing that the configuration could mend
    if error.errno == errno.EXDEV:
        return (
            f"{tree} and the dumps in {dumps} are not on one mount, and a hard link stays within one; "
            "causes: another filesystem, a bind mount (two ReadWritePaths= of one systemd unit are two), "
            "a btrfs subvolume; name a folder on the mount of the dumps"
        )
    reason = _reason(error)
    # A folder is opened by its whole path; whatever has a bare name is a probe, and beside the tree.
    where = beside / (error.filename if str(error.filename).startswith("/") else "")
    if error.errno in _CLOSED:
        return (
            f"no link can be made in {where} (uid {os.geteuid()}: {reason}); give this user the right to "
            "write there, or run this as the user of the service"
        )
    if error.errno in _NO_HARD_LINKS:
        return f"the filesystem of {where} supports no hard links ({reason}); keep the dumps on one that does"
    return f"no link can be made in {where}: {reason}"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _read_leaves_trace(folder: int, name: str) -> bool:
    """Reads through a fresh link, as the puller does, and looks whether the time of access has moved."""
    # Long ago, so that the clock's grain does not matter: a read moves it or it does not.
    os.utime(name, ns=(0, 0), dir_fd=folder, follow_symlinks=False)
    with _probe_link(folder, name, folder) as link:
        reader = os.open(link, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.read(reader, 1)
        finally:
            os.close(reader)
        return os.stat(link, dir_fd=folder, follow_symlinks=False).st_atime_ns != 0


@contextlib.contextmanager
def _probe_file(folder: int) -> Iterator[str]:
    """A file of one byte in ``folder``, gone afterwards. Raises OSError where none can be made."""
    name, file = next(made for name in _free_names(folder) if (made := _made(folder, name)) is not None)
    try:
        with _removed(folder, name):
            os.write(file, b"?")  # one byte: a filesystem may not even ask its server to read an empty file
            yield name
    finally:
        os.close(file)


def _made(folder: int, name: str) -> tuple[str, int] | None:
    """An empty file under this name, open, and locked as long as it is, under each of its names. None: it is taken."""
    try:
        file = open_new(name, folder)
    except FileExistsError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        is_ours = False
    except OSError:
        is_ours = True  # where nobody can lock, nobody takes it for one that was left
    else:
        is_ours = os.fstat(file).st_nlink > 0
    if is_ours:
        return name, file
    os.close(file)  # before it was locked another took it for one that was left
    return None


@contextlib.contextmanager
def _probe_link(source: int, name: str, target: int) -> Iterator[str]:
    """Another name of a probe file, in ``target``, gone afterwards. Raises OSError where none can be made."""
    for link in _free_names(target):
        with contextlib.suppress(FileExistsError):
            os.link(name, link, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            break
    with _removed(target, link):
        yield link


def _free_names(folder: int) -> Iterator[str]:
    """Names for probes. They are few, so that those that a killed one left are met again, and removed.

    Whoever may write there may have taken all of them: then random ones follow, without end.
    """
    names = [f".tidegate-probe-{number}" for number in range(_PROBES)]
    yield from [name for name in names if _clear(folder, name)]
    while True:
        yield _probe_name()


def _clear(folder: int, name: str) -> bool:
    """Removes what a killed probe left under this name. False where one is in use, or something else stands there."""
    try:
        left = open_to_read(name, folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another may have removed it since it was opened, and have made its own: that one is locked, ours is not.
        if os.path.samestat(os.fstat(left), os.stat(name, dir_fd=folder, follow_symlinks=False)):
            os.unlink(name, dir_fd=folder)
        return True
    except OSError:
        return False
    finally:
        os.close(left)


@contextlib.contextmanager
def _removed(folder: int, name: str) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _nearest(path: Path) -> Path:
    """``path`` or the nearest folder above it that exists."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _writable(folder: int) -> bool:
    return os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True)


def _probe_name() -> str:
    return f".tidegate-probe-{secrets.token_hex(8)}"
