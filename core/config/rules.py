"""Mistakes that no key shows alone: what keys have to do with each other, and with the folders of this host.

They are looked for in whatever part of the document is right by itself, so that one wrong key does not hide what else
is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence

from core.config.dump_settings import DUMP_KEYS, SHA256, BackupSet, DumpRule, VmSettings, destination, rule_of
from core.config.messages import Place, Problem
from core.config.network_settings import WATCH, is_loopback
from core.config.settings import Config, WatchFolder
from core.enums import AdapterName, Evidence, Oversize
from core.filenames import is_single_component
from core.units import format_size

_CONFIRM: Place = ("offsite", "confirm")
#: Keys of a watch folder without which nothing can be said of it.
_NEEDED = frozenset(("path", "name", "export", "recursive"))
#: Keys that only one adapter looks at.
_OWN_KEYS = {AdapterName.COMMAND: ("command", "stdout"), AdapterName.LIBVIRT: ("uri",)}
#: Of a file name's 255 bytes a VM's name may take so many: a time, an ending and that of a marker follow it.
_LONGEST_VM_BYTES = 150


def problems(config: Config, *, preflight: bool) -> list[Problem]:
    """What is wrong beyond single keys. Some keys of ``config`` may be wrong themselves."""
    watches = {index: watch for index, watch in enumerate(config.watches) if not watch.wrong & _NEEDED}
    found = [*_names(watches), *_limit(config), *_quiet(config), *_confirm(config, watches), *_pushed(config, watches)]
    found += [*_sliced(config), *_dumps(config, watches), *_pinged(config), *_served(config)]
    if preflight:
        found += _folders(config, watches)
    return found


# --- watch folders


def _names(watches: Mapping[int, WatchFolder]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, watch in watches.items():
        if not watch.name:
            yield Problem(("watch", index, "name"), f'missing: {watch.path} gives none; set name = "dumps"')
        elif watch.name in seen:
            yield Problem(
                ("watch", index, "name"),
                f'another watch folder is named "{watch.name}" too; set `name` in one of the two',
            )
        seen.add(watch.name)


def _quiet(config: Config) -> Iterator[Problem]:
    """Names and the time that nothing was written to them belong together."""
    for index, watch in enumerate(config.watches):
        written = watch.given | watch.wrong
        named, timed = "quiet_names" in written, "quiet_after" in written
        if named and not timed:
            yield Problem(("watch", index, "quiet_after"), 'missing; write how long a complete dump rests, like "15m"')
        elif timed and not named:
            yield Problem(("watch", index, "quiet_names"), "missing; write which names are dumps, like '\\.qcow2$'")
        elif named and "signals" in written:
            yield Problem(("watch", index, "signals"), "quiet_names replaces it; leave one of the two out")


def _folders(config: Config, watches: Mapping[int, WatchFolder]) -> list[Problem]:
    """What the folders of this host show."""
    from core.preflight.folders import folder_problems, read_problems

    found = list(folder_problems(watches))
    mode = config.offsite.confirm
    if "confirm" not in config.offsite.wrong and mode.by_access_time:
        faulty = {fault.place[1] for fault in found}
        found += read_problems(mode, [watch for index, watch in watches.items() if index not in faulty])
    return found


# --- the limit, the day and the storage


def _limit(config: Config) -> Iterator[Problem]:
    limit = config.limit
    if limit.wrong & {"daily", "reserve"}:
        return
    if limit.reserve >= limit.daily:
        figures = f"{format_size(limit.reserve)} leaves nothing of the daily {format_size(limit.daily)}"
        yield Problem(("limit", "reserve"), f"{figures}; write less")
        return
    days = {} if limit.weekdays is None or limit.weekdays.wrong else limit.by_weekday
    if days and not any(days.values()):
        yield Problem(
            ("limit", "weekdays"), "no day would ever release a dump; write a size above 0 for at least one of them"
        )
    for day, size in days.items():
        if 0 < size <= limit.reserve:
            figures = f"the reserve of {format_size(limit.reserve)} leaves nothing of {day}'s {format_size(size)}"
            yield Problem(("limit", "weekdays"), f'{figures}; write more, or "0 GB" for a day without a sync')


def _confirm(config: Config, watches: Mapping[int, WatchFolder]) -> Iterator[Problem]:
    """What the confirm mode cannot work with."""
    if "confirm" in config.offsite.wrong:
        return
    for one in config.offsite.confirm.excludes:
        if one.section == "watch":
            faulty = [index for index, watch in watches.items() if getattr(watch, one.key) == one.word]
            yield from (Problem(("watch", index, one.key), one.sentence) for index in faulty)
        elif getattr(getattr(config, one.section), one.key) == one.word:
            yield Problem(_CONFIRM, one.sentence)


def _pushed(config: Config, watches: Mapping[int, WatchFolder]) -> Iterator[Problem]:
    """Who pushes knows what arrived; and his own reads are no evidence of anything."""
    if config.push is None:
        return
    if "confirm" in config.offsite.given and config.offsite.confirm is not Evidence.REPORT:
        yield Problem(
            _CONFIRM, '`tidegate sync` reports by itself what arrived; leave `confirm` out, or set it to "report"'
        )
    if len(watches) > 1 and "destination" in config.push.given and WATCH not in config.push.destination:
        yield Problem(
            ("sync", "destination"),
            f"{config.push.destination!r} would receive the export trees of {len(watches)} watch folders, one over the "
            f"other; write {WATCH} into it, which becomes the name of the folder",
        )


def _sliced(config: Config) -> Iterator[Problem]:
    """Who pulls takes a dump whole or not at all."""
    if config.limit.oversize is Oversize.SLICES and config.push is None:
        yield Problem(
            ("limit", "oversize"), '"slices" needs `tidegate sync`; configure [sync], or write "hold" or "spread"'
        )


# --- who is notified, and what is served


def _pinged(config: Config) -> Iterator[Problem]:
    for occasion, address in config.notify.pings.items():
        if len(address.given | address.wrong) != 1:
            yield Problem(("notify", occasion.value), "set one of the two: `url`, or `url_file` with the URL in it")


def _served(config: Config) -> Iterator[Problem]:
    """There is neither encryption nor a log-in: that must be meant."""
    http = config.exporters.http
    if http is None or http.wrong & {"listen", "beyond_loopback"} or http.beyond_loopback:
        return
    host, port = http.listen
    if not is_loopback(host):
        yield Problem(
            ("exporters", "http", "listen"),
            f"{host!r} is reachable from other machines, and there is neither encryption nor a log-in; "
            f'write "127.0.0.1:{port}" and let a reverse proxy add both, or set beyond_loopback = true',
        )


# --- dumps


def _dumps(config: Config, watches: Mapping[int, WatchFolder]) -> Iterator[Problem]:
    sets = {name: one for name, one in config.backup_sets.items() if not one.wrong}
    vms = {name: one for name, one in config.vms.items() if not one.wrong}
    making = {name: one for name, one in sets.items() if one.makes_dumps}
    for name, one in making.items():
        yield from _of_a_set(("backup_sets", name), one, vms)
        if len(watches) == len(config.watches):  # else one of those that are wrong may be meant
            try:
                destination(one.to, list(watches.values()), config.file.parent)
            except ValueError as error:
                yield Problem(("backup_sets", name, "to"), str(error))
    if len(sets) == len(config.backup_sets):
        yield from _of_vms(vms, list(making.values()))


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
            if key in table.given:
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
        for key in sorted(one.given & DUMP_KEYS):
            yield Problem(("vms", name, key), f'has no effect: no backup set dumps "{name}"; list it in `vms` of one')
