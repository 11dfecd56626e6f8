"""How each VM of a set is dumped: what the VM says, else what its set says, else the default."""

import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from core.config import tables
from core.config.dump_settings import NOTHING_TO_VERIFY, DumpRule, SetDumping, Verification
from core.config.settings import WatchFolder
from core.config.types import choice, did_you_mean
from core.enums import AdapterName

_T = TypeVar("_T")
_ONE_DAY = 86400.0


def dumping(
    backup_set: tables.BackupSetTable, vms: Mapping[str, tables.VmTable], watches: Sequence[WatchFolder], base: Path
) -> SetDumping | None:
    """What ``tidegate dump`` runs for this set; None where ``destination`` says what is wrong."""
    try:
        watch, folder = destination(backup_set.to, watches, base)
    except ValueError:  # told by `dump_checks`
        return None
    rules = {vm: rule(vms.get(vm, tables.VmTable()), backup_set) for vm in backup_set.vms}
    return SetDumping(watch.name, folder, backup_set.parallel or 1, rules)


def rule(vm: tables.DumpTable, backup_set: tables.DumpTable) -> DumpRule:
    """How this VM of this set is dumped."""

    def said(own: _T | None, of_set: _T | None, default: _T) -> _T:
        return next((one for one in (own, of_set) if one is not None), default)

    return DumpRule(
        adapter=said(vm.adapter, backup_set.adapter, AdapterName.COMMAND),
        command=said(vm.command, backup_set.command, ()),
        stdout=said(vm.stdout, backup_set.stdout, False),
        suffix=said(vm.suffix, backup_set.suffix, ""),
        pre=said(vm.pre, backup_set.pre, ()),
        post=said(vm.post, backup_set.post, ()),
        timeout=said(vm.timeout, backup_set.timeout, _ONE_DAY),
        retries=said(vm.retries, backup_set.retries, 0),
        margin=said(vm.margin, backup_set.margin, None),
        checksum=said(vm.checksum, backup_set.checksum, True),
        verify=said(vm.verify, backup_set.verify, ()),
        keep=said(vm.keep, backup_set.keep, None),
        uri=said(vm.uri, backup_set.uri, None),
    )


def verification(vm: tables.DumpTable, backup_set: tables.DumpTable) -> Verification:
    """What the dumps of this VM that others have made must pass."""
    of_vm = rule(vm, backup_set)
    return Verification(of_vm.verify, of_vm.timeout) if of_vm.verify else NOTHING_TO_VERIFY


def destination(to: str | None, watches: Sequence[WatchFolder], base: Path) -> tuple[WatchFolder, str]:
    """The watch folder that dumps go to, and the folder in it. Raises ValueError with what would be right."""
    names = [watch.name for watch in watches]
    if to is None:
        if len(watches) != 1:
            raise ValueError(f"missing; say which watch folder the dumps go to: {choice(names)}")
        return watches[0], ""
    for watch in watches:
        if to == watch.name:
            return watch, ""
    return _folder_within(to, watches, base)


def _folder_within(to: str, watches: Sequence[WatchFolder], base: Path) -> tuple[WatchFolder, str]:
    path = os.path.normpath(base / to)
    for watch in watches:
        root = os.path.normpath(watch.path)
        if path == root:
            return watch, ""
        if path.startswith(f"{root}/"):
            folder = path.removeprefix(f"{root}/")
            if not watch.recursive:
                raise ValueError(
                    f"{to!r}: {watch.path} is watched with recursive = false; nobody would see dumps there"
                )
            if any(part.startswith(".") for part in folder.split("/")):
                raise ValueError(f"{to!r}: nobody looks for dumps in a folder whose name begins with a dot")
            return watch, folder
    names = [watch.name for watch in watches]
    right = did_you_mean(to, names, '"{}"') or f"; write {choice(names)}, or a folder in one of them"
    raise ValueError(f"{to!r} is neither a watch folder nor inside of one{right}")
