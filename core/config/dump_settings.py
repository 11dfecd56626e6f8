"""How VMs are dumped and their dumps checked: for a backup set, and for a VM that differs from its set.

Sizes are bytes, spans are seconds.
"""

import os.path
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.config import types
from core.config.messages import choice, did_you_mean
from core.config.section import Section, key
from core.config.types import shown, text
from core.enums import AdapterName
from core.markers.format import SUFFIXES

if TYPE_CHECKING:
    from core.config.settings import WatchFolder

#: A check of a finished dump: the words of a command, or one of the two that need none.
Check = tuple[str, ...]
SIZE: Check = ("size",)
SHA256: Check = ("sha256",)

#: Endings of files that are not finished yet, to whoever looks for dumps.
_UNFINISHED = (".tmp", ".partial", ".part", *SUFFIXES)
_LONGEST_SUFFIX_BYTES = 64


def read_command_or_none(value: object) -> tuple[str, ...]:
    """The words of a command; an empty list: none, also where the set has one."""
    return () if value == [] else types.command(value)


def read_suffix(value: object) -> str:
    """What follows the VM and the time in a dump's name: ``".img.zst"``."""
    written = text(value)
    if not written.startswith(".") or "/" in written or len(written.encode()) > _LONGEST_SUFFIX_BYTES:
        raise ValueError(f'{written!r} is not an ending of a file name; write it like ".qcow2" or ".img.zst"')
    if written.endswith(_UNFINISHED):
        raise ValueError(f'{written!r} is the ending of a marker or an unfinished file; write one like ".qcow2"')
    return written


def read_uri(value: object) -> str:
    """The address of libvirt, as `virsh --connect` takes it."""
    written = text(value)
    if "://" not in written or not written.isprintable():
        raise ValueError(f'{written!r} is not an address of libvirt; write it like "qemu:///system"')
    return written


def read_checks(value: object) -> tuple[Check, ...]:
    """What a finished dump has to pass, in this order."""
    if not isinstance(value, list):
        raise ValueError(f'{shown(value)} is not a list; write it like ["sha256", "qemu-img check"]')  # noqa: TRY004
    return tuple(_check(each) for each in value)


def _check(value: object) -> Check:
    written = text(value)
    try:
        words = tuple(shlex.split(written))
    except ValueError as error:
        raise ValueError(f"{written!r} is not a command: {str(error).lower()}") from None
    if not words:
        raise ValueError(f'{written!r} is not a command; write it like "zstd -t"')
    own = [*SIZE, *SHA256]
    if len(words) == 1 and words[0] not in own and (right := did_you_mean(words[0], own, '"{}"')):
        raise ValueError(f"{written!r} is not known here{right}")
    return words


types.JSON_SCHEMAS |= dict.fromkeys((read_command_or_none, read_checks), types.LIST)


class DumpRule(Section):
    """How the dumps of a VM are made and checked. The keys of a VM come before those of its set."""

    target = key(types.span_above_zero, "Age that no off-site copy should reach.", default=None)
    adapter = key(
        types.one_of(*AdapterName),
        "What makes the dumps: a command, or libvirt, which needs none.",
        default=AdapterName.COMMAND,
    )
    command = key(types.command, "The command that makes one dump, as a list of words.", default=())
    stdout = key(types.flag, "Whether the output of the command is the dump.", default=False)
    suffix = key(read_suffix, "How the names of the dumps end.", default="")
    pre = key(read_command_or_none, "Command that runs before each dump.", default=())
    post = key(read_command_or_none, "Command that runs after each dump, whether it failed or not.", default=())
    timeout = key(types.span_above_zero, "How long a command or a check may take before it is ended.", default=86_400.0)
    retries = key(types.count(0, 10), "How often a failed dump is made again.", default=0)
    margin = key(
        types.size,
        "Space that must be free besides that of the VM's last dump; by default a tenth of that.",
        default=None,
    )
    checksum = key(types.flag, "Whether sha256 sums are written into the markers.", default=True)
    verify = key(
        read_checks, 'What a dump has to pass: "size", "sha256", or commands that are given its path.', default=()
    )
    keep = key(
        types.count(1, 10000),
        "How many dumps of a VM stay; older ones are removed once they are off-site; by default none.",
        default=None,
    )
    uri = key(read_uri, "The address of libvirt; by default this host.", default=None)


_RULE_KEYS = frozenset(each.attribute for each in DumpRule.keys.values())
#: The keys that also hold for dumps that others have made: when a copy is old, and what a pass checks.
_KEYS_FOR_ALL = frozenset(("target", "verify", "timeout"))
#: The keys of how a dump is made.
DUMP_KEYS = _RULE_KEYS - _KEYS_FOR_ALL


class BackupSet(DumpRule):
    """A named group of VMs."""

    vms = key(types.names, "The VMs of the set.", default=())
    to = key(
        types.text,
        "Where the dumps go: the name of a watch folder, or a folder inside one; needed with several.",
        default=None,
    )
    parallel = key(types.count(1, 64), "How many dumps run at the same time.", default=1)

    @property
    def makes_dumps(self) -> bool:
        """Whether it has any key of how dumps are made; else others make them."""
        return bool(self.given - _KEYS_FOR_ALL - {"vms"})


class VmSettings(DumpRule):
    """What differs for one VM from its set."""


def rule_of(vm: DumpRule | None, backup_set: DumpRule | None) -> DumpRule:
    """How this VM of this set is dumped: a key of the VM, else of its set, else the default."""
    both = [one for one in (backup_set, vm) if one is not None]
    written = {key: getattr(one, key) for one in both for key in one.given & _RULE_KEYS}
    return DumpRule(**written)


class Verification(NamedTuple):
    """What a dump that others have made must pass before a pass releases it, and how long each check may take."""

    checks: tuple[Check, ...]
    timeout: float


class SetDumping(NamedTuple):
    """What ``tidegate dump`` runs for a backup set, in the order of its VMs.

    ``folder``: where the dumps go, relative to the watch folder of the name ``watch``; "" is that folder itself.
    """

    watch: str
    folder: str
    parallel: int
    rules: Mapping[str, DumpRule]


def destination(to: str | None, watches: "Sequence[WatchFolder]", base: Path) -> tuple["WatchFolder", str]:
    """The watch folder that dumps go to, and the folder in it. Raises ValueError with what would be right."""
    names = [watch.name for watch in watches]
    if to is None:
        if len(watches) != 1:
            raise ValueError(f"missing; write which watch folder the dumps go to: {choice(names)}")
        return watches[0], ""
    for watch in watches:
        if to == watch.name:
            return watch, ""
    return _folder_within(to, watches, base)


def _folder_within(to: str, watches: "Sequence[WatchFolder]", base: Path) -> tuple["WatchFolder", str]:
    path = os.path.normpath(base / to)
    for watch in watches:
        root = os.path.normpath(watch.path)
        if path == root:
            return watch, ""
        if path.startswith(f"{root}/"):
            folder = path.removeprefix(f"{root}/")
            if not watch.recursive:
                raise ValueError(
                    f"{to!r}: {watch.path} is watched with recursive = false; dumps there would not be found"
                )
            if any(part.startswith(".") for part in folder.split("/")):
                raise ValueError(f"{to!r}: folders whose names begin with a dot are not searched for dumps")
            return watch, folder
    names = [watch.name for watch in watches]
    right = did_you_mean(to, names, '"{}"') or f"; write {choice(names)}, or a folder in one of them"
    raise ValueError(f"{to!r} is neither a watch folder nor inside one{right}")
