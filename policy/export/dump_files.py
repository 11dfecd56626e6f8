"""The dump as it is now: opened by descriptor, compared with its record, rejected while it is being written."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from core.errors import FaultError
from core.filenames import printable
from core.fs.fingerprint import (
    DumpRejected,
    Identity,
    Member,
    allowed_owners,
    check_depth,
    check_file,
    check_unchanged,
)
from core.fs.lease import take_read_lease
from core.fs.openat import Steps, open_folder, open_folder_at, open_to_read, open_unread, reopen_to_read
from core.fs.subtree import each_folder
from core.reasons import Reason
from policy.export.errors import explain, failure
from policy.export.model import LinkFailure

_OWN_DESCRIPTORS = "/proc/self/fd"

#: Files of one folder: the name in it, and the record.
Files = list[tuple[str, Member]]
#: A dump: the watch folder, the path below it, and what was recorded.
Dump = tuple[Path, str, Identity]
_ANY: Mapping[int, int] = MappingProxyType({})


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
    """Takes hold of files: whose files may be taken, and the descriptor from ``own_descriptors``."""

    owners: frozenset[int]
    proc: int

    def hold(self, folder: int, name: str, member: Member, most_names: int | None) -> int:
        """A descriptor of exactly the recorded file; while it is open nobody can open the file for writing.

        The last holds only where we may take a lease: on our own files or with CAP_LEASE, on a filesystem that
        has leases. ``most_names``: more hard links than these make a file ``unsafe``; None: any number will do.
        Raises DumpRejected (``missing``, ``unsafe``, ``changed``, ``open``) and OSError.
        """
        shown = member.name or name
        try:
            bare = open_unread(name, folder)
        except FileNotFoundError:
            raise _missing(shown) from None
        try:
            self._compare(os.fstat(bare), member, most_names, shown)
            readable = _leased(reopen_to_read, str(bare), self.proc, shown)
        except BaseException:
            os.close(bare)
            raise
        if readable is None:
            return bare
        os.close(bare)
        return readable

    def look(self, folder: int, name: str, member: Member, most_names: int | None) -> None:
        """Raises what ``hold`` would raise now. By the name, since it is no more than a forecast: nothing is linked."""
        shown = member.name or name
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise _missing(shown) from None
        self._compare(status, member, most_names, shown)
        readable = _leased(open_to_read, name, folder, shown)
        if readable is not None:
            os.close(readable)

    def _compare(self, status: os.stat_result, member: Member, most_names: int | None, shown: str) -> None:
        if stat.S_ISDIR(status.st_mode):
            raise DumpRejected(Reason.CHANGED, f"{printable(shown)} was a file and is a folder now")
        check_file(status, shown, self.owners)
        if most_names is not None and status.st_nlink > most_names:
            found = f"{printable(shown)} has {status.st_nlink} names"
            raise DumpRejected(Reason.UNSAFE, f'{found}, and links = "strict" allows {most_names}: find out whose')
        check_unchanged(status, member, shown)


def _leased(opening: Callable[[str, int], int], name: str, folder: int, shown: str) -> int | None:
    """A descriptor with a read lease; None where we may not read: we may link it all the same."""
    try:
        readable = opening(name, folder)
    except BlockingIOError:
        raise _open_for_writing(shown) from None
    except OSError:
        return None
    try:
        take_read_lease(readable)
    except BlockingIOError:
        os.close(readable)
        raise _open_for_writing(shown) from None
    return readable


def _missing(shown: str) -> DumpRejected:
    return DumpRejected(Reason.MISSING, f"{printable(shown)} is not there any more")


def _open_for_writing(shown: str) -> DumpRejected:
    return DumpRejected(Reason.OPEN, f"{printable(shown)} is open for writing")


@contextmanager
def opened_parent(source: Path, parent: str) -> Iterator[int]:
    """The folder ``parent`` (``a/b``, empty for ``source`` itself) that holds a dump, as a descriptor.

    Raises DumpRejected: ``missing``, ``unsafe`` for ``..`` and symbolic links, ``link_error``.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(open_folder(source, *_steps(parent)))
        except OSError as error:
            raise _rejection_of(error, parent) from None
        yield folder


def _steps(parent: str) -> list[str]:
    return [part(each) for each in parent.split("/")] if parent else []


def part(name: str) -> str:
    """``name``, when it is one part of a path. Raises DumpRejected(``unsafe``)."""
    if name in {"", ".", ".."} or "\0" in name:
        raise DumpRejected(Reason.UNSAFE, "the dump's path does not lead straight down from the watch folder")
    return name


def _rejection_of(error: OSError, parent: str) -> DumpRejected:
    shown = printable(parent) or "the watch folder"
    if isinstance(error, FileNotFoundError):
        return DumpRejected(Reason.MISSING, f"{shown}, the dump's folder, is not there any more")
    if isinstance(error, NotADirectoryError):
        return DumpRejected(Reason.UNSAFE, f"a part of {shown} is a symbolic link or no folder")
    return DumpRejected(Reason.LINK_ERROR, explain(error))


@contextmanager
def opened_dump(folder: int, name: str) -> Iterator[int]:
    """A dump that is a folder, as a descriptor. Raises DumpRejected: ``missing``, ``unsafe``, ``changed``."""
    try:
        dump = open_folder_at(folder, name)
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

    Ends with DumpRejected(``changed``) unless the files are those that were recorded, no more and no less; a symbolic
    link or a special file among them is ``unsafe``. Also raises OSError.
    """
    left = {member.name: member for member in identity.members}
    try:
        for folder, steps, entries in each_folder(dump):
            check_depth(steps)
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


# --- a look at many


def check_all(dumps: Sequence[Dump], most_names: Mapping[int, int] = _ANY) -> list[LinkFailure | None]:
    """The cheap look before anything is charged: for each dump None when it could be linked now, else why not.

    ``most_names``: place in ``dumps`` -> how many hard links each of its files may have, where that matters. What is
    linked is looked at again then. Raises FaultError when /proc is missing.
    """
    outcomes: list[LinkFailure | None] = [None] * len(dumps)
    with own_descriptors() as proc:
        for (source, parent), numbers in by_folder((source, path) for source, path, _ in dumps).items():
            try:
                with opened_parent(source, parent) as folder:
                    opener = Opener(allowed_owners(source), proc)
                    for number in numbers:
                        outcomes[number] = _check(opener, folder, dumps[number], most_names.get(number))
            except DumpRejected as rejection:
                for number in numbers:
                    outcomes[number] = failure(rejection, proven_absent=True)
    return outcomes


def by_folder(dumps: Iterable[tuple[Path, str]]) -> dict[tuple[Path, str], list[int]]:
    """The numbers of the dumps by the folder that holds them: each is opened once, and one is open at a time."""
    folders: dict[tuple[Path, str], list[int]] = {}
    for number, (source, path) in enumerate(dumps):
        folders.setdefault((source, path.rpartition("/")[0]), []).append(number)
    return folders


def _check(opener: Opener, folder: int, dump: Dump, most_names: int | None) -> LinkFailure | None:
    _, path, identity = dump
    try:
        name = part(path.rpartition("/")[2])
        if identity.is_folder:
            _check_folder(opener, folder, name, identity, most_names)
        else:
            opener.look(folder, name, identity.members[0], most_names)
    except (DumpRejected, OSError) as error:
        return failure(error, proven_absent=True)
    return None


def _check_folder(opener: Opener, folder: int, name: str, identity: Identity, most_names: int | None) -> None:
    with opened_dump(folder, name) as dump:
        for inside, _, files, _ in recorded_folders(dump, identity):
            for each, member in files:
                opener.look(inside, each, member, most_names)
