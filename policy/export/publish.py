"""One batch of links: made and checked, put in place, made durable; only then what they replaced is removed."""

import errno
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core import failpoints
from core.enums import Publish
from core.filenames import is_clean, printable
from core.fs.fingerprint import DumpRejected, Identity, allowed_owners
from core.fs.rename import exchange, rename_new
from core.fs.subtree import remove
from core.reasons import Reason
from policy.export.dump_files import Opener, by_folder, opened_dump, opened_parent, part
from policy.export.errors import explain, failure
from policy.export.inspect import compare, entry_at, link_at
from policy.export.link_files import Copies, build_folder, link, sync_built
from policy.export.model import LinkFailure, LinkRequest, Presence, Published

#: The disk serves together the fsyncs that wait together: 1,000 folders took 0.2 s so, and 3 s one by one.
#: Each holds three descriptors open.
_FSYNCS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Built:
    """What waits in staging to be made durable and moved. ``copy``: what it is, where it is no link."""

    request: LinkRequest
    stamp: int
    copy: Identity | None


class Batch:
    """Links being made, with the descriptors of the tree, of an empty staging folder and of our descriptors.

    A file is put in place under its lease. Folders and copies are all built first, then made durable together, then
    moved.
    """

    def __init__(self, tree: int, staging: int, proc: int) -> None:
        self.outcomes: dict[int, Published | LinkFailure] = {}
        self._proc = proc
        self._tree = tree
        self._staging = staging
        self._taken = frozenset(os.listdir(tree))
        self._built: list[_Built] = []
        self._replaced: list[str] = []

    def publish(self, requests: Sequence[LinkRequest]) -> None:
        """Fills ``outcomes``, one for each request; what goes wrong with one of them stops no other."""
        for (source, parent), numbers in by_folder((one.source, one.path) for one in requests).items():
            self._publish_from(source, parent, [requests[number] for number in numbers])
        with ThreadPoolExecutor(_FSYNCS_AT_ONCE) as pool:
            durable = list(pool.map(self._settle_built, self._built))
        for built, error in zip(self._built, durable, strict=True):
            self._move_built(built, error)
        self._settle()

    def _publish_from(self, source: Path, parent: str, batch: Sequence[LinkRequest]) -> None:
        try:
            with opened_parent(source, parent) as folder:
                opener = Opener(allowed_owners(source), self._proc)
                for request in batch:
                    try:
                        self._publish_one(opener, folder, request)
                    except (DumpRejected, OSError) as error:
                        self._fail(request, error)
        except DumpRejected as rejection:
            for request in batch:
                self._fail(request, rejection)

    def _publish_one(self, opener: Opener, folder: int, request: LinkRequest) -> None:
        refuse_name(request.export_name)
        if request.export_name in self._taken and not request.may_replace and self._is_published_already(request):
            return
        name = part(request.path.rpartition("/")[2])
        if request.identity.is_folder:
            self._build_folder(opener, folder, name, request)
        elif _is_copied(request):
            self._copy_file(opener, folder, name, request)
        else:
            self._publish_file(opener, folder, name, request)

    def _is_published_already(self, request: LinkRequest) -> bool:
        """A crash came between the link and its row. It is left as it is, so that a read since then counts."""
        found = link_at(self._tree, request.export_name, request.identity, copied=_is_copied(request))
        if found is None:
            return False
        self.outcomes[request.link_id] = found.published(request.identity)
        return True

    def _publish_file(self, opener: Opener, folder: int, name: str, request: LinkRequest) -> None:
        """A new name is linked in its place at once: a link is whole or not there, and overwrites nothing.

        Through staging it would cost twice as much, for the rename.
        """
        member = request.identity.members[0]
        held = opener.hold(folder, name, member, request.most_names)
        try:
            try:
                stamp = link(opener, held, self._tree, request.export_name, member)
            except FileExistsError:
                if not request.may_replace:
                    raise
                stamp = self._replace_by_file(opener, held, request)
            self.outcomes[request.link_id] = Published(stamp)
        finally:
            os.close(held)

    def _replace_by_file(self, opener: Opener, held: int, request: LinkRequest) -> int:
        staged = str(request.link_id)
        stamp = link(opener, held, self._staging, staged, request.identity.members[0])
        self._move(staged, request)
        return max(stamp, os.fstat(held).st_ctime_ns)  # the move changes the ctime once more

    def _build_folder(self, opener: Opener, folder: int, name: str, request: LinkRequest) -> None:
        copies = Copies() if _is_copied(request) else None
        make = link if copies is None else copies.make
        with opened_dump(folder, name) as dump:
            stamp = build_folder(opener, dump, self._staging, request, make=make)
        self._built.append(_Built(request, stamp, None if copies is None else copies.identity(request.identity)))

    def _copy_file(self, opener: Opener, folder: int, name: str, request: LinkRequest) -> None:
        member, copies = request.identity.members[0], Copies()
        held = opener.hold(folder, name, member, request.most_names)
        try:
            stamp = copies.make(opener, held, self._staging, str(request.link_id), member)
        finally:
            os.close(held)
        self._built.append(_Built(request, stamp, copies.identity(request.identity)))

    def _settle_built(self, built: "_Built") -> OSError | None:
        request = built.request
        try:
            is_folder = request.identity.is_folder
            sync_built(self._staging, str(request.link_id), is_folder=is_folder, is_copy=_is_copied(request))
        except OSError as error:
            return error
        return None

    def _move_built(self, built: "_Built", failed: OSError | None) -> None:
        request = built.request
        try:
            if failed is not None:
                raise failed
            self._move(str(request.link_id), request)
        except OSError as error:
            self._fail(request, error)
        else:
            self.outcomes[request.link_id] = Published(self._stamp_once_moved(built), built.copy)

    def _stamp_once_moved(self, built: "_Built") -> int:
        """The move changes the ctime of a file once more, and of a folder's files not."""
        if built.request.identity.is_folder:
            return built.stamp
        return max(
            built.stamp, os.stat(built.request.export_name, dir_fd=self._tree, follow_symlinks=False).st_ctime_ns
        )

    def _move(self, staged: str, request: LinkRequest) -> None:
        failpoints.point("before rename")
        try:
            rename_new(self._staging, staged, self._tree, request.export_name)
        except FileExistsError:
            if not request.may_replace:
                raise
            self._replace(staged, request)
        failpoints.point("after rename")

    def _replace(self, staged: str, request: LinkRequest) -> None:
        """The name is never absent: a file is renamed over a file, all else changes places with what stood."""
        if not request.identity.is_folder:
            with suppress(IsADirectoryError):
                os.rename(staged, request.export_name, src_dir_fd=self._staging, dst_dir_fd=self._tree)
                # Between two names of one inode rename does nothing and succeeds.
                remove(self._staging, staged)
                return
        aside = f"{staged}.old"
        self._replaced.append(exchange(self._staging, staged, self._tree, request.export_name, aside))

    def _settle(self) -> None:
        """One fsync for all. What was replaced goes after it, so a power cut finds the old or the new."""
        if not any(isinstance(outcome, Published) for outcome in self.outcomes.values()):
            return
        failpoints.point("before fsync")
        try:
            os.fsync(self._tree)
        except OSError as error:
            self._doubt(explain(error))
            return
        failpoints.point("after fsync")
        for name in self._replaced:
            with suppress(OSError):  # the next sweep tries again
                remove(self._staging, name)

    def _doubt(self, detail: str) -> None:
        """The links are there, and may not be after a power cut: they are charged until the next pass has looked."""
        for link_id, outcome in self.outcomes.items():
            if isinstance(outcome, Published):
                self.outcomes[link_id] = LinkFailure(Reason.LINK_ERROR, detail, proven_absent=False)

    def _fail(self, request: LinkRequest, error: DumpRejected | OSError) -> None:
        with suppress(OSError):  # the next sweep tries again
            remove(self._staging, str(request.link_id))
        self.outcomes[request.link_id] = failure(error, proven_absent=self._is_absent(request))

    def _is_absent(self, request: LinkRequest) -> bool:
        try:
            refuse_name(request.export_name)
            found = entry_at(self._tree, request.export_name)
        except (DumpRejected, FileNotFoundError):
            return True
        except OSError as error:
            return error.errno == errno.ENAMETOOLONG
        if found is None:
            return True
        if _is_copied(request) and found.identity.is_copy_of(request.identity):
            return False
        return compare(found.identity, request.identity) not in {Presence.INTACT, Presence.CHANGED}


def _is_copied(request: LinkRequest) -> bool:
    return request.publish is Publish.REFLINK


def refuse_name(name: str) -> None:
    """Raises DumpRejected(``unsafe``) unless this may be one visible entry of the tree."""
    if not name or "/" in name or name[0] in ".-" or not (name.isprintable() or is_clean(name)):
        raise DumpRejected(Reason.UNSAFE, f"{printable(name)!r} cannot be a name in the export tree")
