"""The sections of the file, as pydantic reads them. Imported only when a configuration is loaded.

pydantic does the walk and reports every error at once; each value is read by ``core.config.types``.
Defaults that depend on other keys are None here and are filled in by ``core.config.build``.
"""

import datetime
import re
import zoneinfo
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo, field_validator

from core.config import dump_values, notify_values, pushing, types
from core.config.dump_settings import Check
from core.config.timezone import zone
from core.enums import (
    CONFIRM_MODES,
    AdapterName,
    DayEnd,
    Evidence,
    Links,
    Oversize,
    Publish,
    Signals,
    Storage,
    Trouble,
    WatchMode,
)
from core.units import format_size

_Flag = Annotated[bool, PlainValidator(types.flag)]
_Path = Annotated[Path, PlainValidator(types.path)]
_ClockTime = Annotated[datetime.time, PlainValidator(types.clock_time)]
_Span = Annotated[float, PlainValidator(types.span)]
_SizeOrUnset = Annotated[int | None, PlainValidator(types.size)]
_SpanOrUnset = Annotated[float | None, PlainValidator(types.span_above_zero)]


class Table(BaseModel):
    """A section. A key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class StateTable(Table):
    """``[state]``."""

    path: _Path = Field(description='say where the state file is kept, like path = "var/state.db"')


class WatchTable(Table):
    """One ``[[watch]]``."""

    path: _Path = Field(description='say which folder the dumps are in, like path = "var/dumps"')
    name: Annotated[str | None, PlainValidator(types.name)] = None
    export: Annotated[Path | None, PlainValidator(types.path)] = None
    layout: Annotated[str | None, PlainValidator(types.layout)] = None
    vm_pattern: Annotated[re.Pattern[str] | None, PlainValidator(types.pattern)] = None
    recursive: _Flag = True
    mode: Annotated[WatchMode, PlainValidator(types.one_of(*WatchMode))] = WatchMode.EVENTS
    scan_interval: Annotated[float | None, PlainValidator(types.scan_interval)] = None
    publish: Annotated[Publish, PlainValidator(types.one_of(*Publish))] = Publish.HARDLINK
    min_free: _SizeOrUnset = None
    links: Annotated[Links, PlainValidator(types.one_of(*Links))] = Links.ANY
    signals: Annotated[Signals | None, PlainValidator(types.one_of(*Signals))] = None
    quiet_names: Annotated[re.Pattern[str] | None, PlainValidator(types.names_pattern)] = None
    quiet_after: _SpanOrUnset = None


class WeekdaysTable(Table):
    """``[limit.weekdays]``: limits of the days that open on these weekdays."""

    monday: _SizeOrUnset = None
    tuesday: _SizeOrUnset = None
    wednesday: _SizeOrUnset = None
    thursday: _SizeOrUnset = None
    friday: _SizeOrUnset = None
    saturday: _SizeOrUnset = None
    sunday: _SizeOrUnset = None

    def or_else(self, daily: int) -> dict[str, int]:
        """The limit of each weekday, Monday's first: its own, else ``daily``."""
        return {name: daily if own is None else own for name, own in self}


class LimitTable(Table):
    """``[limit]``."""

    daily: Annotated[int, PlainValidator(types.size_above_zero)] = Field(
        description='say how much may leave in one day, like daily = "10 GB"'
    )
    reserve: Annotated[int, PlainValidator(types.size)] = 0
    oversize: Annotated[Oversize, PlainValidator(types.one_of(*Oversize))] = Oversize.HOLD
    weekdays: WeekdaysTable = WeekdaysTable()

    @field_validator("reserve")
    @classmethod
    def _below_daily(cls, reserve: int, info: ValidationInfo) -> int:
        daily = info.data.get("daily")
        if daily is not None and reserve >= daily:
            raise ValueError(f"{format_size(reserve)} leaves nothing of the daily {format_size(daily)}; write less")
        return reserve

    @field_validator("weekdays")
    @classmethod
    def _let_something_out(cls, weekdays: WeekdaysTable, info: ValidationInfo) -> WeekdaysTable:
        daily, reserve = info.data.get("daily"), info.data.get("reserve")
        if daily is None or reserve is None:  # wrong themselves, and told
            return weekdays
        limits = weekdays.or_else(daily)
        if not any(limits.values()):
            raise ValueError("no day lets anything out, ever; write a size above 0 for one of them")
        for name, limit in limits.items():
            if 0 < limit <= reserve:
                figures = f"the reserve of {format_size(reserve)} leaves nothing of {name}'s {format_size(limit)}"
                raise ValueError(f'{figures}; write more, or "0 GB" for a day without a sync')
        return weekdays


class DayTable(Table):
    """``[day]``."""

    ends: Annotated[DayEnd, PlainValidator(types.one_of(*DayEnd))] = DayEnd.SYNC
    at_least: _Span = 20 * 3600.0
    quiet: _Span = 3600.0
    at: _ClockTime = datetime.time(0, 0)
    timezone: Annotated[zoneinfo.ZoneInfo | None, PlainValidator(zone)] = None


class PassTable(Table):
    """``[pass]``."""

    at: Annotated[datetime.time | None, PlainValidator(types.clock_time)] = None


class StalenessTable(Table):
    """``[staleness]``."""

    target: _SpanOrUnset = None
    max_dump_age: _SpanOrUnset = None
    min_gain: _SpanOrUnset = None


class OffsiteTable(Table):
    """``[offsite]``."""

    storage: Annotated[Storage, PlainValidator(types.one_of(*Storage))] = Field(
        description='say what the storage does: "mirror" (it becomes what the export tree holds) '
        'or "collect" (it keeps every dump that it pulls)'
    )
    confirm: Annotated[Evidence | None, PlainValidator(types.one_of(*CONFIRM_MODES))] = None
    retention: _SpanOrUnset = None


class SyncTable(Table):
    """``[sync]``."""

    destination: Annotated[str, PlainValidator(pushing.destination)] = Field(
        description='say where the export tree goes, like destination = "backup@storage:/srv/host1"'
    )
    options: Annotated[tuple[str, ...], PlainValidator(pushing.options)] = ("--archive", "--timeout=600")
    ssh: Annotated[tuple[str, ...], PlainValidator(pushing.command)] = ("ssh", "-o", "BatchMode=yes")
    rsync: Annotated[str, PlainValidator(types.text)] = "rsync"


class MarkersTable(Table):
    """``[markers]``."""

    remove: _Flag = True


class DumpTable(Table):
    """How VMs are dumped: for a set, and for a VM that differs from it. None: as the set, or the default, says."""

    target: _SpanOrUnset = None
    adapter: Annotated[AdapterName | None, PlainValidator(types.one_of(*AdapterName))] = None
    command: Annotated[tuple[str, ...] | None, PlainValidator(dump_values.command)] = None
    stdout: Annotated[bool | None, PlainValidator(types.flag)] = None
    suffix: Annotated[str | None, PlainValidator(dump_values.suffix)] = None
    pre: Annotated[tuple[str, ...] | None, PlainValidator(dump_values.command_or_none)] = None
    post: Annotated[tuple[str, ...] | None, PlainValidator(dump_values.command_or_none)] = None
    timeout: _SpanOrUnset = None
    retries: Annotated[int | None, PlainValidator(dump_values.retries)] = None
    margin: _SizeOrUnset = None
    checksum: Annotated[bool | None, PlainValidator(types.flag)] = None
    verify: Annotated[tuple[Check, ...] | None, PlainValidator(dump_values.checks)] = None
    keep: Annotated[int | None, PlainValidator(dump_values.keep)] = None
    uri: Annotated[str | None, PlainValidator(dump_values.uri)] = None


#: The keys that also hold for dumps that others have made: when a copy is old, and what a pass checks.
_KEYS_FOR_ALL = frozenset(("target", "verify", "timeout"))
#: The keys that say how a dump is made.
DUMP_KEYS = frozenset(DumpTable.model_fields) - _KEYS_FOR_ALL


class BackupSetTable(DumpTable):
    """One ``[backup_sets.NAME]``."""

    vms: Annotated[tuple[str, ...], PlainValidator(types.names)] = ()
    to: Annotated[str | None, PlainValidator(types.text)] = None
    parallel: Annotated[int | None, PlainValidator(dump_values.at_once)] = None

    @property
    def dumps(self) -> bool:
        """Whether it says anything of how dumps are made."""
        return bool(self.model_fields_set - _KEYS_FOR_ALL - {"vms"})


class VmTable(DumpTable):
    """One ``[vms.NAME]``."""


class DumpsTable(Table):
    """``[dumps]``."""

    logs: Annotated[Path | None, PlainValidator(types.path)] = None


class HypervisorTable(Table):
    """``[hypervisor]``."""

    list_: Annotated[tuple[str, ...] | None, PlainValidator(dump_values.command)] = Field(None, alias="list")
    ignore: Annotated[tuple[str, ...], PlainValidator(types.names)] = ()


class PingTable(Table):
    """``[notify.pass]`` and ``[notify.sync]``."""

    url: Annotated[str | None, PlainValidator(notify_values.url)] = None
    url_file: Annotated[Path | None, PlainValidator(types.path)] = None


class DumpPingTable(PingTable):
    """``[notify.dump]``."""

    url: Annotated[str | None, PlainValidator(notify_values.url_of_sets)] = None


class NotifyTable(Table):
    """``[notify]``."""

    command: Annotated[tuple[str, ...], PlainValidator(notify_values.command)] = ()
    on: Annotated[frozenset[Trouble], PlainValidator(notify_values.troubles)] = frozenset(Trouble)
    timeout: Annotated[float, PlainValidator(notify_values.timeout)] = 10.0
    remind: Annotated[float, PlainValidator(types.span_above_zero)] = 259_200.0
    pass_: PingTable | None = Field(None, alias="pass")
    dump: DumpPingTable | None = None
    sync: PingTable | None = None


class HttpTable(Table):
    """``[exporters.http]``."""

    beyond_loopback: _Flag = False  # before `listen`, which is judged by it
    listen: Annotated[tuple[str, int], PlainValidator(types.listen)] = Field(
        description='say where metrics are served, like listen = "127.0.0.1:9877"'
    )
    hosts: Annotated[tuple[str, ...], PlainValidator(types.hosts)] = ()

    @field_validator("listen")
    @classmethod
    def _where_nobody_else_hears(cls, listen: tuple[str, int], info: ValidationInfo) -> tuple[str, int]:
        """There is neither encryption nor a log-in: that must be meant."""
        host, port = listen
        if info.data.get("beyond_loopback") is False and not types.is_loopback(host):
            raise ValueError(
                f"{host!r} is more than this machine, and what is served there has neither encryption nor a log-in; "
                f'write "127.0.0.1:{port}" and let a reverse proxy add both, or say beyond_loopback = true'
            )
        return listen


class TextfileTable(Table):
    """``[exporters.textfile]``."""

    path: _Path = Field(
        description='say which file is written, like path = "/var/lib/prometheus/node-exporter/tidegate.prom"'
    )


class ExportersTable(Table):
    """``[exporters]`` and ``[exporters.*]``."""

    vm_series: _Flag = True
    http: HttpTable | None = None
    textfile: TextfileTable | None = None


class Document(Table):
    """The whole file."""

    state: StateTable
    watch: list[WatchTable] = Field(
        min_length=1, description='name at least one dump folder: [[watch]] and below it path = "var/dumps"'
    )
    limit: LimitTable
    day: DayTable = DayTable()
    # `pass` is a word of Python's.
    pass_: PassTable = Field(PassTable(), alias="pass")
    staleness: StalenessTable = StalenessTable()
    offsite: OffsiteTable
    sync: SyncTable | None = None
    markers: MarkersTable = MarkersTable()
    backup_sets: dict[Annotated[str, PlainValidator(types.name)], BackupSetTable] = {}
    vms: dict[Annotated[str, PlainValidator(types.name)], VmTable] = {}
    dumps: DumpsTable = DumpsTable()
    hypervisor: HypervisorTable | None = None
    notify: NotifyTable = NotifyTable.model_validate({})
    exporters: ExportersTable = ExportersTable()


#: Which table reads which section; ``*`` is a name that the admin chooses.
SECTIONS: dict[tuple[str, ...], type[Table]] = {
    (): Document,
    ("state",): StateTable,
    ("watch",): WatchTable,
    ("limit",): LimitTable,
    ("limit", "weekdays"): WeekdaysTable,
    ("day",): DayTable,
    ("pass",): PassTable,
    ("staleness",): StalenessTable,
    ("offsite",): OffsiteTable,
    ("sync",): SyncTable,
    ("markers",): MarkersTable,
    ("backup_sets", "*"): BackupSetTable,
    ("vms", "*"): VmTable,
    ("dumps",): DumpsTable,
    ("hypervisor",): HypervisorTable,
    ("notify",): NotifyTable,
    ("notify", "pass"): PingTable,
    ("notify", "dump"): DumpPingTable,
    ("notify", "sync"): PingTable,
    ("exporters",): ExportersTable,
    ("exporters", "http"): HttpTable,
    ("exporters", "textfile"): TextfileTable,
}
