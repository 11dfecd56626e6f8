"""From tables to the frozen configuration: paths made absolute, defaults that depend on other keys."""

import os.path
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.config import dump_build, pushing, tables
from core.config.dump_settings import Verification
from core.config.settings import (
    BackupSet,
    Config,
    DaySettings,
    Exporters,
    Http,
    Hypervisor,
    Limit,
    MarkerSettings,
    Notify,
    Offsite,
    PassSettings,
    PingAddress,
    Push,
    Staleness,
    StateSettings,
    Textfile,
    VmSettings,
    WatchFolder,
)
from core.config.timezone import host_zone
from core.enums import Evidence, Occasion, Storage, WatchMode
from core.markers.foreign import Foreign, Quiet

_EXPORT = ".rsync"
#: A mirror wants names that stay, so that rsync can send the difference; a collection wants each dump's own.
_LAYOUTS = {Storage.MIRROR: "{vm}{suffixes}", Storage.COLLECT: "{name}"}
#: Polling has nothing but its scans; with events a scan is only the safety net.
_SCAN_INTERVALS = {WatchMode.EVENTS: 300.0, WatchMode.POLL: 60.0}
_NO_VM = tables.VmTable()
_NO_SET = tables.BackupSetTable()


def config(document: tables.Document, file: Path) -> Config:
    """The configuration of a document without errors. ``file`` is absolute."""
    base = file.parent
    day = document.day
    state = base / document.state.path
    watches = tuple(watch_folder(watch, base, document.offsite.storage) for watch in document.watch)
    return Config(
        file=file,
        state=StateSettings(state),
        watches=watches,
        limit=_limit(document.limit),
        day=DaySettings(day.ends, day.at_least, day.quiet, day.at, day.timezone or host_zone()),
        daily_pass=PassSettings(document.pass_.at),
        staleness=_staleness(document.staleness),
        offsite=_offsite(document.offsite, pushes=document.sync is not None),
        markers=MarkerSettings(document.markers.remove),
        backup_sets=dict(_backup_sets(document, watches, base)),
        exporters=_exporters(document.exporters, base),
        dump_logs=base / (document.dumps.logs or state.with_name(f"{state.name}.dump-logs")),
        hypervisor=_hypervisor(document.hypervisor),
        vms={name: VmSettings(each.target) for name, each in document.vms.items()},
        vm_verifications=_vm_verifications(document, _NO_SET),
        push=_push(document.sync, base),
        notify=_notify(document.notify, base),
    )


def watch_folder(watch: tables.WatchTable, base: Path, storage: Storage) -> WatchFolder:
    """One watch folder. Its name is empty where neither the key nor the path gives one."""
    path = base / watch.path
    return WatchFolder(
        # normpath: of "dumps/." and "a/../dumps" the last part is no name.
        name=watch.name or Path(os.path.normpath(path)).name,
        path=path,
        export=path / _EXPORT if watch.export is None else base / watch.export,
        layout=watch.layout or _LAYOUTS[storage],
        vm_pattern=watch.vm_pattern,
        recursive=watch.recursive,
        mode=watch.mode,
        scan_interval=_SCAN_INTERVALS[watch.mode] if watch.scan_interval is None else watch.scan_interval,
        publish=watch.publish,
        min_free=watch.min_free,
        links=watch.links,
        signals=_signals(watch),
    )


def _signals(watch: tables.WatchTable) -> Foreign | None:
    if watch.quiet_names is None or watch.quiet_after is None:
        return watch.signals
    return Quiet(watch.quiet_names, watch.quiet_after)


def _backup_sets(
    document: tables.Document, watches: Sequence[WatchFolder], base: Path
) -> Iterator[tuple[str, BackupSet]]:
    for name, each in document.backup_sets.items():
        dumping = dump_build.dumping(each, document.vms, watches, base) if each.dumps else None
        usual = dump_build.verification(_NO_VM, each)
        yield name, BackupSet(each.target, each.vms, dumping, usual, _vm_verifications(document, each))


def _vm_verifications(document: tables.Document, backup_set: tables.BackupSetTable) -> dict[str, Verification]:
    """VM -> its own one, where it is not what the set's VMs have."""
    usual = dump_build.verification(_NO_VM, backup_set)
    own = {vm: dump_build.verification(each, backup_set) for vm, each in document.vms.items()}
    return {vm: one for vm, one in own.items() if one != usual}


def _hypervisor(hypervisor: tables.HypervisorTable | None) -> Hypervisor | None:
    return None if hypervisor is None else Hypervisor(hypervisor.list_ or (), hypervisor.ignore)


def _limit(limit: tables.LimitTable) -> Limit:
    differs = bool(limit.weekdays.model_fields_set)
    weekdays = tuple(limit.weekdays.or_else(limit.daily).values()) if differs else ()
    return Limit(limit.daily, limit.reserve, limit.oversize, weekdays)


def _staleness(staleness: tables.StalenessTable) -> Staleness:
    return Staleness(staleness.target, staleness.max_dump_age, staleness.min_gain or 0.0)


def _offsite(offsite: tables.OffsiteTable, *, pushes: bool) -> Offsite:
    """Who pushes reports by himself."""
    confirm = offsite.confirm or (Evidence.REPORT if pushes else Evidence.READ)
    return Offsite(offsite.storage, confirm, offsite.retention)


def _push(sync: tables.SyncTable | None, base: Path) -> Push | None:
    if sync is None:
        return None
    written = sync.destination
    destination = written if pushing.is_of_a_host(written) else str(base / written)
    return Push(destination, sync.options, sync.ssh, sync.rsync)


def _notify(notify: tables.NotifyTable, base: Path) -> Notify:
    written = {Occasion.PASS: notify.pass_, Occasion.DUMP: notify.dump, Occasion.SYNC: notify.sync}
    pings = {
        occasion: PingAddress(one.url, None if one.url_file is None else base / one.url_file)
        for occasion, one in written.items()
        if one is not None
    }
    return Notify(notify.command, notify.on, notify.timeout, notify.remind, pings)


def _exporters(exporters: tables.ExportersTable, base: Path) -> Exporters:
    return Exporters(
        http=Http(exporters.http.listen, exporters.http.hosts) if exporters.http else None,
        textfile=Textfile(base / exporters.textfile.path) if exporters.textfile else None,
        vm_series=exporters.vm_series,
    )
