"""The dump as it is now: opened by descriptor, compared with its record, refused while it is being written."""

import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.enums import Reason
from core.errors import FaultError
from core.filenames import printable
from core.fs.fingerprint import DumpRejected, Identity, Member, check_file, open_folder
from policy.export.errors import explain
from policy.export.folders import FOLDER_FLAGS, Steps, each_folder

_BARE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READABLE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OWN_DESCRIPTORS = "/proc/self/fd"

#: Files of one folder: the name in it, and the record.
Files = list[tuple[str, Member]]


@contextmanager
def own_descriptors() -> Iterator[int]:
    """The folder in which /proc shows our descriptors, itself as a descriptor; not to be kept across a fork."""
    try:
        proc = os.open(_OWN_DESCRIPTORS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FaultError(f"{_OWN_DESCRIPTORS} is needed for safe links; is /proc mounted? {explain(error)}") from None
    try:
        yield proc
    finally:
        os.close(proc)


@dataclass(frozen=True, slots=True)
class Opener:
    """Takes hold of files: whose files may be taken, the descriptor from ``own_descriptors``, and how many names.

    ``most_names``: more hard links than these make a file ``unsafe``; None: any number will do.
    """

    owners: frozenset[int]
    proc: int
    most_names: int | None = None

    def hold(self, folder: int, name: str, member: Member) -> int:
        """A descriptor of exactly the recorded file; while it is open nobody can open the file for writing.

        The last holds only where we may take a lease: on our own files or with CAP_LEASE, on a filesystem that
        has leases. Raises Hindered (``missing``, ``unsafe``, ``changed``, ``open``) and OSError.
        """
        shown = member.name or name
        bare = _open_bare(folder, name, shown)
        try:
            self._compare(os.fstat(bare), member, shown)
            readable = _open_readable(str(bare), _READABLE, self.proc, shown)  # the inode again, and not its name
        except BaseException:
            os.close(bare)
            raise
        if readable is None:
            return bare
        os.close(bare)
        return readable

    def look(self, folder: int, name: str, member: Member) -> None:
        """Raises what ``hold`` would raise now. By the name, since it is no more than a forecast: nothing is linked."""
        shown = member.name or name
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise _missing(shown) from None
        self._compare(status, member, shown)
        readable = _open_readable(name, _READABLE | os.O_NOFOLLOW, folder, shown)
        if readable is not None:
            os.close(readable)

    def _compare(self, status: os.stat_result, member: Member, shown: str) -> None:
        if stat.S_ISDIR(status.st_mode):
            raise DumpRejected(Reason.CHANGED, f"{printable(shown)} was a file and is a folder now")
        check_file(status, shown, self.owners)
        if self.most_names is not None and status.st_nlink > self.most_names:
            found = f"{printable(shown)} has {status.st_nlink} names"
            raise DumpRejected(Reason.UNSAFE, f'{found}, and links = "strict" allows {self.most_names}: find out whose')
        check_same(status, member, shown)


def _open_bare(folder: int, name: str, shown: str) -> int:
    """O_PATH opens no device and waits for no FIFO; of a symbolic link it opens the link, which is then refused."""
    try:
        return os.open(name, _BARE, dir_fd=folder)
    except FileNotFoundError:
        raise _missing(shown) from None


def _open_readable(name: str, flags: int, folder: int, shown: str) -> int | None:
    """A descriptor with a read lease, which the kernel grants if nobody writes; None where we may not read.

    Opening is no reading: the access time stays. Who opens the file for writing meanwhile waits until we close, and
    we are told by a signal: by default SIGIO, which would end the process; SIGURG is ignored.
    """
    try:
        readable = os.open(name, flags, dir_fd=folder)
    except BlockingIOError:
        raise _open_for_writing(shown) from None
    except OSError:
        return None  # we may link it and not read it: there is no lease for us
    try:
        fcntl.fcntl(readable, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(readable, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        os.close(readable)
        raise _open_for_writing(shown) from None
    except OSError:
        pass  # not ours, or a filesystem without leases: size and modification time have to do
    return readable


def _missing(shown: str) -> DumpRejected:
    return DumpRejected(Reason.MISSING, f"{printable(shown)} is not there any more")


def _open_for_writing(shown: str) -> DumpRejected:
    return DumpRejected(Reason.OPEN, f"{printable(shown)} is open for writing")


def check_same(status: os.stat_result, member: Member, shown: str) -> None:
    """Raises Hindered(``changed``) unless this file is the one that was recorded, unchanged."""
    if status.st_ino != member.inode:
        raise DumpRejected(Reason.CHANGED, f"{printable(shown)} is another file than the one that was recorded")
    if status.st_size != member.size:
        told = f"{member.size} bytes were recorded, it has {status.st_size}"
        raise DumpRejected(Reason.CHANGED, f"{printable(shown)} has another size: {told}")
    if status.st_mtime_ns != member.mtime_ns:
        raise DumpRejected(Reason.CHANGED, f"{printable(shown)} was modified after it was recorded")


@contextmanager
def opened_parent(source: Path, parent: str) -> Iterator[int]:
    """The folder ``parent`` (``a/b``, empty for ``source`` itself) that holds a dump, as a descriptor.

    Raises Hindered: ``missing``, ``unsafe`` for ``..`` and symbolic links, ``link_error``.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(open_folder(source, *_steps(parent)))
        except OSError as error:
            raise _hindrance_of(error, parent) from None
        yield folder


def _steps(parent: str) -> list[str]:
    return [part(each) for each in parent.split("/")] if parent else []


def part(name: str) -> str:
    """``name``, when it is one part of a path. Raises Hindered(``unsafe``)."""
    if name in {"", ".", ".."} or "\0" in name:
        raise DumpRejected(Reason.UNSAFE, "the dump's path does not lead straight down from the watch folder")
    return name


def _hindrance_of(error: OSError, parent: str) -> DumpRejected:
    shown = printable(parent) or "the watch folder"
    if isinstance(error, FileNotFoundError):
        return DumpRejected(Reason.MISSING, f"{shown}, the dump's folder, is not there any more")
    if isinstance(error, NotADirectoryError):
        return DumpRejected(Reason.UNSAFE, f"a part of {shown} is a symbolic link or no folder")
    return DumpRejected(Reason.LINK_ERROR, explain(error))


@contextmanager
def opened_dump(folder: int, name: str) -> Iterator[int]:
    """A dump that is a folder, as a descriptor. Raises Hindered: ``missing``, ``unsafe``, ``changed``."""
    try:
        dump = os.open(name, FOLDER_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        raise DumpRejected(Reason.MISSING, f"{printable(name)} is not there any more") from None
    except NotADirectoryError:
        raise _no_folder_now(folder, name) from None
    try:
        yield dump
    finally:
        os.close(dump)


def _no_folder_now(folder: int, name: str) -> DumpRejected:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return DumpRejected(Reason.MISSING, f"{printable(name)} is not there any more")
    if stat.S_ISLNK(status.st_mode):
        return DumpRejected(Reason.UNSAFE, f"{printable(name)} is a symbolic link now")
    return DumpRejected(Reason.CHANGED, f"{printable(name)} was a folder and is none now")


def recorded_folders(dump: int, identity: Identity) -> Iterator[tuple[int, Steps, Files, list[str]]]:
    """Each folder of the dump with this descriptor: its descriptor, the steps to it, its files, its folders.

    Ends with Hindered(``changed``) unless the files are those that were recorded, no more and no less; a symbolic
    link or a special file among them is ``unsafe``. Also raises OSError.
    """
    left = {member.name: member for member in identity.members}
    try:
        for folder, steps, entries in each_folder(dump):
            below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            files = [entry for entry in entries if not entry.is_dir(follow_symlinks=False)]
            yield folder, steps, [(entry.name, _take(left, steps, entry)) for entry in files], below
    except FileNotFoundError:
        raise DumpRejected(Reason.CHANGED, "one of its folders went away while it was looked at") from None
    except NotADirectoryError:
        raise DumpRejected(Reason.UNSAFE, "one of its folders was swapped for something else") from None
    for name in left:
        raise DumpRejected(Reason.CHANGED, f"{printable(name)} is not there any more")


def _take(left: dict[str, Member], steps: Steps, entry: os.DirEntry[str]) -> Member:
    whole = "/".join((*steps, entry.name))
    member = left.pop(whole, None)
    if member is not None:
        return member
    if entry.is_file(follow_symlinks=False):
        raise DumpRejected(Reason.CHANGED, f"{printable(whole)} was not there when the dump was recorded")
    raise DumpRejected(Reason.UNSAFE, f"{printable(whole)} is a symbolic link or a special file")
