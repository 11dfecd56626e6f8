"""From the name of a dump to its VM, its stem and its export name.

``vm1``, ``vm1.qcow2``, ``vm1-2026-11-22.img.zst`` and ``vm1.2026-11-22`` are all of ``vm1``;
``vzdump-qemu-100-2026_11_22-03_00_00.vma.zst`` is of ``100``.
"""

import re

from core.filenames import is_clean, is_single_component
from core.markers.format import BadMarker

_VZDUMP = re.compile(r"vzdump-(?:qemu|lxc|openvz)-([0-9]+)-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d(?=\.|$)")
_DATE = r"(?:\d{4}-\d\d-\d\d|\d{4}_\d\d_\d\d|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))"
_TIME = r"(?:\d\d[-:_.]\d\d(?:[-:_.]\d\d)?|\d{4}(?:\d\d)?)"
#: A date, perhaps with a time and a zone, and what stands before it; not in the midst of a longer number.
_STAMP = re.compile(rf"(?:^|[-_.@+ ]){_DATE}(?:[-_T. ]?{_TIME})?(?:Z|[+-]\d\d:?\d\d)?(?=$|[-_.])")
#: What says how a dump is written and not of which disk or VM it is.
# fmt: off
_FORMATS = frozenset({
    "img", "raw", "qcow", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "vma", "tar", "xva", "ova", "ovf",
    "dump", "bak", "backup", "sql", "zst", "zstd", "gz", "lzo", "lz4", "xz", "bz2", "tgz", "tzst", "gpg",
    "age", "enc",
})
# fmt: on


def without_stamp(name: str) -> str:
    """``name`` less the dates and times in it."""
    return _STAMP.sub("", name)


def suffixes(name: str) -> str:
    """What follows the VM's name: ``".img.zst"`` of ``"vm1-2026-11-22.img.zst"``."""
    match = _VZDUMP.match(name)
    rest = name[match.end() :] if match else without_stamp(name)
    return rest[rest.index(".") :] if "." in rest else ""


def stem(name: str) -> str:
    """``name`` less dates and known file formats. Two stems of one VM in one folder are ambiguous (DESIGN 4)."""
    match = _VZDUMP.match(name)
    if match:
        return match[1]
    head, *parts = without_stamp(name).split(".")
    while parts and parts[-1].lower() in _FORMATS:
        parts.pop()
    return ".".join((head, *parts))


def vm_of(path: str, pattern: re.Pattern[str] | None) -> str:
    """The VM of the dump at ``path`` (relative to its watch folder). Raises BadMarker with what would help.

    A name that is only a date, as in ``vm1/2026-11-22``, takes the name of its folder.
    """
    if not is_clean(path):
        raise BadMarker("the dump's name is not UTF-8 or holds control characters")
    folder, _, name = path.rpartition("/")
    vm = _by_pattern(name, pattern) if pattern else _by_rule(folder, name)
    if not is_single_component(vm):
        raise BadMarker(f"no usable VM name comes from {name!r}; say it in the marker or set vm_pattern")
    return vm


def _by_pattern(name: str, pattern: re.Pattern[str]) -> str:
    match = pattern.search(name)
    if match is None or not match["vm"]:
        raise BadMarker(f"vm_pattern finds no VM in {name!r}")
    return match["vm"]


def _by_rule(folder: str, name: str) -> str:
    match = _VZDUMP.match(name)
    if match:
        return match[1]
    return without_stamp(name).partition(".")[0] or folder.rpartition("/")[2]


def export_name(layout: str, *, vm: str, path: str, backup_set: str | None) -> str:
    """The name in the export tree, from a layout such as ``"{vm}{suffixes}"``."""
    name = path.rpartition("/")[2]
    return layout.format(vm=vm, suffixes=suffixes(name), name=name, backup_set=backup_set or "")
