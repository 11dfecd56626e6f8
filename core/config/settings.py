"""The configuration: each key of the file is declared here once, with its type, its default and what it is.

``core.config.load`` makes one of a file. Sizes are bytes, spans are seconds, paths are absolute. What keys have to
do with each other is in ``core.config.rules``.
"""

import datetime
import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_origin

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from core.config.dump_settings import BackupSet, SetDumping, Verification, VmSettings, destination, rule_of
from core.config.messages import NO_WATCH
from core.config.network_settings import Http, Notify, Push
from core.config.types import (
    Command,
    FilePath,
    Flag,
    Layout,
    Name,
    Names,
    Pattern,
    Prefix,
    ScanInterval,
    Size,
    SizeAboveZero,
    Span,
    SpanAboveZero,
    Table,
    TimeOfDay,
    VmPattern,
    Zone,
    host_zone,
    read_word,
)
from core.enums import CONFIRM_MODES, DayEnd, Evidence, Links, Oversize, Publish, Signals, Storage, VmFrom, WatchMode
from core.markers.foreign import Foreign, Quiet
from core.markers.vm_name import Naming

#: A mirror wants names that stay, so that rsync can send the difference; a collection wants each dump's own.
_LAYOUTS = {Storage.MIRROR: "{vm}{suffixes}", Storage.COLLECT: "{name}"}
#: Polling has nothing but its scans; with events a scan is only the safety net.
_SCAN_INTERVALS = {WatchMode.EVENTS: 300.0, WatchMode.POLL: 60.0}


class StateSettings(Table):
    """``[state]``."""

    path: FilePath = Field(description="File that records what was released, and when.", examples=["var/state.db"])


def _name_of(watch: Mapping[str, Any]) -> str:
    # normpath: of "dumps/." and "a/../dumps" the last part is no name.
    return Path(os.path.normpath(watch["path"])).name


def _quiet(watch: Mapping[str, Any]) -> Foreign | None:
    names, seconds = watch["quiet_names"], watch["quiet_after"]
    return None if names is None or seconds is None else Quiet(names, seconds)


class WatchFolder(Table):
    """One ``[[watch]]``: a dump folder, and the export tree that its dumps are released to."""

    path: FilePath = Field(description="Folder that the dumps are in.", examples=["var/dumps"])
    name: Name = Field(
        default_factory=_name_of, description="Its name in `status` and in metrics; by default the folder's own."
    )
    export: FilePath = Field(
        default_factory=lambda watch: watch["path"] / ".rsync",
        description="The export tree, which the storage pulls, on the same mount; by default .rsync inside the folder.",
    )
    layout: Layout = Field(
        default=_LAYOUTS[Storage.MIRROR],
        description='Names in the export tree; by default "{vm}{suffixes}" for a mirror, "{name}" for a collection.',
    )
    vm_pattern: VmPattern | None = Field(
        default=None,
        description="Regular expression with a group named vm, where names of dumps do not begin with the VM's.",
    )
    vm: Annotated[VmFrom, read_word(*VmFrom)] = Field(
        default=VmFrom.AUTO,
        description='What names the VM: "name", "folder", or "auto", which is the folder where the name says nothing.',
    )
    prefix: Prefix = Field(
        default="", description="Put before the VM's name, where several hosts' dumps have the same numbers."
    )
    recursive: Flag = Field(default=True, description="Whether subfolders are searched too.")
    mode: Annotated[WatchMode, read_word(*WatchMode)] = Field(
        default=WatchMode.EVENTS, description='"events" of the kernel, or "poll" where there are none (NFS, FUSE).'
    )
    scan_interval: ScanInterval = Field(
        default_factory=lambda watch: _SCAN_INTERVALS[watch["mode"]],
        description='How often the whole folder is scanned; by default "5m", with mode = "poll" "1m".',
    )
    publish: Annotated[Publish, read_word(*Publish)] = Field(
        default=Publish.HARDLINK,
        description='"hardlink", or "reflink" (xfs, btrfs): copies that share blocks with the dump.',
    )
    min_free: Size | None = Field(
        default=None, description="Space that should be free on the disk; below it there are alerts."
    )
    links: Annotated[Links, read_word(*Links)] = Field(
        default=Links.ANY,
        description='"strict" refuses dumps whose files have other names: where others can write there.',
    )
    quiet_names: Pattern | None = Field(
        default=None,
        description="Regular expression of names that are complete dumps once nothing was written to them.",
    )
    quiet_after: SpanAboveZero | None = Field(
        default=None, description="For how long nothing was written to such a dump."
    )
    signals: Annotated[Foreign | None, read_word(*Signals)] = Field(
        default_factory=_quiet, description="What programs that write no markers leave beside a complete dump."
    )

    @property
    def naming(self) -> Naming:
        """How the VM of a dump is read from its path."""
        return Naming(self.vm, self.vm_pattern, self.prefix, counts_up=self.signals is Signals.STATUS_OK)


class Weekdays(Table):
    """``[limit.weekdays]``: limits of the days that open on these weekdays, in place of ``daily``."""

    monday: Size | None = Field(default=None, description="Limit of a day that opens on a Monday.")
    tuesday: Size | None = Field(default=None, description="Limit of a day that opens on a Tuesday.")
    wednesday: Size | None = Field(default=None, description="Limit of a day that opens on a Wednesday.")
    thursday: Size | None = Field(default=None, description="Limit of a day that opens on a Thursday.")
    friday: Size | None = Field(default=None, description="Limit of a day that opens on a Friday.")
    saturday: Size | None = Field(default=None, description="Limit of a day that opens on a Saturday.")
    sunday: Size | None = Field(default=None, description="Limit of a day that opens on a Sunday.")


class Limit(Table):
    """``[limit]``."""

    daily: SizeAboveZero = Field(
        description="Daily limit: how much one sync may find that the storage has not had.", examples=["10 GB"]
    )
    reserve: Size = Field(default=0, description="Part of the limit that is kept free for what you release by hand.")
    oversize: Annotated[Oversize, read_word(*Oversize)] = Field(
        default=Oversize.HOLD,
        description='What happens to a dump larger than the daily limit: "hold", "spread" or "slices".',
    )
    weekdays: Weekdays | None = Field(default=None, description="Other limits on some weekdays.")

    @property
    def by_weekday(self) -> dict[str, int]:
        """The limit of each weekday, Monday's first; empty where all are ``daily``."""
        if self.weekdays is None or not self.weekdays.model_fields_set:
            return {}
        return {day: self.daily if own is None else own for day, own in self.weekdays}

    def on(self, weekday: int) -> int:
        """The limit of a day that opens on this weekday; 0 is Monday."""
        limits = self.by_weekday
        return [*limits.values()][weekday] if limits else self.daily


class DaySettings(Table):
    """``[day]``: what ends a day."""

    ends: Annotated[DayEnd, read_word(*DayEnd)] = Field(
        default=DayEnd.SYNC, description='When a day ends: after a "sync", or "at" a local time.'
    )
    at_least: Span = Field(default=72_000.0, description="How old a day must be before a sync ends it.")
    quiet: Span = Field(
        default=3_600.0, description="For how long nothing must have been read before a sync counts as over."
    )
    at: TimeOfDay = Field(default=datetime.time(), description='Local time at which a day ends with ends = "at".')
    timezone: Zone = Field(
        default_factory=host_zone, description="Time zone of local times; by default the host's.", examples=["UTC"]
    )


class PassSettings(Table):
    """``[pass]``."""

    at: TimeOfDay | None = Field(
        default=None, description="Local time at which `tidegate watch` runs the daily pass; by default it runs none."
    )


class Staleness(Table):
    """``[staleness]``."""

    target: SpanAboveZero | None = Field(
        default=None, description="Age that no off-site copy should reach; by default three fair intervals."
    )
    max_dump_age: SpanAboveZero | None = Field(default=None, description="Dumps older than this are not released.")
    min_gain: SpanAboveZero = Field(
        default=0.0, description="How much newer than the off-site copy a dump must be to be released."
    )


class Offsite(Table):
    """``[offsite]``: the storage, and what proves that it has a dump."""

    storage: Annotated[Storage, read_word(*Storage)] = Field(
        description='What the storage does: "mirror" keeps what the export tree holds, "collect" keeps all it pulls.',
        examples=["mirror"],
    )
    confirm: Annotated[Evidence, read_word(*CONFIRM_MODES)] = Field(
        default=Evidence.READ,
        description='What confirms that a dump is off-site; by default "read", with [sync] "report".',
    )
    retention: SpanAboveZero | None = Field(
        default=None, description="How long the storage keeps a copy, which then counts as gone; by default for ever."
    )


class MarkerSettings(Table):
    """``[markers]``."""

    remove: Flag = Field(
        default=True,
        description="Whether a completion marker is removed once its dump is off-site, superseded or expired.",
    )


class DumpLogs(Table):
    """``[dumps]``."""

    logs: FilePath | None = Field(
        default=None, description="Folder of what the commands of dumps print; by default beside the state file."
    )


class Hypervisor(Table):
    """``[hypervisor]``: whom to ask for the VMs of this host."""

    command: Command = Field(
        default=(),
        alias="list",
        description="Command that prints a VM a line; by default that of virsh, qm or pct.",
    )
    ignore: Names = Field(default=(), description="VMs that need no backup.")


class Textfile(Table):
    """``[exporters.textfile]``."""

    path: FilePath = Field(
        description="File for node_exporter, written after each pass.",
        examples=["/var/lib/prometheus/node-exporter/tidegate.prom"],
    )


class Exporters(Table):
    """``[exporters]``."""

    vm_series: Flag = Field(default=True, description="Whether there are metrics of single VMs.")
    http: Http | None = Field(default=None, description="The page and /metrics.")
    textfile: Textfile | None = Field(default=None, description="The metrics as a file for node_exporter.")


class Config(Table):
    """The whole file."""

    state: StateSettings = Field(description="The state file.")
    limit: Limit = Field(description="How much may leave in a day.")
    day: DaySettings = Field(description="What ends a day.")
    daily_pass: PassSettings = Field(alias="pass", description="The daily pass.")
    staleness: Staleness = Field(description="How old copies and dumps may be.")
    push: Push | None = Field(default=None, alias="sync", description="Where `tidegate sync` pushes to, if it does.")
    offsite: Offsite = Field(description="The storage.")
    watches: tuple[WatchFolder, ...] = Field(alias="watch", description="The dump folders.")
    markers: MarkerSettings = Field(description="Completion markers.")
    backup_sets: dict[Name, BackupSet] = Field(default={}, description="Named groups of VMs.")
    vms: dict[Name, VmSettings] = Field(default={}, description="What differs for single VMs.")
    dumps: DumpLogs = Field(description="What `tidegate dump` leaves.")
    hypervisor: Hypervisor | None = Field(default=None, description="Whom to ask for the VMs of this host.")
    notify: Notify = Field(description="Who is notified without a Prometheus.")
    exporters: Exporters = Field(description="Metrics and the page.")

    _file: Path = PrivateAttr()

    def model_post_init(self, context: Path) -> None:
        """``context`` is the file, absolute."""
        self._file = context

    @model_validator(mode="before")
    @classmethod
    def _with_empty_sections(cls, document: dict[str, Any]) -> dict[str, Any]:
        """A section that is not there misses the same keys as an empty one, and the keys are what is reported."""
        sections = {name: field for name, field in cls.model_fields.items() if get_origin(field.annotation) is None}
        return {field.alias or name: {} for name, field in sections.items() if field.is_required()} | document

    @field_validator("offsite")
    @classmethod
    def _pushing_reports(cls, offsite: Offsite, info: ValidationInfo) -> Offsite:
        if info.data.get("push") is None or "confirm" in offsite.model_fields_set:
            return offsite
        return offsite.model_copy(update={"confirm": Evidence.REPORT})

    @field_validator("watches")
    @classmethod
    def _as_the_storage_wants(cls, watches: tuple[WatchFolder, ...], info: ValidationInfo) -> tuple[WatchFolder, ...]:
        if not watches:
            raise ValueError(NO_WATCH)
        offsite = info.data.get("offsite")
        by_default = {} if offsite is None else {"layout": _LAYOUTS[offsite.storage]}
        return tuple(one if "layout" in one.model_fields_set else one.model_copy(update=by_default) for one in watches)

    @property
    def file(self) -> Path:
        """The file that it was read from."""
        return self._file

    @property
    def dump_logs(self) -> Path:
        """The folder of what the commands of dumps print."""
        return self.dumps.logs or self.state.path.with_name(f"{self.state.path.name}.dump-logs")

    def watch(self, name: str) -> WatchFolder:
        """The watch folder of this name. Raises KeyError."""
        for watch in self.watches:
            if watch.name == name:
                return watch
        raise KeyError(name)

    def target_of(self, vm: str, backup_set: str | None) -> float | None:
        """The off-site age in seconds that ``vm`` is meant to stay under: its own, else its set's, else that of all."""
        for own in (self.vms.get(vm), self.backup_sets.get(backup_set or "")):
            if own is not None and own.target is not None:
                return own.target
        return self.staleness.target

    def verification_of(self, vm: str, backup_set: str | None) -> Verification:
        """What a dump of ``vm`` must pass that others have made."""
        rule = rule_of(self.vms.get(vm), self.backup_sets.get(backup_set or ""))
        return Verification(rule.verify, rule.timeout)

    def dumping_of(self, backup_set: str) -> SetDumping | None:
        """What `tidegate dump` runs for this backup set; None: others make its dumps."""
        one = self.backup_sets[backup_set]
        if not one.makes_dumps:
            return None
        watch, folder = destination(one.to, self.watches, self.file.parent)
        rules = {vm: rule_of(self.vms.get(vm), one) for vm in one.vms}
        return SetDumping(watch.name, folder, one.parallel, rules)

    def backup_set_of(self, vm: str) -> str | None:
        """The first backup set that lists ``vm``."""
        return next((name for name, one in self.backup_sets.items() if vm in one.vms), None)

    def sets_of_vms(self) -> dict[str, str]:
        """VM -> the first backup set that lists it."""
        return {vm: name for name, one in reversed(self.backup_sets.items()) for vm in one.vms}


def schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors that check TOML with one."""
    found = Config.model_json_schema()
    sections = found["$defs"]
    for model in (found, *sections.values()):
        for key in model.get("properties", {}).values():
            key.pop("default", None)  # as it is in memory, in bytes or seconds, and not as it is written
    # A section that needs no key may be left out.
    needed = {one["$ref"].rpartition("/")[2]: key for key, one in found["properties"].items() if "$ref" in one}
    optional = {key for name, key in needed.items() if not sections[name].get("required")}
    return found | {"required": sorted(set(found["required"]) - optional)}
