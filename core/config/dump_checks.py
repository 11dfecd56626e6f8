"""Mistakes about dumps that no key shows alone: which folder they go to, and what is said of VMs that nobody dumps."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from core.config import dump_build, tables
from core.config.dump_settings import SHA256, DumpRule
from core.config.errors import Place, Problem
from core.enums import AdapterName
from core.filenames import is_single_component
from core.preflight.folders import Watches

_Table = TypeVar("_Table", bound=tables.DumpTable)
_COMMAND = 'missing; say what makes a dump, like command = ["sh", "-c", "dump-vm $VM > $OUT"]'
#: Keys that only one adapter looks at.
_OWN_KEYS = {AdapterName.COMMAND: ("command", "stdout"), AdapterName.LIBVIRT: ("uri",)}
#: Of a file name's 255 bytes a VM's name may take so many: a time, an ending and that of a marker follow it.
_LONGEST_VM_BYTES = 150


def dump_problems(document: Mapping[str, Any], watches: Watches, base: Path) -> Iterator[Problem]:
    """What is wrong with how VMs are dumped. ``watches`` are those that are right by themselves."""
    sets = _right(document.get("backup_sets"), tables.BackupSetTable)
    vms = _right(document.get("vms"), tables.VmTable)
    dumping = {name: one for name, one in sets.items() if one.dumps}
    for name, one in dumping.items():
        yield from _of_a_set(("backup_sets", name), one, vms)
        if len(watches) == _length(document.get("watch")):  # else one of those that are wrong may be meant
            yield from _of_its_folder(("backup_sets", name, "to"), one, watches, base)
    if len(sets) == _length(document.get("backup_sets")):
        yield from _of_vms(vms, list(dumping.values()))


def _of_a_set(place: Place, one: tables.BackupSetTable, vms: Mapping[str, tables.VmTable]) -> Iterator[Problem]:
    if not is_single_component(str(place[-1])) or len(str(place[-1]).encode()) > _LONGEST_VM_BYTES:
        yield Problem(place, "its name stands in names of files; write a shorter one without a dot or dash in front")
    if not one.vms:
        yield Problem((*place, "vms"), 'missing; say which VMs are dumped, like vms = ["vm1", "vm2"]')
    for vm in sorted({vm for vm in one.vms if one.vms.count(vm) > 1}):
        yield Problem((*place, "vms"), f'"{vm}" stands in it twice; write it once')
    if one.vms:
        yield from _of_other_adapters(place, one, {_rule(vms, vm, one).adapter for vm in one.vms})
    told: set[str] = set()
    for vm in dict.fromkeys(one.vms):
        if not is_single_component(vm) or len(vm.encode()) > _LONGEST_VM_BYTES:
            yield Problem(
                (*place, "vms"),
                f"{vm!r} cannot begin the name of a file; write a shorter one without a dot or dash in front",
            )
        for key, text in _of_a_rule(_rule(vms, vm, one)):
            if key not in told:  # once for the set, and not for each of its VMs
                told.add(key)
                yield Problem((*place, key), text)


def _rule(vms: Mapping[str, tables.VmTable], vm: str, one: tables.BackupSetTable) -> DumpRule:
    return dump_build.rule(vms.get(vm, tables.VmTable()), one)


def _of_other_adapters(place: Place, table: tables.DumpTable, used: set[AdapterName]) -> Iterator[Problem]:
    for adapter, keys in _OWN_KEYS.items():
        for key in keys if adapter not in used else ():
            if key in table.model_fields_set:
                yield Problem((*place, key), f'does nothing: only adapter = "{adapter}" looks at it')


def _of_a_rule(rule: DumpRule) -> Iterator[tuple[str, str]]:
    """Key and sentence."""
    if rule.adapter is AdapterName.COMMAND and not rule.command:
        yield "command", _COMMAND
    if SHA256 in rule.verify and not rule.checksum:
        yield "verify", '"sha256" compares with a checksum, and checksum = false makes none; leave one of the two out'


def _of_its_folder(place: Place, one: tables.BackupSetTable, watches: Watches, base: Path) -> Iterator[Problem]:
    try:
        dump_build.destination(one.to, list(watches.values()), base)
    except ValueError as error:
        yield Problem(place, str(error))


def _of_vms(vms: Mapping[str, tables.VmTable], sets: Sequence[tables.BackupSetTable]) -> Iterator[Problem]:
    for name, one in vms.items():
        used = {dump_build.rule(one, each).adapter for each in sets if name in each.vms}
        if used:
            yield from _of_other_adapters(("vms", name), one, used)
            continue
        for key in sorted(one.model_fields_set & tables.DUMP_KEYS):
            yield Problem(("vms", name, key), f'does nothing: no backup set dumps "{name}"; list it in `vms` of one')


def _right(section: object, kind: type[_Table]) -> dict[str, _Table]:
    """The tables that are right by themselves."""
    right: dict[str, _Table] = {}
    for name, each in section.items() if isinstance(section, dict) else ():
        try:
            right[name] = kind.model_validate(each)
        except ValidationError:  # told elsewhere
            continue
    return right


def _length(section: object) -> int:
    return len(section) if isinstance(section, list | dict) else 0
