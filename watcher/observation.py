"""A look at the disk: what the markers of a dump say, and whether the dump is what they speak of.

Whatever stands there, a look ends in an Observation: names, bodies and dumps are untrusted.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from core.config.settings import Config, WatchFolder
from core.enums import DumpState, Reason
from core.filenames import is_clean, printable
from core.fs.fingerprint import DumpRejected, Identity, allowed_owners, identify
from core.markers.foreign import body_of, look_at_all
from core.markers.format import (
    BadMarker,
    MarkerBody,
    MarkerFile,
    MarkerKind,
    is_aside,
    parse_body,
    read_text,
    signature,
)
from core.markers.vm_name import vm_of
from watcher import declared
from watcher.watch_tree import NOWHERE, Ground, join

log = logging.getLogger("tidegate.watcher")

#: The reasons that a look can give; a new look can also take them away.
HINDRANCES = frozenset(
    {
        Reason.RUNNING,
        Reason.UNSAFE,
        Reason.VERIFY_FAILED,
        Reason.CHANGED,
        Reason.MISSING,
        Reason.BAD_MARKER,
        Reason.DUMP_FAILED,
    }
)
#: A marker may be replaced between the look at it and the reading; more often than this it is left for later.
_TRIES = 5
_LONGEST_DETAIL = 500
#: The state file holds times as signed 64-bit nanoseconds; later ones are newer than any marker.
_EARLIEST_NS = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Observation:
    """One dump as it was found.

    ``signature`` "": no marker of it stands; ``is_aside``: a pass is just removing one that has had its use.
    ``reason`` None: it may leave, and ``identity`` is there.
    Times are seconds since the epoch; ``finished_at`` is when the dump finished or failed. ``dump_time_said`` is true
    when the marker's body says the dump's time, so that it does not hang on when the marker was touched.
    """

    path: str
    signature: str = ""
    is_aside: bool = False
    vm: str | None = None
    vm_said: bool = False
    backup_set: str | None = None
    state: DumpState = DumpState.PENDING
    reason: Reason | None = None
    detail: str = ""
    dump_time: float = 0.0
    dump_time_said: bool = False
    finished_at: float = 0.0
    identity: Identity | None = None
    sha256: str | None = None
    body: str | None = field(default=None, repr=False)

    @property
    def bytes(self) -> int:
        """The size of a dump that may leave, else 0. Sparse files may claim more than the state file can hold."""
        return 0 if self.identity is None else min(self.identity.bytes, (1 << 63) - 1)


def observe(config: Config, watch: WatchFolder, paths: Iterable[str], now: float) -> list[Observation]:
    """Looks at the dumps at these paths. Those that cannot be looked at now are left out.

    Raises OSError when the watch folder itself cannot be opened.
    """
    sets = config.sets_of_vms()
    return observe_on(Ground(config, watch), sets, paths, now)


def observe_on(
    ground: Ground, sets: dict[str, str], paths: Iterable[str], now: float, filesystem_id: str | None = None
) -> list[Observation]:
    """``observe`` for whoever looks often. ``sets``: VM -> its backup set. ``footing``: the folder it must be."""
    found: list[Observation] = []
    with ground.open_root() as root:
        for folder, names in _by_folder(paths).items():
            found.extend(_Look(ground, sets, folder, now).at(root, names))
        if ground.is_root(root, filesystem_id):
            return found
    log.warning("%s: another folder stands in its place; nothing in it counts as removed", ground.watch.path)
    return [one for one in found if one.signature]


def _by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders[folder].append(name)
    return folders


@dataclass(slots=True)
class _Found:
    """What was found out of one dump before something hindered it."""

    text: bytes = b""
    body: MarkerBody = field(default_factory=MarkerBody)
    vm: str | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """A look into one folder."""

    ground: Ground
    sets: dict[str, str]
    folder: str
    now: float

    def at(self, root: int, names: Iterable[str]) -> Iterator[Observation]:
        try:
            with self.ground.open(root, self.folder) as descriptor:
                owners = allowed_owners(descriptor)
                for name in names:
                    yield from self._at_one(descriptor, name, owners)
        except OSError as error:
            if error.errno in NOWHERE:
                yield from (Observation(self._path(name)) for name in names)
            else:
                self._cannot(self.folder, error)

    def _at_one(self, descriptor: int, name: str, owners: frozenset[int]) -> Iterator[Observation]:
        for _ in range(_TRIES):
            try:
                markers = look_at_all(descriptor, name, self.ground.watch.signals)
                yield (
                    self._read(descriptor, name, markers, owners)
                    if markers
                    else Observation(self._path(name), is_aside=is_aside(descriptor, name))
                )
                return
            except FileNotFoundError:  # the marker went between the look and the reading
                continue
            except OSError as error:
                self._cannot(self._path(name), error)
                return

    def _read(self, descriptor: int, name: str, markers: tuple[MarkerFile, ...], owners: frozenset[int]) -> Observation:
        found, hindrance = _Found(), None
        try:
            self._examine(descriptor, name, markers[0], owners, found)
        except DumpRejected as error:
            hindrance = error
        body, mtime = found.body, max(0.0, markers[0].mtime_ns / 1e9)
        said = body.started if body.started is not None else body.finished
        return Observation(
            path=self._path(name),
            signature=signature(markers),
            vm=found.vm,
            vm_said=body.vm is not None or self.ground.watch.vm_pattern is not None,
            backup_set=body.backup_set or self.sets.get(found.vm or ""),
            state=DumpState.PENDING if hindrance is None else hindrance.reason.dump_state,
            reason=None if hindrance is None else hindrance.reason,
            detail="" if hindrance is None else printable(hindrance.detail)[:_LONGEST_DETAIL],
            # A time in the future is none that a dump can have: it counts as now (DESIGN 4).
            dump_time=min(self.now, mtime if said is None else said),
            dump_time_said=said is not None,
            finished_at=min(self.now, mtime if body.finished is None else body.finished),
            identity=found.identity if hindrance is None else None,
            sha256=body.sha256,
            body=found.text.decode() or None,
        )

    def _examine(self, descriptor: int, name: str, marker: MarkerFile, owners: frozenset[int], found: _Found) -> None:
        """Fills in what can be found out, and raises Hindered where that ends."""
        try:
            text = b"" if marker.is_empty else read_text(descriptor, name, marker.kind)
            found.body = body_of(name, self.ground.watch.signals) if marker.is_foreign else parse_body(text)
            found.text = text
            found.vm = self._vm(name, found.body)
            found.identity = _take(descriptor, name, marker, found.body, owners)
        except BadMarker as error:
            found.vm = found.vm or self._vm_by_name(name)
            raise DumpRejected(Reason.BAD_MARKER, str(error)) from None

    def _vm(self, name: str, body: MarkerBody) -> str:
        """The VM. Raises BadMarker, also for a path that could not be shown as it is."""
        path = self._path(name)
        if body.vm is None:
            return vm_of(path, self.ground.watch.vm_pattern)
        if not is_clean(path):
            raise BadMarker("the dump's name is not UTF-8 or holds control characters")
        return body.vm

    def _vm_by_name(self, name: str) -> str | None:
        try:
            return vm_of(self._path(name), self.ground.watch.vm_pattern)
        except BadMarker:
            return None

    def _path(self, name: str) -> str:
        return join(self.folder, name)

    def _cannot(self, path: str, error: OSError) -> None:
        log.warning("%s: cannot be looked at: %s", printable(path), error.strerror)


def _take(folder: int, name: str, marker: MarkerFile, body: MarkerBody, owners: frozenset[int]) -> Identity:
    """The dump's identity. Raises Hindered, and BadMarker where the body's list of files is none."""
    if marker.kind is MarkerKind.RUNNING:
        raise DumpRejected(Reason.RUNNING, "it is being dumped")
    if marker.kind is MarkerKind.FAILED:
        raise DumpRejected(Reason.DUMP_FAILED, _failure(body))
    identity = identify(folder, name, owners)
    for member in identity.members:
        if member.mtime_ns > marker.ctime_ns:
            raise DumpRejected(Reason.CHANGED, f"{member.name or name} is newer than its marker")
        if member.mtime_ns < _EARLIEST_NS:
            raise DumpRejected(Reason.UNSAFE, f"{member.name or name} has a time that cannot be")
    declared.check(identity, body)
    return identity


def _failure(body: MarkerBody) -> str:
    if body.error:
        return body.error
    return "its dump failed" if body.exit_status is None else f"its dump ended with status {body.exit_status}"
