"""The configuration: each key of the file is declared here once, with its type, its default and what it is.

``core.config.load`` makes one of a file. Sizes are bytes, spans are seconds, paths are absolute. What keys have to
do with each other is in ``core.config.rules``.
"""

import datetime
import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from core.config import types
from core.config.dump_settings import BackupSet, SetDumping, Verification, VmSettings, destination, rule_of
from core.config.network_settings import Http, Notify, Push
from core.config.section import Section, key, named_sections, optional_section, section, sections
from core.enums import CONFIRM_MODES, DayEnd, Evidence, Links, Oversize, Publish, Signals, Storage, VmFrom, WatchMode

if TYPE_CHECKING:  # what names are made of takes 15 ms to load, and whoever shows what is recorded reads no name
    from core.markers.foreign import Foreign
    from core.markers.vm_name import Naming

#: A mirror wants names that stay, so that rsync can send the difference; a collection wants each dump's own.
_LAYOUTS = {Storage.MIRROR: "{vm}{suffixes}", Storage.COLLECT: "{name}"}
#: Polling has nothing but its scans; with events a scan is only the safety net.
_SCAN_INTERVALS = {WatchMode.EVENTS: 300.0, WatchMode.POLL: 60.0}


class StateSettings(Section):
    """``[state]``."""

    path = key(types.path, "File that records what was released, and when.", example="var/state.db", in_folder=True)


def _name_of(watch: Mapping[str, Any]) -> str:
    # normpath: of "dumps/." and "a/../dumps" the last part is no name.
    return Path(os.path.normpath(watch["path"])).name


def _export_of(watch: Mapping[str, Any]) -> Path:
    return cast("Path", watch["path"]) / ".rsync"


def _scan_interval_of(watch: Mapping[str, Any]) -> float:
    return _SCAN_INTERVALS[watch["mode"]]


def _quiet(watch: Mapping[str, Any]) -> "Foreign | None":
    names, seconds = watch["quiet_names"], watch["quiet_after"]
    if names is None or seconds is None:
        return None
    from core.markers.foreign import Quiet

    return Quiet(names, seconds)


class WatchFolder(Section):
    """One ``[[watch]]``: a dump folder, and the export tree that its dumps are released to."""

    path = key(types.path, "Folder that the dumps are in.", example="var/dumps", in_folder=True)
    name = key(types.name, "Its name in `status` and in metrics; by default the folder's own.", default_of=_name_of)
    export = key(
        types.path,
        "The export tree, which the storage pulls, on the same mount; by default .rsync inside the folder.",
        default_of=_export_of,
        in_folder=True,
    )
    layout = key(
        types.layout,
        'Names in the export tree; by default "{vm}{suffixes}" for a mirror, "{name}" for a collection.',
        default=_LAYOUTS[Storage.MIRROR],
    )
    vm_pattern = key(
        types.vm_pattern,
        "Regular expression with a group named vm, where names of dumps do not begin with the VM's.",
        default=None,
    )
    vm = key(
        types.one_of(*VmFrom),
        'What names the VM: "name", "folder", or "auto", which is the folder where the name says nothing.',
        default=VmFrom.AUTO,
    )
    prefix = key(
        types.prefix, "Put before the VM's name, where several hosts' dumps have the same numbers.", default=""
    )
    recursive = key(types.flag, "Whether subfolders are searched too.", default=True)
    mode = key(
        types.one_of(*WatchMode),
        '"events" of the kernel, or "poll" where there are none (NFS, FUSE).',
        default=WatchMode.EVENTS,
    )
    scan_interval = key(
        types.scan_interval,
        'How often the whole folder is scanned; by default "5m", with mode = "poll" "1m".',
        default_of=_scan_interval_of,
    )
    publish = key(
        types.one_of(*Publish),
        '"hardlink", or "reflink" (xfs, btrfs): copies that share blocks with the dump.',
        default=Publish.HARDLINK,
    )
    min_free = key(types.size, "Space that should be free on the disk; below it there are alerts.", default=None)
    links = key(
        types.one_of(*Links),
        '"strict" refuses dumps whose files have other names: where others can write there.',
        default=Links.ANY,
    )
    quiet_names = key(
        types.pattern,
        "Regular expression of names that are complete dumps once nothing was written to them.",
        default=None,
    )
    quiet_after = key(types.span_above_zero, "For how long nothing was written to such a dump.", default=None)
    signals = key(
        types.one_of(*Signals), "What programs that write no markers leave beside a complete dump.", default_of=_quiet
    )

    @property
    def naming(self) -> "Naming":
        """How the VM of a dump is read from its path."""
        from core.markers.vm_name import Naming

        return Naming(self.vm, self.vm_pattern, self.prefix, counts_up=self.signals is Signals.STATUS_OK)


class Weekdays(Section):
    """``[limit.weekdays]``: limits of the days that open on these weekdays, in place of ``daily``."""

    monday = key(types.size, "Limit of a day that opens on a Monday.", default=None)
    tuesday = key(types.size, "Limit of a day that opens on a Tuesday.", default=None)
    wednesday = key(types.size, "Limit of a day that opens on a Wednesday.", default=None)
    thursday = key(types.size, "Limit of a day that opens on a Thursday.", default=None)
    friday = key(types.size, "Limit of a day that opens on a Friday.", default=None)
    saturday = key(types.size, "Limit of a day that opens on a Saturday.", default=None)
    sunday = key(types.size, "Limit of a day that opens on a Sunday.", default=None)


class Limit(Section):
    """``[limit]``."""

    daily = key(
        types.size_above_zero, "Daily limit: how much one sync may find that the storage has not had.", example="10 GB"
    )
    reserve = key(types.size, "Part of the limit that is kept free for what you release by hand.", default=0)
    oversize = key(
        types.one_of(*Oversize),
        'What happens to a dump larger than the daily limit: "hold", "spread" or "slices".',
        default=Oversize.HOLD,
    )
    weekdays = optional_section(Weekdays, "Other limits on some weekdays.")

    @property
    def by_weekday(self) -> dict[str, int]:
        """The limit of each weekday, Monday's first; empty where all are ``daily``."""
        if self.weekdays is None or not self.weekdays.given:
            return {}
        return {day: self.daily if own is None else own for day, own in self.weekdays.values().items()}

    def on(self, weekday: int) -> int:
        """The limit of a day that opens on this weekday; 0 is Monday."""
        limits = self.by_weekday
        return [*limits.values()][weekday] if limits else self.daily


class DaySettings(Section):
    """``[day]``: what ends a day."""

    ends = key(types.one_of(*DayEnd), 'When a day ends: after a "sync", or "at" a local time.', default=DayEnd.SYNC)
    at_least = key(types.span, "How old a day must be before a sync ends it.", default=72_000.0)
    quiet = key(types.span, "For how long nothing must have been read before a sync counts as over.", default=3_600.0)
    at = key(types.time_of_day, 'Local time at which a day ends with ends = "at".', default=datetime.time())
    timezone = key(
        types.zone,
        "Time zone of local times; by default the host's.",
        default_of=lambda _day: types.host_zone(),
        example="UTC",
    )


class PassSettings(Section):
    """``[pass]``."""

    at = key(
        types.time_of_day,
        "Local time at which `tidegate watch` runs the daily pass; by default it runs none.",
        default=None,
    )


class Staleness(Section):
    """``[staleness]``."""

    target = key(
        types.span_above_zero, "Age that no off-site copy should reach; by default three fair intervals.", default=None
    )
    max_dump_age = key(types.span_above_zero, "Dumps older than this are not released.", default=None)
    min_gain = key(
        types.span_above_zero, "How much newer than the off-site copy a dump must be to be released.", default=0.0
    )


class Offsite(Section):
    """``[offsite]``: the storage, and what proves that it has a dump."""

    storage = key(
        types.one_of(*Storage),
        'What the storage does: "mirror" keeps what the export tree holds, "collect" keeps all it pulls.',
        example="mirror",
    )
    confirm = key(
        types.one_of(*CONFIRM_MODES),
        'What confirms that a dump is off-site; by default "read", with [sync] "report".',
        default=Evidence.READ,
    )
    retention = key(
        types.span_above_zero,
        "How long the storage keeps a copy, which then counts as gone; by default for ever.",
        default=None,
    )


class MarkerSettings(Section):
    """``[markers]``."""

    remove = key(
        types.flag,
        "Whether a completion marker is removed once its dump is off-site, superseded or expired.",
        default=True,
    )


class DumpLogs(Section):
    """``[dumps]``."""

    logs = key(
        types.path,
        "Folder of what the commands of dumps print; by default beside the state file.",
        default=None,
        in_folder=True,
    )


class Hypervisor(Section):
    """``[hypervisor]``: whom to ask for the VMs of this host."""

    command = key(
        types.command, "Command that prints a VM a line; by default that of virsh, qm or pct.", default=(), name="list"
    )
    ignore = key(types.names, "VMs that need no backup.", default=())


class Textfile(Section):
    """``[exporters.textfile]``."""

    path = key(
        types.path,
        "File for node_exporter, written after each pass.",
        example="/var/lib/prometheus/node-exporter/tidegate.prom",
        in_folder=True,
    )


class Exporters(Section):
    """``[exporters]``."""

    vm_series = key(types.flag, "Whether there are metrics of single VMs.", default=True)
    http = optional_section(Http, "The page and /metrics.")
    textfile = optional_section(Textfile, "The metrics as a file for node_exporter.")


class Config(Section):
    """The whole file."""

    state = section(StateSettings, "The state file.")
    limit = section(Limit, "How much may leave in a day.")
    day = section(DaySettings, "What ends a day.")
    daily_pass = section(PassSettings, "The daily pass.", name="pass")
    staleness = section(Staleness, "How old copies and dumps may be.")
    push = optional_section(Push, "Where `tidegate sync` pushes to, if it does.", name="sync")
    offsite = section(Offsite, "The storage.")
    watches = sections(WatchFolder, "The dump folders.", name="watch")
    markers = section(MarkerSettings, "Completion markers.")
    backup_sets = named_sections(BackupSet, "Named groups of VMs.", name_of=types.name)
    vms = named_sections(VmSettings, "What differs for single VMs.", name_of=types.name)
    dumps = section(DumpLogs, "What `tidegate dump` leaves.")
    hypervisor = optional_section(Hypervisor, "Whom to ask for the VMs of this host.")
    notify = section(Notify, "Who is notified without a Prometheus.")
    exporters = section(Exporters, "Metrics and the page.")

    #: The file that it was read from, absolute.
    file = Path()

    def of(self, file: Path) -> Self:
        """With its file, and with defaults that follow from other sections."""
        offsite = self.offsite
        if self.push is not None and "confirm" not in offsite.given | offsite.wrong:
            offsite = offsite.replace(confirm=Evidence.REPORT)
        layout = _LAYOUTS.get(offsite.storage)
        watches = tuple(one if "layout" in one.given else one.replace(layout=layout) for one in self.watches)
        return self.replace(file=file, offsite=offsite, watches=watches)

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
