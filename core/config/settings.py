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
class StateSettings:
    """Where the state file is."""

    path: Path


@dataclass(frozen=True, slots=True)
class PassSettings:
    """When the watch service runs its daily pass. None: it runs none."""

    at: datetime.time | None = None


@dataclass(frozen=True, slots=True)
class MarkerSettings:
    """Whether markers are removed when their dumps have come to their end."""

    remove: bool = True


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
    """What holds for a group of VMs. ``dumping`` None: others make their dumps.

    ``verification`` is that of its VMs but for those of ``vm_verifications``.
    """

    target: float | None
    vms: tuple[str, ...]
    dumping: SetDumping | None = None
    verification: Verification = NOTHING_TO_VERIFY
    vm_verifications: Mapping[str, Verification] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VmSettings:
    """What differs for one VM."""

    target: float | None = None


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
class Http:
    """Where metrics and the page are served: (host, port), and further names by which a browser may ask for them."""

    listen: tuple[str, int]
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Textfile:
    """The file that node_exporter reads. Written after each pass."""

    path: Path


@dataclass(frozen=True, slots=True)
class Exporters:
    """Where metrics and the page go. ``vm_series`` False: no series of single VMs."""

    http: Http | None = None
    textfile: Textfile | None = None
    vm_series: bool = True


@dataclass(frozen=True, slots=True)
class PingAddress:
    """Who is pinged: the URL itself, a secret, or the file that holds it. ``{backup_set}`` in it is a set's name."""

    url: str | None = field(default=None, repr=False)
    url_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told of what. ``command`` (): nobody is told of trouble.

    ``timeout``: seconds for each ping, and for the command. ``remind``: seconds after which what goes on is told again.
    """

    command: tuple[str, ...] = ()
    on: frozenset[Trouble] = frozenset(Trouble)
    timeout: float = 10.0
    remind: float = 259_200.0
    pings: Mapping[Occasion, PingAddress] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """One whole configuration. ``dump_logs``: the folder of what dumps print.

    ``vm_verifications``: VM -> its own one, where it is in no set. ``push`` None: the storage pulls.
    """

    file: Path
    state: StateSettings
    watches: tuple[WatchFolder, ...]
    limit: Limit
    day: DaySettings
    daily_pass: PassSettings
    staleness: Staleness
    offsite: Offsite
    markers: MarkerSettings
    backup_sets: dict[str, BackupSet]
    exporters: Exporters
    dump_logs: Path
    vms: Mapping[str, VmSettings] = field(default_factory=dict)
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
        of_vm, of_set = self.vms.get(vm), self.backup_sets.get(backup_set or "")
        for own in (of_vm, of_set):
            if own is not None and own.target is not None:
                return own.target
        return self.staleness.target

    def verification_of(self, vm: str, backup_set: str | None) -> Verification:
        """What a dump of ``vm`` must pass that others have made."""
        of_set = self.backup_sets.get(backup_set or "")
        if of_set is None:
            return self.vm_verifications.get(vm, NOTHING_TO_VERIFY)
        return of_set.vm_verifications.get(vm, of_set.verification)

    def dumping_of(self, backup_set: str) -> SetDumping | None:
        """What `tidegate dump` runs for this backup set; None: others make its dumps."""
        return self.backup_sets[backup_set].dumping

    def backup_set_of(self, vm: str) -> str | None:
        """The first backup set that lists ``vm``."""
        return next((name for name, one in self.backup_sets.items() if vm in one.vms), None)

    def sets_of_vms(self) -> dict[str, str]:
        """VM -> the first backup set that lists it."""
        return {vm: name for name, one in reversed(self.backup_sets.items()) for vm in one.vms}
