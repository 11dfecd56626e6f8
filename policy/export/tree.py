"""The export tree: links are published in it, looked at, and taken back."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import FaultError
from core.fs.fingerprint import Identity
from core.fs.subtree import remove, remove_empty
from policy.export import metadata_dir
from policy.export.dump_files import own_descriptors
from policy.export.errors import explain
from policy.export.folders import ExportFolders
from policy.export.inspect import TreeEntry, entry_at, link_at, presence
from policy.export.model import LinkFailure, LinkRequest, Presence, Published
from policy.export.publish import Batch
from policy.export.withdraw import withdraw


class ExportTree:
    """The folder that the storage pulls, and the staging folder beside it.

    ::

        dumps/                  the watch folder
        ├── vm1                 a dump: one file
        ├── vm2/disk0           a dump: a folder
        ├── .rsync/             the tree; only whole, checked, charged links are ever here
        │   ├── vm1             a hard link of the dump, or a copy that shares its blocks
        │   ├── vm2/disk0       folders are made anew, their files are hard links
        │   └── .tidegate/      the manifest
        └── .rsync.staging/     beside the tree, since a puller takes all that is in it; ours alone (0700)
            ├── 17              the link of ledger row 17, not checked yet
            └── 18.old          what it replaced, about to go

    The order of a link, and what a crash leaves after each step:

    1. the caller has committed the intent and the charge → a row ``released``, the name absent;
    2. the dump is opened, compared with its record and held against writers → the same;
    3. a folder, a copy, and what replaces something, is built in staging of the descriptors, and compared again
       → a leftover in staging, which ``sweep`` removes;
    4. one rename makes it visible, whole; a file under a new name is linked in its place at once, since a link is
       atomic and overwrites nothing → the name is there, after a power cut perhaps not: ``presence`` shows it;
    5. one fsync of the tree for the whole batch → it is there for good;
    6. what it replaced is removed from staging → a leftover there.

    ``publish``, ``withdraw`` and ``sweep`` are for the one holder of the pass lock. All methods raise FaultError
    when the tree or the staging folder is a symbolic link or cannot be used at all; then nothing was linked.
    """

    def __init__(self, tree: Path) -> None:
        self._folders = ExportFolders(tree)

    def exists(self) -> bool:
        """True when the tree itself is there: a name that is absent from a tree that is absent means nothing."""
        with self._folders.open_tree() as tree:
            return tree is not None

    def publish(self, requests: Sequence[LinkRequest]) -> dict[int, Published | LinkFailure]:
        """Links them all, durably; what became of each, by its ``link_id``.

        A link that is there already, exactly so, counts as published. Makes the tree if there is none.
        """
        if not requests:
            return {}
        with self._folders.open_both() as (tree, staging), own_descriptors() as proc:
            _sweep(staging)
            batch = Batch(tree, staging, proc)
            batch.publish(requests)
        return batch.outcomes

    def presence(self, export_name: str, identity: Identity) -> Presence:
        """What has become of one link."""
        return self.presences({export_name: identity})[export_name]

    def presences(self, links: Mapping[str, Identity]) -> dict[str, Presence]:
        """``presence`` for many links by their names, with the tree opened once."""
        with self._folders.open_tree() as tree:
            if tree is None:
                return dict.fromkeys(links, Presence.ABSENT)
            return {name: presence(tree, _component(name), identity) for name, identity in links.items()}

    def linked_ctime(self, export_name: str, identity: Identity) -> int | None:
        """``Published.ctime_ns`` of a link whose outcome was lost, or that was adopted; None where it is not there."""
        found = self._link(export_name, identity)
        return None if found is None else found.ctime_ns

    def read_since_linked(self, export_name: str, identity: Identity, linked_ctime_ns: int) -> float | None:
        """Evidence ``read``: seconds since the epoch of the newest read the kernel has recorded, or None.

        Only when the link is unchanged and each of its files with content was read after ``linked_ctime_ns``,
        which is ``Published.ctime_ns``: the ctime of now will not do, since a second hard link or a chmod moves it
        past the read. With relatime the kernel records the first read after the link, then one a day. A read within
        the clock tick of the link (4 ms) cannot be distinguished from what came before it; the next one can.
        """
        found = self._link(export_name, identity)
        return None if found is None else found.newest_read_since(linked_ctime_ns)

    def is_unread(self, export_name: str, identity: Identity, linked_ctime_ns: int) -> bool:
        """Whether the link is unchanged and nobody has read any of its files since it was made.

        False where the mount shows no reads: then nobody can know.
        """
        found = self._link(export_name, identity) if self.shows_reads() else None
        return found is not None and found.is_unread_since(linked_ctime_ns)

    def shows_reads(self) -> bool:
        """Whether the mount of the tree keeps the times of reads, by its options."""
        with self._folders.open_tree() as tree:
            return tree is not None and not os.fstatvfs(tree).f_flag & os.ST_NOATIME

    def withdraw(self, export_name: str, identity: Identity) -> bool:
        """Takes one link back, see ``withdraw_all``. Raises FaultError also when it cannot be removed."""
        outcome = self.withdraw_all({export_name: identity})[export_name]
        if isinstance(outcome, LinkFailure):
            raise FaultError(f"{self._folders.tree / export_name}: {outcome.detail}")
        return outcome

    def withdraw_all(self, links: Mapping[str, Identity]) -> dict[str, bool | LinkFailure]:
        """Takes links back, durably: for each name True if it is gone by this, False if nothing of it was there.

        Only what is made of the recorded inodes is removed, their content changed or not, and what is left of a
        folder too; a folder vanishes whole. ``proven_absent`` of a LinkFailure is false.
        """
        with self._folders.open_tree() as tree:
            if tree is None or not links:
                return dict.fromkeys(links, False)
        with self._folders.open_both() as (tree, staging):
            _sweep(staging)
            return withdraw(tree, staging, links)

    def entries(self) -> dict[str, TreeEntry | None]:
        """All that is at the top of the tree, `.tidegate` aside, with the status of its files.

        None for what cannot be identified: a symbolic link, a special file, a folder that holds one or may not be
        read. Names are as on disk, of any bytes.
        """
        with self._folders.open_tree() as tree:
            return {} if tree is None else dict(_entries(tree))

    def write_metadata(self, contents: Mapping[str, bytes | None]) -> bool:
        """Writes files of Tidegate's own into the tree's `.tidegate`, in this order; None removes one.

        False when all were so already, or when there is no tree. Each appears whole, and survives a power cut.
        """
        with self._folders.open_tree() as tree:
            if tree is None:
                return False
        with self._folders.open_both() as (tree, staging):
            _sweep(staging)
            with self._metadata_faults():
                return metadata_dir.write(tree, staging, contents)

    def has_metadata(self) -> bool:
        """Whether anything is called `.tidegate` in the tree."""
        with self._folders.open_tree() as tree:
            return tree is not None and metadata_dir.exists(tree)

    def read_metadata(self, name: str) -> bytes | None:
        """What a file in the tree's `.tidegate` holds; None where there is none."""
        with self._folders.open_tree() as tree, self._metadata_faults():
            return None if tree is None else metadata_dir.read(tree, _component(name))

    def remove_empty(self, names: Iterable[str]) -> None:
        """Removes folders of these names that hold no file, however they nest. Others stay."""
        with self._folders.open_tree() as tree:
            for name in names if tree is not None else ():
                with suppress(OSError):
                    remove_empty(tree or 0, _component(name))

    def sweep(self) -> int:
        """Removes what a crash left in the staging folder; how many entries that were."""
        with self._folders.open_staging() as staging:
            return 0 if staging is None else _sweep(staging)

    def _link(self, export_name: str, identity: Identity) -> TreeEntry | None:
        with self._folders.open_tree() as tree:
            return None if tree is None else link_at(tree, _component(export_name), identity)

    @contextmanager
    def _metadata_faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FaultError(f"{self._folders.tree / metadata_dir.FOLDER}: {explain(error)}") from None


def _component(name: str) -> str:
    """Names come from the ledger or from ``entries``; anything that leads elsewhere is a bug."""
    if name in {"", ".", ".."} or "/" in name:
        raise ValueError(f"not a name in the export tree: {name!r}")
    return name


def _entries(tree: int) -> Iterator[tuple[str, TreeEntry | None]]:
    device = os.fstat(tree).st_dev
    for name in os.listdir(tree):
        if name != metadata_dir.FOLDER:
            try:
                yield name, entry_at(tree, name, device)
            except FileNotFoundError:
                continue
            except OSError:
                yield name, None


def _sweep(staging: int) -> int:
    try:
        return sum(remove(staging, name) for name in os.listdir(staging))
    except OSError as error:
        raise FaultError(f"the staging folder cannot be emptied: {explain(error)}") from None
