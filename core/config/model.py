"""The configuration as frozen, typed objects. Built once, at the edge, by ``core.config.load``.

Sizes are bytes, spans are seconds, paths are absolute.
"""

import datetime
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.config.dump_settings import NOTHING_TO_VERIFY, SetDumping, Verification
from core.enums import DayEnd, Evidence, Links, Occasion, Oversize, Publish, Storage, Trouble, WatchMode
from core.markers.foreign import Foreign


@dataclass(frozen=True, slots=True)
class WatchFolder:
    """One dump folder and the export tree that its dumps are let out to."""

    name: str
    path: Path
    export: Path
    layout: str
    vm_pattern: re.Pattern[str] | None
    recursive: bool
    mode: WatchMode
    scan_interval: float
    publish: Publish = Publish.HARDLINK
    min_free: int | None = None
    links: Links = Links.ANY
    signals: Foreign | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """Bytes that may leave in one day. ``weekdays`` are seven limits, Monday's first; empty: each is ``daily``."""

    daily: int
    reserve: int
    oversize: Oversize
    weekdays: tuple[int, ...] = ()

    def on(self, weekday: int) -> int:
        """The limit of a day that opens on this weekday; 0 is Monday."""
        return self.weekdays[weekday] if self.weekdays else self.daily


@dataclass(frozen=True, slots=True)
class DaySettings:
    """What ends a day. ``at`` and ``timezone`` matter for ``ends = "at"`` only."""

    ends: DayEnd
    at_least: float
    quiet: float
    at: datetime.time
    timezone: zoneinfo.ZoneInfo


@dataclass(frozen=True, slots=True)
class Staleness:
    """``target`` None: three fair turns. ``max_dump_age`` None: no dump is too old. ``min_gain`` 0: any gain does."""

    target: float | None
    max_dump_age: float | None
    min_gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Offsite:
    """What is known of the storage and what counts as proof that it has a dump. ``retention`` None: it keeps all."""

    storage: Storage
    confirm: Evidence
    retention: float | None = None


@dataclass(frozen=True, slots=True)
class BackupSet:
    """What holds for a named group of VMs. ``dumping`` None: others make their dumps.

    ``verification`` is that of its VMs but for those of ``vm_verifications``.
    """

    name: str
    target: float | None
    vms: tuple[str, ...]
    dumping: SetDumping | None = None
    verification: Verification = NOTHING_TO_VERIFY
    vm_verifications: Mapping[str, Verification] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Push:
    """Where `tidegate sync` pushes the export trees to: what rsync takes, ``{watch}`` in it a folder's name.

    ``options`` are rsync's beside those that Tidegate sets; ``ssh`` is its remote shell, ``rsync`` the program.
    """

    destination: str
    options: tuple[str, ...]
    ssh: tuple[str, ...]
    rsync: str

    def destination_of(self, watch: str) -> str:
        """Where the export tree of this watch folder goes."""
        return self.destination.replace("{watch}", watch)


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """Whom to ask for the VMs of this host. ``command`` prints a name a line; (): whatever of virsh, qm, pct is there.

    ``ignore``: VMs that need no backup.
    """

    command: tuple[str, ...]
    ignore: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exporters:
    """Where metrics and the page go. ``listen`` is (host, port) or None; ``textfile`` is written after each pass.

    ``hosts``: further names under which a browser may ask for the page. ``vm_series`` False: no series of single VMs.
    """

    listen: tuple[str, int] | None
    textfile: Path | None
    hosts: tuple[str, ...] = ()
    vm_series: bool = True


@dataclass(frozen=True, slots=True)
class Pinged:
    """Who is pinged: the URL itself, a secret, or the file that holds it. ``{backup_set}`` in it is a set's name."""

    url: str | None = field(default=None, repr=False)
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told of what. ``command`` (): nobody is told of trouble.

    ``timeout``: seconds for each ping, and for the command. ``remind``: seconds after which what goes on is told again.
    """

    command: tuple[str, ...] = ()
    on: frozenset[Trouble] = frozenset(Trouble)
    timeout: float = 10.0
    remind: float = 259_200.0
    pings: Mapping[Occasion, Pinged] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """One whole configuration. ``vm_targets``: VM -> its own one. ``dump_logs``: the folder of what dumps print.

    ``vm_verifications``: VM -> its own one, where it is in no set. ``pass_at`` None: the watcher runs no daily pass.
    ``push`` None: the storage pulls.
    """

    file: Path
    state: Path
    watches: tuple[WatchFolder, ...]
    limit: Limit
    day: DaySettings
    pass_at: datetime.time | None
    staleness: Staleness
    offsite: Offsite
    remove_markers: bool
    backup_sets: tuple[BackupSet, ...]
    exporters: Exporters
    dump_logs: Path
    vm_targets: Mapping[str, float] = field(default_factory=dict)
    vm_verifications: Mapping[str, Verification] = field(default_factory=dict)
    hypervisor: Hypervisor | None = None
    push: Push | None = None
    notify: Notify = Notify()

    def watch(self, name: str) -> WatchFolder:
        """The watch folder of this name. Raises KeyError."""
        for watch in self.watches:
            if watch.name == name:
                return watch
        raise KeyError(name)

    def target_of(self, vm: str, backup_set: str | None) -> float | None:
        """The off-site age in seconds that ``vm`` is meant to stay under: its own, else its set's, else that of all."""
        of_set = self.backup_set(backup_set) if backup_set is not None else None
        own = (self.vm_targets.get(vm), None if of_set is None else of_set.target)
        return next((one for one in own if one is not None), self.staleness.target)

    def verification_of(self, vm: str, backup_set: str | None) -> Verification:
        """What a dump of ``vm`` must pass that others have made."""
        of_set = self.backup_set(backup_set) if backup_set is not None else None
        if of_set is None:
            return self.vm_verifications.get(vm, NOTHING_TO_VERIFY)
        return of_set.vm_verifications.get(vm, of_set.verification)

    def backup_set(self, name: str) -> BackupSet | None:
        """The backup set of this name."""
        return next((one for one in self.backup_sets if one.name == name), None)

    def backup_set_of(self, vm: str) -> BackupSet | None:
        """The first backup set that lists ``vm``."""
        for backup_set in self.backup_sets:
            if vm in backup_set.vms:
                return backup_set
        return None
