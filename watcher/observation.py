"""A look at one dump on the disk: what its markers say, and whether the dump is what they describe.

Whatever is there, a look ends in an Observation: names, bodies and dumps are untrusted.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from core.config.settings import Config, WatchFolder
from core.enums import DumpState
from core.filenames import is_clean, printable
from core.fs.fingerprint import DumpRejected, Identity, allowed_owners, identify
from core.markers.foreign import body_of, look_at_all
from core.markers.format import (
    BadMarker,
    MarkerBody,
    MarkerFile,
    MarkerKind,
    is_aside,
    json_of,
    parse_body,
    read_text,
    signature,
)
from core.markers.vm_name import Naming, parse, series_of_marker
from core.reasons import Reason
from watcher.watch_tree import NOWHERE, WatchTree, join

log = logging.getLogger("tidegate.watcher")

_STATES = {
    Reason.RUNNING: DumpState.PENDING,
    Reason.UNSAFE: DumpState.PENDING,
    Reason.VERIFY_FAILED: DumpState.PENDING,
    Reason.CHANGED: DumpState.CHANGED,
    Reason.MISSING: DumpState.MISSING,
    Reason.BAD_MARKER: DumpState.BAD,
    Reason.DUMP_FAILED: DumpState.FAILED,
}
#: The block reasons that a look can give; a new look can also take them away.
OBSERVED_REASONS = frozenset(_STATES)
#: A marker may be replaced between the look at it and the reading; more often than this it is left for later.
_TRIES = 5
_LONGEST_DETAIL = 500
#: The state file holds times as signed 64-bit nanoseconds; later ones are newer than any marker.
_EARLIEST_NS = -(1 << 63)
#: A larger size, as sparse files may claim, is recorded as this.
_LARGEST = (1 << 63) - 1


class Observation(NamedTuple):
    """One dump as it was found. A tuple: one is made for each marker of a burst.

    ``signature`` "": it has no marker; ``is_aside``: a pass is just removing one that has had its use.
    ``reason`` None: it may leave, ``identity`` is there, and ``bytes`` is its size.
    Times are seconds since the epoch; ``finished_at`` is when the dump finished or failed. ``dump_time_said`` is true
    when the marker's body has the dump's time, which then does not depend on when the marker was touched.
    """

    path: str
    signature: str = ""
    is_aside: bool = False
    vm: str | None = None
    series: str = ""
    backup_set: str | None = None
    state: DumpState = DumpState.PENDING
    reason: Reason | None = None
    detail: str = ""
    dump_time: float = 0.0
    dump_time_said: bool = False
    finished_at: float = 0.0
    identity: Identity | None = None
    bytes: int = 0
    sha256: str | None = None
    body: str | None = None


class Observer:
    """Looks at dumps of one watch folder."""

    def __init__(self, config: Config, tree: WatchTree) -> None:
        self._tree = tree
        self._naming = tree.watch.naming
        self._backup_sets = config.sets_of_vms()

    def observe(self, paths: Iterable[str], now: float, filesystem_id: str | None = None) -> list[Observation]:
        """Looks at the dumps at these paths. Those that cannot be looked at now are left out.

        ``filesystem_id``: where the watch folder is on another filesystem, no marker counts as removed. Raises OSError
        when the watch folder itself cannot be opened.
        """
        found: list[Observation] = []
        with self._tree.open_root() as root:
            for folder, names in _by_folder(paths).items():
                found.extend(self._observe_in(root, folder, names, now))
            if self._tree.is_root(root, filesystem_id):
                return found
        log.warning("%s: another folder is mounted or moved there; no marker counts as removed", self._tree.watch.path)
        return [one for one in found if one.signature]

    def _observe_in(self, root: int, folder: str, names: Iterable[str], now: float) -> Iterator[Observation]:
        try:
            with self._tree.open(root, folder) as descriptor:
                owners, watch = allowed_owners(root), self._tree.watch
                look = _Look(watch, self._naming, self._backup_sets, folder, descriptor, owners, now)
                for name in names:
                    if (seen := look.at(name)) is not None:
                        yield seen
        except OSError as error:
            if error.errno in NOWHERE:
                yield from (Observation(join(folder, name)) for name in names)
            else:
                _log_fault(folder, error)


def observe(config: Config, watch: WatchFolder, paths: Iterable[str], now: float) -> list[Observation]:
    """One look at these dumps, as ``Observer.observe``."""
    return Observer(config, WatchTree(config, watch)).observe(paths, now)


def _by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders[folder].append(name)
    return folders


@dataclass(slots=True)
class _Found:
    """What was found out about one dump before it was rejected."""

    text: bytes = b""
    body: MarkerBody = MarkerBody()  # noqa: RUF009 - a tuple
    vm: str | None = None
    series: str = ""
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """A look into one folder, by its descriptor."""

    watch: WatchFolder
    naming: Naming
    backup_sets: dict[str, str]
    folder: str
    descriptor: int
    owners: frozenset[int]
    now: float

    def at(self, name: str) -> Observation | None:
        """None when it cannot be looked at now."""
        for _ in range(_TRIES):
            try:
                markers = look_at_all(self.descriptor, name, self.watch.signals)
                if markers:
                    return self._read(name, markers)
                return Observation(self._path(name), is_aside=is_aside(self.descriptor, name))
            except FileNotFoundError:  # the marker was removed between the look and the reading
                continue
            except OSError as error:
                _log_fault(self._path(name), error)
                return None
        return None

    def _read(self, name: str, markers: tuple[MarkerFile, ...]) -> Observation:
        found, rejection = _Found(), None
        try:
            self._examine(name, markers[0], found)
        except DumpRejected as error:
            rejection = error
        identity = found.identity if rejection is None else None
        body, mtime = found.body, max(0.0, markers[0].mtime_ns / 1e9)
        said = body.started if body.started is not None else body.finished
        return Observation(
            path=self._path(name),
            signature=signature(markers),
            vm=found.vm,
            series=found.series,
            backup_set=body.backup_set or self.backup_sets.get(found.vm or ""),
            state=DumpState.PENDING if rejection is None else _STATES[rejection.reason],
            reason=None if rejection is None else rejection.reason,
            detail="" if rejection is None else printable(rejection.detail)[:_LONGEST_DETAIL],
            # No dump has a time in the future: it counts as now.
            dump_time=min(self.now, _time_of(markers[0], body)),
            dump_time_said=said is not None,
            finished_at=min(self.now, mtime if body.finished is None else body.finished),
            identity=identity,
            bytes=0 if identity is None else min(identity.bytes, _LARGEST),
            sha256=body.sha256,
            body=json_of(found.text),
        )

    def _examine(self, name: str, marker: MarkerFile, found: _Found) -> None:
        """Fills in what can be found out. Raises DumpRejected where that ends."""
        try:
            text = b"" if marker.is_empty else read_text(self.descriptor, name, marker.kind)
            found.body = body_of(name, self.watch.signals, marker.kind) if marker.is_foreign else parse_body(text)
            found.text = text
            self._name(name, marker, found)
            found.identity = self._identify(name, marker, found.body)
        except BadMarker as error:
            with suppress(BadMarker):
                self._name(name, marker, found)
            raise DumpRejected(Reason.BAD_MARKER, str(error)) from None

    def _name(self, name: str, marker: MarkerFile, found: _Found) -> None:
        """Whose dump it is. Raises BadMarker, also for a path that cannot be shown as it is."""
        path, body = self._path(name), found.body
        if body.vm is not None:
            if not is_clean(path):
                raise BadMarker("the dump's name is not UTF-8 or holds control characters")
            found.vm, found.series = body.vm, series_of_marker(body)
            return
        named = parse(path, self.naming, _time_of(marker, body))
        found.vm, found.series = named.vm, named.series

    def _identify(self, name: str, marker: MarkerFile, body: MarkerBody) -> Identity:
        """The dump's identity. Raises DumpRejected, and BadMarker where the body's list of files is invalid."""
        if marker.kind is MarkerKind.RUNNING:
            raise DumpRejected(Reason.RUNNING, "it is being dumped")
        if marker.kind is MarkerKind.FAILED:
            raise DumpRejected(Reason.DUMP_FAILED, _failure(body))
        identity = identify(self.descriptor, name, self.owners)
        for member in identity.members:
            if member.mtime_ns > marker.ctime_ns:
                raise DumpRejected(Reason.CHANGED, f"{member.name or name} is newer than its marker")
            if member.mtime_ns < _EARLIEST_NS:
                raise DumpRejected(Reason.UNSAFE, f"{member.name or name} has an impossible modification time")
        if body.size is not None or body.files is not None:
            _check_declared_sizes(identity, body)
        return identity

    def _path(self, name: str) -> str:
        return join(self.folder, name)


def _time_of(marker: MarkerFile, body: MarkerBody) -> float:
    said = body.started if body.started is not None else body.finished
    return max(0.0, marker.mtime_ns / 1e9) if said is None else said


def _failure(body: MarkerBody) -> str:
    if body.error:
        return body.error
    return "its dump failed" if body.exit_status is None else f"its dump ended with status {body.exit_status}"


def _log_fault(path: str, error: OSError) -> None:
    log.warning("%s: cannot be looked at: %s", printable(path), error.strerror)


# --- what a marker's body declares


def _check_declared_sizes(identity: Identity, body: MarkerBody) -> None:
    """Raises DumpRejected (``verify_failed``) with both figures, or BadMarker for an invalid list of files."""
    if body.size is not None and body.size != identity.bytes:
        raise _differs(f"its marker declares {body.size} bytes and it has {identity.bytes}")
    if body.files is not None and identity.is_folder:
        _check_declared_files(identity, body.files)


def _check_declared_files(identity: Identity, files: dict[str, Any]) -> None:
    sizes = {member.name: member.size for member in identity.members}
    for name, size in sizes.items():
        if name not in files:
            raise _differs(f"{name} is not among the {len(files)} files that its marker declares")
        declared = _declared_size(name, files[name])
        if declared is not None and declared != size:
            raise _differs(f"its marker declares {declared} bytes of {name} and it has {size}")
    for name in files:
        if name not in sizes:
            raise _differs(f"its marker declares {name}, which is not there")


def _declared_size(name: str, declared: object) -> int | None:
    size = declared.get("size") if isinstance(declared, dict) else declared
    if isinstance(size, bool) or not isinstance(size, int | None):
        raise BadMarker(f"the marker's 'files' gives no usable size of {name!r}")
    return size


def _differs(detail: str) -> DumpRejected:
    return DumpRejected(Reason.VERIFY_FAILED, detail)
