"""From the path of a dump to its VM, its series and its export name.

``vm1``, ``vm1.qcow2``, ``vm1-2026-11-22.img.zst`` and ``vm1.2026-11-22`` are all of ``vm1``;
``vzdump-qemu-100-2026_11_22-03_00_00.vma.zst`` is of ``100``; ``web/vda.qcow2`` is of ``web``.

A *series* is what follows one another: the dumps of one watch folder in one folder, less a date in its name, with one
stem. A dump takes the place of dumps of its own series only. Two live series of one VM are ambiguous.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from core.enums import VmFrom
from core.filenames import is_clean, is_single_component
from core.markers.format import BadMarker, MarkerBody
from core.markers.name_parts import FORMATS, without_dates, without_formats, without_index

_VZDUMP = re.compile(r"vzdump-(?:qemu|lxc|openvz)-([0-9]+)-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d(?=\.|$)")
#: Names that disks, programs and rotations give, whatever the VM.
_DISK = r"(?:[hsv]d|xvd)[a-z]\d*|v?disk[-_ ]?\d*|(?:scsi|virtio|sata|ide|drive)[-_]?\d+|hdd\d*"
_WORK = r"(?:backup|dump|full|image|img|copy|archive|snapshot|incremental|inc)(?:[-_ ]?\d{1,3})?"
_HASH = r"[0-9a-f]{16,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SAYS_NOTHING = re.compile(rf"(?:{_DISK}|{_WORK}|\d+)(?:[-_ ](?:{_DISK}|{_WORK}|\d+))*|{_HASH}", re.IGNORECASE)
#: Folders that hold the dumps of many VMs.
_SHELF = re.compile(
    r"(?:vm|backup|dump|image|domain|export|guest|container|snapshot|xo-vm-backup|daily|nightly|weekly|monthly|yearly)s?"
    r"|vzdump|qemu|lxc|hourly|manual|auto|libvirt|virtualmachines?",
    re.IGNORECASE,
)


class Naming(NamedTuple):
    """How the dumps of one watch folder are named: its keys ``vm``, ``vm_pattern`` and ``prefix``.

    ``counts_up``: the program that writes them rotates by a bare index, ``vm1-0``, ``vm1-1`` (ghettoVCB).
    """

    vm_from: VmFrom = VmFrom.AUTO
    pattern: re.Pattern[str] | None = None
    prefix: str = ""
    counts_up: bool = False


class DumpName(NamedTuple):
    """``vm``: whose dump it is, with ``prefix``. ``rule``: by which part of the path, for people.

    ``series``: the key of its series within its watch folder: its folders less dates, and its stem.
    """

    vm: str
    series: str
    rule: str


def parse(path: str, naming: Naming, written: float | None = None) -> DumpName:
    """What the path of a dump, relative to its watch folder, says of it. Raises BadMarker with what would help.

    ``written``: when the dump was written, in seconds since the epoch, where that is known.
    """
    if not is_clean(path):
        raise BadMarker("the dump's name is not UTF-8 or holds control characters")
    folder, _, name = path.rpartition("/")
    levels = [less for level in folder.split("/") if (less := _without_date(level, written))] if folder else []
    own = stem(name, naming, written)
    vm, rule = _vm(name, own, levels, naming)
    if not is_single_component(naming.prefix + vm):
        raise BadMarker(f"no usable VM name comes from {name!r}; name it in the marker or set vm_pattern")
    return DumpName(naming.prefix + vm, "/".join((*levels, own)), rule)


def series_of_marker(body: MarkerBody) -> str:
    """The series of a dump whose marker names its VM: one in each watch folder for each host that dumps it there."""
    return f"={body.extra.get('host', '')}"


def stem(name: str, naming: Naming, written: float | None = None) -> str:
    """The name of a dump less dates, formats and indexes: what the dumps of one disk have in common."""
    match = _VZDUMP.match(name)
    if match:
        return match[1]
    return without_index(without_formats(without_dates(name, written)), bare=naming.counts_up)


def suffixes(name: str, vm: str, written: float | None = None) -> str:
    """What follows the VM's name in the export tree: ``".img.zst"`` of ``"vm1-2026-11-22.img.zst"``.

    A name that says nothing of its VM follows whole, less dates: ``".vda.qcow2"`` of ``"vda.qcow2"``, so that two disks
    of a VM never have one name.
    """
    match = _VZDUMP.match(name)
    rest = name[match.end() :] if match else without_dates(name, written)
    own, dot, formats = rest.partition(".")
    follows = _without_number(dot + formats)
    return f".{own}{follows}" if own and own != vm and not match and _SAYS_NOTHING.fullmatch(own) else follows


def export_name(layout: str, *, vm: str, path: str, backup_set: str | None, written: float | None = None) -> str:
    """The name in the export tree, from a layout such as ``"{vm}{suffixes}"``."""
    name = path.rpartition("/")[2]
    return layout.format(vm=vm, suffixes=suffixes(name, vm, written), name=name, backup_set=backup_set or "")


def _vm(name: str, own: str, levels: Sequence[str], naming: Naming) -> tuple[str, str]:
    """``own`` is the stem of the name, ``levels`` are its folders less dates."""
    if naming.pattern is not None:
        match = naming.pattern.search(name)
        if match is None or not match["vm"]:
            raise BadMarker(f"vm_pattern finds no VM in {name!r}")
        return match["vm"], "vm_pattern"
    if match := _VZDUMP.match(name):
        return match[1], "the number in vzdump's name"
    own = own.partition(".")[0]
    if naming.vm_from is VmFrom.NAME and own:
        return own, "the name"
    if naming.vm_from is VmFrom.AUTO and own and not _SAYS_NOTHING.fullmatch(own):
        return own, "the name"
    above = _folder_of_vm(levels, any_folder=naming.vm_from is VmFrom.FOLDER)
    return (above, "its folder") if above else (own, "the name")


def _folder_of_vm(levels: Sequence[str], *, any_folder: bool) -> str:
    """The nearest folder that, but for ``any_folder``, is no shelf for many VMs; '' where there is none."""
    if any_folder:
        return levels[-1] if levels else ""
    return next((level for level in reversed(levels) if level[0] != "." and not _SHELF.fullmatch(level)), "")


def _without_date(level: str, written: float | None) -> str:
    return without_index(without_dates(level, written))


def _without_number(rest: str) -> str:
    """``.img`` of ``.img.1``: a rotated dump keeps its name in the export tree."""
    head, _, last = rest.rpartition(".")
    is_index = last.isdigit() and len(last) < 4 and head.rpartition(".")[2].lower() in FORMATS
    return head if is_index else rest
