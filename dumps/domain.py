"""A VM as libvirt describes it: which of its disks are dumped, and what else belongs to it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from core.filenames import is_single_component, printable
from dumps.failure import DumpFailed

#: What may hold data of the VM's own; CD-ROMs never do.
_DEVICES = frozenset({"disk", "lun", "floppy"})
_AGENT = "org.qemu.guest_agent.0"


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that the VM may write to.

    ``target``: its name in the VM, like ``vda``. ``path``: the file or block device that it is, None where it is
    neither. ``format``: how the data lie in it, like ``qcow2``.
    """

    target: str
    path: str | None
    format: str


@dataclass(frozen=True, slots=True)
class Domain:
    """``nvram``: the file of its firmware's variables. ``has_agent``: an agent in the guest has opened its channel."""

    name: str
    is_active: bool
    disks: tuple[Disk, ...]
    nvram: Path | None
    has_agent: bool


def parse(text: str) -> Domain:
    """The domain that ``virsh dumpxml`` printed. Raises DumpFailed for what cannot be dumped."""
    root = read(text)
    return Domain(
        name=root.findtext("name") or "",
        is_active="id" in root.attrib,
        disks=tuple(_disks(root)),
        nvram=_nvram(root),
        has_agent=root.find(f"./devices/channel/target[@name='{_AGENT}'][@state='connected']") is not None,
    )


def read(text: str) -> ElementTree.Element:
    """The XML of a domain. Raises DumpFailed."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - libvirt wrote it; expat limits what entities may grow to
    except ElementTree.ParseError as error:
        raise DumpFailed(f"the VM's description cannot be read: {error}") from None
    if root.tag != "domain":
        raise DumpFailed(f"the VM's description is no <domain> but a <{printable(root.tag)}>")
    return root


def writable_disks(root: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, str]]:
    """The disks that a dump has to hold, each with its target. Raises DumpFailed."""
    for disk in root.findall("./devices/disk"):
        if disk.get("device", "disk") not in _DEVICES or disk.find("readonly") is not None:
            continue
        target = disk.find("target")
        name = "" if target is None else target.get("dev", "")
        if not is_single_component(name):
            raise DumpFailed(f"a disk of the VM has the target {name!r}, which cannot name a file")
        if disk.find("source") is not None:  # a drive without a medium has none
            yield disk, name


def moved(text: str, folder: Path, files: Collection[str]) -> tuple[str, list[str]]:
    """The definition with the disks and the firmware's variables that lie as ``files`` in ``folder``.

    Returns it, and sentences about what is different now or could not be put right. Raises DumpFailed.
    """
    root = read(text)
    notes = [note for disk, target in writable_disks(root) if (note := _move_disk(disk, target, folder, files))]
    notes += [note for disk in root.findall("./devices/disk[@device='cdrom']") if (note := _empty(disk))]
    nvram = root.find("./os/nvram")
    if nvram is not None:
        notes += _move_variables(nvram, folder, files)
    return ElementTree.tostring(root, encoding="unicode"), notes


def _move_disk(disk: ElementTree.Element, target: str, folder: Path, files: Collection[str]) -> str | None:
    if file_of(target) not in files:
        return f"disk {target} is not in the dump, and is left as it was"
    for name in ("source", "backingStore", "mirror", "auth"):
        for child in disk.findall(name):
            disk.remove(child)
    disk.attrib.update(type="file", device=disk.get("device", "disk").replace("lun", "disk"))
    disk.attrib.pop("rawio", None)
    disk.attrib.pop("sgio", None)
    driver = disk.find("driver")
    if driver is None:
        driver = ElementTree.Element("driver", name="qemu")
        disk.insert(0, driver)
    driver.set("type", "qcow2")
    disk.insert(1, ElementTree.Element("source", file=str(folder / file_of(target))))
    return None


def _empty(disk: ElementTree.Element) -> str | None:
    """Takes a medium out that is not there: the VM would not start."""
    source = disk.find("source")
    path = None if source is None else source.get("file")
    if source is None or path is None or Path(path).exists():
        return None
    disk.remove(source)
    return f"the CD-ROM {path} is not here, and its drive is empty now"


def _move_variables(nvram: ElementTree.Element, folder: Path, files: Collection[str]) -> list[str]:
    own = next((file for file in files if file.partition(".")[0] == "nvram"), None)
    if own is None:
        return ["the variables of the firmware (nvram) are not in the dump: libvirt makes new ones"]
    for child in nvram.findall("source"):
        nvram.remove(child)
    nvram.attrib.pop("type", None)
    nvram.text = str(folder / own)
    return []


def backup(disks: Sequence[Disk], folder: Path) -> str:
    """What ``virsh backup-begin`` is given: every disk whole, into a file of its own in ``folder``."""
    root = ElementTree.Element("domainbackup", mode="push")
    listed = ElementTree.SubElement(root, "disks")
    for disk in disks:
        entry = ElementTree.SubElement(listed, "disk", name=disk.target, backup="yes", type="file")
        ElementTree.SubElement(entry, "target", file=str(folder / file_of(disk.target)))
        ElementTree.SubElement(entry, "driver", type="qcow2")
    return ElementTree.tostring(root, encoding="unicode")


def backup_targets(text: str) -> frozenset[Path]:
    """The files that a running backup job writes, as ``virsh backup-dumpxml`` prints it. Raises DumpFailed."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - libvirt wrote it
    except ElementTree.ParseError as error:
        raise DumpFailed(f"libvirt's backup job cannot be read: {error}") from None
    return frozenset(Path(one.get("file", "")) for one in root.findall("./disks/disk/target"))


def file_of(target: str) -> str:
    """What a disk is called in a dump."""
    return f"{target}.qcow2"


def _disks(root: ElementTree.Element) -> Iterator[Disk]:
    for disk, target in writable_disks(root):
        if disk.find("encryption") is not None or disk.find("source/encryption") is not None:
            raise DumpFailed(f"disk {target} is encrypted by QEMU, and its dump would not be")
        source, driver = disk.find("source"), disk.find("driver")
        attributes = {} if source is None else source.attrib
        path = attributes.get("file") or attributes.get("dev")
        yield Disk(target, path, "raw" if driver is None else driver.get("type", "raw"))


def _nvram(root: ElementTree.Element) -> Path | None:
    found = root.find("./os/nvram")
    if found is None:
        return None
    source = found.find("source")
    path = (found.text or "").strip() if source is None else source.get("file", "")
    if not path.startswith("/"):
        raise DumpFailed("the variables of the VM's firmware (nvram) are not in a file of this host")
    return Path(path)
