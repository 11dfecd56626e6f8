"""Mistakes that no key shows alone: what keys have to do with each other, and with the folders of this host.

They are looked for in whatever part of the document is right by itself, so that one wrong key does not hide what else
is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from core.config.dump_settings import DUMP_KEYS, SHA256, BackupSet, DumpRule, VmSettings, destination, rule_of
from core.config.messages import CONSEQUENCE, Place, Problem
from core.config.network_settings import WATCH, Http, is_loopback
from core.config.settings import Config, Limit, WatchFolder
from core.config.types import Table
from core.enums import CONFIRM_MODES, AdapterName, Evidence, Occasion, Oversize
from core.filenames import is_single_component
from core.units import format_size

_Table = TypeVar("_Table", bound=Table)

_CONFIRM: Place = ("offsite", "confirm")
#: Keys that only one adapter looks at.
_OWN_KEYS = {AdapterName.COMMAND: ("command", "stdout"), AdapterName.LIBVIRT: ("uri",)}
#: Of a file name's 255 bytes a VM's name may take so many: a time, an ending and that of a marker follow it.
_LONGEST_VM_BYTES = 150


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is right by itself. ``watches`` by their place in the file; the words are those of the document."""

    document: Mapping[str, Any]
    folder: Path
    watches: Mapping[int, WatchFolder]
    limit: Limit | None
    http: Http | None
    backup_sets: Mapping[str, BackupSet]
    vms: Mapping[str, VmSettings]

    def word(self, section: str, key: str, default: str) -> object:
        """What is written there, right or wrong."""
        table = self.document.get(section)
        return table.get(key, default) if isinstance(table, dict) else default

    @property
    def confirm(self) -> Evidence | None:
        """The confirm mode, None where it is not a known one."""
        default = Evidence.REPORT if "sync" in self.document else Evidence.READ
        written = self.word("offsite", "confirm", default)
        return next((one for one in CONFIRM_MODES if one == written), None)

    def count(self, section: str) -> int:
        """How many are written, right or wrong."""
        written = self.document.get(section)
        return len(written) if isinstance(written, list | dict) else 0


def problems(document: Mapping[str, Any], file: Path, config: Config | None, *, preflight: bool) -> list[Problem]:
    """What is wrong beyond single keys. ``config`` is what the document gives; None: some keys of it are wrong."""
    parts = _parts(document, file, config)
    found = [*_names(parts), *_limit(parts), *_quiet(parts), *_confirm(parts), *_pushed(parts), *_sliced(parts)]
    found += [*_dumps(parts), *_pinged(parts), *_served(parts)]
    if preflight:
        found += _folders(parts)
    return found


def _parts(document: Mapping[str, Any], file: Path, config: Config | None) -> _Parts:
    if config is not None:
        watches, http = dict(enumerate(config.watches)), config.exporters.http
        return _Parts(document, file.parent, watches, config.limit, http, config.backup_sets, config.vms)
    exporters = document.get("exporters")
    written = document.get("watch")
    needed = ("path", "name", "export", "recursive")
    watches = {
        index: watch
        for index, each in enumerate(written if isinstance(written, list) else [])
        if (watch := _as_far_as_right(WatchFolder, each, file, needed)) is not None
    }
    return _Parts(
        document=document,
        folder=file.parent,
        watches=watches,
        limit=_as_far_as_right(Limit, document.get("limit"), file, ("daily", "reserve")),
        http=_as_far_as_right(
            Http, exporters.get("http") if isinstance(exporters, dict) else None, file, ("listen", "beyond_loopback")
        ),
        backup_sets=_all_right(BackupSet, document.get("backup_sets"), file),
        vms=_all_right(VmSettings, document.get("vms"), file),
    )


def _as_far_as_right(kind: type[_Table], section: object, file: Path, needed: Sequence[str]) -> _Table | None:
    """A section less its wrong keys, which are reported elsewhere; None if one is wrong that is needed."""
    try:
        return kind.model_validate(section, context=file)
    except ValidationError as error:
        wrong = {detail["loc"][:1] for detail in error.errors() if detail["type"] != CONSEQUENCE}
    if not isinstance(section, dict) or wrong & {(key,) for key in needed}:
        return None
    return kind.model_validate({key: section[key] for key in section if (key,) not in wrong}, context=file)


def _all_right(kind: type[_Table], sections: object, file: Path) -> dict[str, _Table]:
    """Of named sections those without a wrong key."""
    right: dict[str, _Table] = {}
    for name, each in sections.items() if isinstance(sections, dict) else ():
        try:
            right[name] = kind.model_validate(each, context=file)
        except ValidationError:  # reported elsewhere
            continue
    return right


# --- watch folders


def _names(parts: _Parts) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, watch in parts.watches.items():
        if not watch.name:
            yield Problem(("watch", index, "name"), f'missing: {watch.path} gives none; set name = "dumps"')
        elif watch.name in seen:
            yield Problem(
                ("watch", index, "name"),
                f'another watch folder is named "{watch.name}" too; set `name` in one of the two',
            )
        seen.add(watch.name)


def _quiet(parts: _Parts) -> Iterator[Problem]:
    """Names and the time that nothing was written to them belong together."""
    written = parts.document.get("watch")
    for index, each in enumerate(written if isinstance(written, list) else []):
        if not isinstance(each, dict):
            continue
        named, timed = "quiet_names" in each, "quiet_after" in each
        if named and not timed:
            yield Problem(("watch", index, "quiet_after"), 'missing; write how long a complete dump rests, like "15m"')
        elif timed and not named:
            yield Problem(("watch", index, "quiet_names"), "missing; write which names are dumps, like '\\.qcow2$'")
        elif named and "signals" in each:
            yield Problem(("watch", index, "signals"), "quiet_names replaces it; leave one of the two out")


def _folders(parts: _Parts) -> list[Problem]:
    """What the folders of this host show."""
    from core.preflight.folders import folder_problems, read_problems

    found = list(folder_problems(parts.watches))
    if parts.confirm is not None and parts.confirm.by_access_time:
        faulty = {fault.place[1] for fault in found}
        found += read_problems(parts.confirm, [one for index, one in parts.watches.items() if index not in faulty])
    return found


# --- the limit, the day and the storage


def _limit(parts: _Parts) -> Iterator[Problem]:
    limit = parts.limit
    if limit is None:
        return
    if limit.reserve >= limit.daily:
        figures = f"{format_size(limit.reserve)} leaves nothing of the daily {format_size(limit.daily)}"
        yield Problem(("limit", "reserve"), f"{figures}; write less")
        return
    days = limit.by_weekday
    if days and not any(days.values()):
        yield Problem(
            ("limit", "weekdays"), "no day would ever release a dump; write a size above 0 for at least one of them"
        )
    for day, size in days.items():
        if 0 < size <= limit.reserve:
            figures = f"the reserve of {format_size(limit.reserve)} leaves nothing of {day}'s {format_size(size)}"
            yield Problem(("limit", "weekdays"), f'{figures}; write more, or "0 GB" for a day without a sync')


def _confirm(parts: _Parts) -> Iterator[Problem]:
    """What the confirm mode cannot work with."""
    mode = parts.confirm
    for one in mode.excludes if mode is not None else ():
        if one.section == "watch":
            faulty = [index for index, watch in parts.watches.items() if getattr(watch, one.key) == one.word]
            yield from (Problem(("watch", index, one.key), one.sentence) for index in faulty)
        elif parts.word(one.section, one.key, one.word if one.is_default else "") == one.word:
            yield Problem(_CONFIRM, one.sentence)


def _pushed(parts: _Parts) -> Iterator[Problem]:
    """Who pushes knows what arrived; and his own reads are no evidence of anything."""
    sync = parts.document.get("sync")
    if not isinstance(sync, dict):
        return
    if parts.word("offsite", "confirm", Evidence.REPORT) != Evidence.REPORT:
        yield Problem(
            _CONFIRM, '`tidegate sync` reports by itself what arrived; leave `confirm` out, or set it to "report"'
        )
    destination = sync.get("destination")
    if len(parts.watches) > 1 and isinstance(destination, str) and WATCH not in destination:
        yield Problem(
            ("sync", "destination"),
            f"{destination!r} would receive the export trees of {len(parts.watches)} watch folders, one over the "
            f"other; write {WATCH} into it, which becomes the name of the folder",
        )


def _sliced(parts: _Parts) -> Iterator[Problem]:
    """Who pulls takes a dump whole or not at all."""
    if parts.word("limit", "oversize", Oversize.HOLD) == Oversize.SLICES and "sync" not in parts.document:
        yield Problem(
            ("limit", "oversize"), '"slices" needs `tidegate sync`; configure [sync], or write "hold" or "spread"'
        )


# --- who is notified, and what is served


def _pinged(parts: _Parts) -> Iterator[Problem]:
    notify = parts.document.get("notify")
    for occasion in Occasion:
        table = notify.get(occasion) if isinstance(notify, dict) else None
        if isinstance(table, dict) and len({"url", "url_file"} & table.keys()) != 1:
            yield Problem(("notify", occasion.value), "set one of the two: `url`, or `url_file` with the URL in it")


def _served(parts: _Parts) -> Iterator[Problem]:
    """There is neither encryption nor a log-in: that must be meant."""
    if parts.http is None or parts.http.beyond_loopback or is_loopback(parts.http.listen[0]):
        return
    host, port = parts.http.listen
    yield Problem(
        ("exporters", "http", "listen"),
        f"{host!r} is reachable from other machines, and there is neither encryption nor a log-in; "
        f'write "127.0.0.1:{port}" and let a reverse proxy add both, or set beyond_loopback = true',
    )


# --- dumps


def _dumps(parts: _Parts) -> Iterator[Problem]:
    making = {name: one for name, one in parts.backup_sets.items() if one.makes_dumps}
    for name, one in making.items():
        yield from _of_a_set(("backup_sets", name), one, parts.vms)
        if len(parts.watches) == parts.count("watch"):  # else one of those that are wrong may be meant
            try:
                destination(one.to, list(parts.watches.values()), parts.folder)
            except ValueError as error:
                yield Problem(("backup_sets", name, "to"), str(error))
    if len(parts.backup_sets) == parts.count("backup_sets"):
        yield from _of_vms(parts.vms, list(making.values()))


def _of_a_set(place: Place, one: BackupSet, vms: Mapping[str, VmSettings]) -> Iterator[Problem]:
    if not _may_begin_a_name(str(place[-1])):
        yield Problem(
            place, "its name is part of file names; write one of at most 150 bytes that begins with no dot or dash"
        )
    if not one.vms:
        yield Problem((*place, "vms"), 'missing; write which VMs are dumped, like vms = ["vm1", "vm2"]')
        return
    for vm in sorted({vm for vm in one.vms if one.vms.count(vm) > 1}):
        yield Problem((*place, "vms"), f'"{vm}" is listed twice; write it once')
    rules = {vm: rule_of(vms.get(vm), one) for vm in one.vms}
    yield from _of_other_adapters(place, one, {rule.adapter for rule in rules.values()})
    reported: set[str] = set()
    for vm, rule in rules.items():
        if not _may_begin_a_name(vm):
            yield Problem(
                (*place, "vms"),
                f"{vm!r} cannot begin a file name; write one of at most 150 bytes that begins with no dot or dash",
            )
        for key, text in _of_a_rule(rule):
            if key not in reported:  # once for the set, and not for each of its VMs
                reported.add(key)
                yield Problem((*place, key), text)


def _may_begin_a_name(name: str) -> bool:
    return is_single_component(name) and len(name.encode()) <= _LONGEST_VM_BYTES


def _of_other_adapters(place: Place, table: DumpRule, used: set[AdapterName]) -> Iterator[Problem]:
    for adapter, keys in _OWN_KEYS.items():
        for key in keys if adapter not in used else ():
            if key in table.model_fields_set:
                yield Problem((*place, key), f'has no effect: only adapter = "{adapter}" looks at it')


def _of_a_rule(rule: DumpRule) -> Iterator[tuple[str, str]]:
    """Key and sentence."""
    if rule.adapter is AdapterName.COMMAND and not rule.command:
        yield "command", 'missing; write what makes a dump, like command = ["sh", "-c", "dump-vm $VM > $OUT"]'
    if SHA256 in rule.verify and not rule.checksum:
        yield "verify", '"sha256" needs a checksum, and checksum = false makes none; leave one of the two out'


def _of_vms(vms: Mapping[str, VmSettings], sets: Sequence[BackupSet]) -> Iterator[Problem]:
    for name, one in vms.items():
        used = {rule_of(one, each).adapter for each in sets if name in each.vms}
        if used:
            yield from _of_other_adapters(("vms", name), one, used)
            continue
        for key in sorted(one.model_fields_set & DUMP_KEYS):
            yield Problem(("vms", name, key), f'has no effect: no backup set dumps "{name}"; list it in `vms` of one')
