"""What stands in a watch folder: every dump's markers, by one walk that opens no file."""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from core.markers import format as markers
from core.markers.foreign import Foreign, is_looked_into, look, look_at_all
from watcher.watch_tree import NOWHERE, Ground, join

#: Called with each folder's path and descriptor before the folder is listed: what comes later is told by events.
Arm = Callable[[str, int], None]


def no_arm(_folder: str, _descriptor: int) -> None:
    """For scans without a doorbell."""


@dataclass(slots=True)
class Listing:
    """``signatures``: path of a dump -> signature of its markers. ``is_bare``: the watch folder has no entry at all.

    ``unsure``: paths of folders and dumps that could not be looked at, so that it is not known what is there.
    """

    signatures: dict[str, str] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    is_bare: bool = False

    def is_sure_of(self, path: str) -> bool:
        """False when ``path`` is, or lies in, what could not be looked at."""
        if not self.unsure:
            return True
        parts = path.split("/")
        return self.unsure.isdisjoint("/".join(parts[:depth]) for depth in range(len(parts) + 1))


def list_markers(ground: Ground, root: int, starts: Iterable[str], arm: Arm) -> Listing:
    """Walks from these folders down, below the descriptor ``root`` of the watch folder."""
    listing = Listing()
    folders, been = list(starts), set[str]()
    while folders:
        folder = folders.pop()
        if folder in been:
            continue
        been.add(folder)
        try:
            with ground.open(root, folder) as descriptor:
                arm(folder, descriptor)
                names = os.listdir(descriptor)
                _Folder(ground, listing, folder, descriptor, folders).read(names)
        except OSError as error:
            if error.errno not in NOWHERE:
                listing.unsure.add(folder)
        else:
            listing.is_bare = listing.is_bare or not (folder or names)
    return listing


@dataclass(slots=True)
class _Folder:
    """One folder. ``to_come`` takes what lies deeper."""

    ground: Ground
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
                self.listing.unsure.add(above + dump)
            else:
                if signature:
                    self.listing.signatures[above + dump] = signature
        signals = self.ground.watch.signals
        if signals is not None:
            others = [
                name
                for name in others
                if name in kinds or (not self._is_told(name, above, signals) and is_looked_into(name, signals))
            ]
        if self.ground.watch.recursive:
            for name in others:
                if name not in kinds and self._is_folder(name):
                    self._descend(name)

    def _signature(self, dump: str, kinds: str) -> str:
        """Empty when no marker stands after all. Raises OSError."""
        if " " in kinds or self.ground.watch.signals is not None:
            return markers.signature(look_at_all(self.descriptor, dump, self.ground.watch.signals))
        name = f"{dump}.{kinds}"
        try:
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        if stat.S_ISDIR(status.st_mode):
            self._descend(name)
            return ""
        return markers.signature_of_one(kinds, status)

    def _is_told(self, dump: str, above: str, kind: Foreign) -> bool:
        """Whether a foreign signal says that this is a dump; then it is noted."""
        try:
            signal = look(self.descriptor, dump, kind)
        except OSError:
            self.listing.unsure.add(above + dump)
            return False
        if signal is not None:
            self.listing.signatures[above + dump] = signal.signature
        return signal is not None

    def _descend(self, name: str) -> None:
        path = join(self.path, name)
        if self.ground.covers(path):
            self.to_come.append(path)

    def _is_folder(self, name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode)
        except OSError:
            return False  # it went away; a fault is met again, and told, by whoever looks at its marker


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
