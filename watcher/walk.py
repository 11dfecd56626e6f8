"""The markers in a watch folder, by one walk that opens no file, and how they differ from what is recorded."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core import failpoints
from core.enums import DumpState
from core.markers import format as markers
from core.markers.foreign import Foreign, is_looked_into, look, look_at_all
from core.reasons import Reason
from core.state.mount_identity import filesystem_id_of
from watcher.observation import OBSERVED_REASONS
from watcher.watch_tree import NOWHERE, WatchTree, join

#: The watch folder itself, and so everything in it.
ALL = ("",)
#: In such a state a dump may have changed though its markers have not.
LOOKED_AT_AGAIN = frozenset({DumpState.CHANGED, DumpState.MISSING, DumpState.BAD})

#: Called with each folder's path and descriptor before the folder is listed: what comes later gives events.
Arm = Callable[[str, int], None]


def no_arm(_folder: str, _descriptor: int) -> None:
    """For scans without events."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded of these folders. ``signatures``: dump -> its markers, of all that have any.

    ``rejected``: state and reason of those among them that are in a state of LOOKED_AT_AGAIN or have a reason.
    """

    signatures: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, tuple[DumpState, Reason | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanDiff:
    """What has changed. ``up`` False: the watch folder is not there, and nothing in it counts as removed.

    ``to_look_at`` are paths of dumps whose markers are new or changed, or that were rejected; ``gone`` are those that
    have no marker any more. ``filesystem_id`` is that of the folder that was listed, None when none could be.
    ``signatures``: dump -> its markers, of all that were found.
    """

    up: bool
    detail: str = ""
    to_look_at: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    filesystem_id: str | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)


def compare(
    tree: WatchTree,
    known: Known,
    *,
    starts: Sequence[str] = ALL,
    arm: Arm = no_arm,
    retry: bool = True,
) -> ScanDiff:
    """Compares the markers in these folders of the watch folder, and below them, with what is ``known`` there.

    ``retry`` also looks again at dumps that could not be released, so that the next pass tries them.
    """
    try:
        with tree.open_root() as root:
            failpoints.point("opened")
            filesystem_id = filesystem_id_of(root)
            listing = list_markers(tree, root, starts, arm)
            if not tree.is_root(root):
                return ScanDiff(up=False, detail="another folder took its place while it was scanned")
    except OSError as error:
        return ScanDiff(up=False, detail=f"it cannot be opened: {error.strerror}")
    if "" in listing.unreadable:
        return ScanDiff(up=False, detail="it cannot be listed")
    if listing.is_empty and known.signatures:
        detail = f"it is empty, and {len(known.signatures)} dumps were marked in it: is its disk mounted?"
        return ScanDiff(up=False, detail=detail, filesystem_id=filesystem_id)
    return _diff(listing, known, filesystem_id, retry=retry)


def _diff(listing: "Listing", known: Known, filesystem_id: str, *, retry: bool) -> ScanDiff:
    recorded = known.signatures
    again = {path for path, (state, reason) in known.rejected.items() if _needs_a_look(state, reason, retry=retry)}
    to_look_at = [
        path for path, signature in listing.signatures.items() if recorded.get(path) != signature or path in again
    ]
    gone = [path for path in recorded if path not in listing.signatures and listing.is_readable(path)]
    unreadable = len(listing.unreadable)
    detail = f"{unreadable} path{'s' * (unreadable > 1)} in it cannot be read" if unreadable else ""
    return ScanDiff(True, detail, tuple(to_look_at), tuple(gone), filesystem_id, listing.signatures)


def _needs_a_look(state: DumpState, reason: Reason | None, *, retry: bool) -> bool:
    if reason is Reason.DUMP_FAILED:
        return False  # the marker has said it all, whatever is beside it
    return state in LOOKED_AT_AGAIN or reason in OBSERVED_REASONS or (retry and reason is not None)


@dataclass(slots=True)
class Listing:
    """``signatures``: path of a dump -> signature of its markers. ``is_empty``: the watch folder has no entry at all.

    ``unreadable``: paths of folders and dumps that could not be looked at, so that it is not known what is there.
    """

    signatures: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    is_empty: bool = False

    def is_readable(self, path: str) -> bool:
        """False when ``path`` is, or is in, what could not be looked at."""
        if not self.unreadable:
            return True
        parts = path.split("/")
        return self.unreadable.isdisjoint("/".join(parts[:depth]) for depth in range(len(parts) + 1))


def list_markers(tree: WatchTree, root: int, starts: Iterable[str], arm: Arm) -> Listing:
    """Walks from these folders down, below the descriptor ``root`` of the watch folder."""
    listing = Listing()
    folders, walked = list(starts), set[str]()
    while folders:
        folder = folders.pop()
        if folder in walked:
            continue
        walked.add(folder)
        try:
            with tree.open(root, folder) as descriptor:
                arm(folder, descriptor)
                names = os.listdir(descriptor)
                _Folder(tree, listing, folder, descriptor, folders).read(names)
        except OSError as error:
            if error.errno not in NOWHERE:
                listing.unreadable.add(folder)
        else:
            listing.is_empty = listing.is_empty or not (folder or names)
    return listing


@dataclass(slots=True)
class _Folder:
    """One folder. ``to_come`` takes the folders in it."""

    tree: WatchTree
    listing: Listing
    path: str
    descriptor: int
    to_come: list[str]

    def read(self, names: Sequence[str]) -> None:
        """Notes the markers and the folders among these names. Written for hundreds of thousands."""
        kinds, others = _sort(names)
        above = f"{self.path}/" if self.path else ""
        for dump, found in kinds.items():
            try:
                signature = self._signature(dump, found)
            except OSError:
                self.listing.unreadable.add(above + dump)
            else:
                if signature:
                    self.listing.signatures[above + dump] = signature
        signals = self.tree.watch.signals
        if signals is not None:
            others = [
                name
                for name in others
                if name in kinds or (not self._has_signal(name, above, signals) and is_looked_into(name, signals))
            ]
        if self.tree.watch.recursive:
            for name in others:
                if name not in kinds and self._is_folder(name):
                    self._descend(name)

    def _signature(self, dump: str, kinds: str) -> str:
        """Empty when there is no marker after all. Raises OSError."""
        if " " in kinds or self.tree.watch.signals is not None:
            return markers.signature(look_at_all(self.descriptor, dump, self.tree.watch.signals))
        name = f"{dump}.{kinds}"
        try:
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        if stat.S_ISDIR(status.st_mode):
            self._descend(name)
            return ""
        return markers.signature_of_one(kinds, status)

    def _has_signal(self, dump: str, above: str, kind: Foreign) -> bool:
        """Whether a foreign signal says that this is a dump; then it is noted."""
        try:
            signal = look(self.descriptor, dump, kind)
        except OSError:
            self.listing.unreadable.add(above + dump)
            return False
        if signal is not None:
            self.listing.signatures[above + dump] = signal.signature
        return signal is not None

    def _descend(self, name: str) -> None:
        path = join(self.path, name)
        if self.tree.covers(path):
            self.to_come.append(path)

    def _is_folder(self, name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode)
        except OSError:
            return False  # it was removed; a fault is met again, and logged, by whoever looks at its marker


def _sort(names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Name of a dump -> the kinds of its markers, separated by blanks; and the names that are no marker's."""
    kinds: dict[str, str] = {}
    others = []
    for name in names:
        if name.endswith(markers.SUFFIXES):
            dump, _, kind = name.rpartition(".")
            if dump and dump[0] != ".":
                kinds[dump] = f"{kinds[dump]} {kind}" if dump in kinds else kind
        else:
            others.append(name)
    return kinds, others
