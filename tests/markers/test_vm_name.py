"""From paths to VMs, series and export names: names and layouts as scripts and programs write them."""

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.enums import VmFrom
from core.filenames import is_single_component
from core.markers.format import BadMarker
from core.markers.vm_name import Naming, export_name, parse, stem, suffixes

#: When the dumps of the table were written.
WRITTEN = datetime.datetime(2026, 12, 1, 4, tzinfo=datetime.UTC).timestamp()
AUTO = Naming()
#: ghettoVCB, XCP-ng's and Unraid's scripts name what they write by a UUID.
UUID = "0e5a6f5e-1b2c-3d4e-5f60-718293a4b5c6"

#: Path of a dump -> its VM, its series, and what follows in the export name.
NAMES = {
    # no date
    "vm1": ("vm1", "vm1", ""),
    "vm1.qcow2": ("vm1", "vm1", ".qcow2"),
    "vm1.img.zst": ("vm1", "vm1", ".img.zst"),
    "web-01.qcow2": ("web-01", "web-01", ".qcow2"),
    "mail server.img": ("mail server", "mail server", ".img"),
    "srv-20265678.img": ("srv-20265678", "srv-20265678", ".img"),
    "pc-200115.img": ("pc-200115", "pc-200115", ".img"),
    "w10.img": ("w10", "w10", ".img"),
    "vm-w48.img": ("vm-w48", "vm-w48", ".img"),
    "web-mon.img": ("web-mon", "web-mon", ".img"),
    "sun.img": ("sun", "sun", ".img"),
    "win2019.vhdx": ("win2019", "win2019", ".vhdx"),
    "win-2019-01.vhdx": ("win-2019-01", "win-2019-01", ".vhdx"),
    "db1.prod": ("db1", "db1.prod", ".prod"),
    "db1.test": ("db1", "db1.test", ".test"),
    "vm1.vda.qcow2": ("vm1", "vm1.vda", ".vda.qcow2"),
    "vm1.vdb.qcow2": ("vm1", "vm1.vdb", ".vdb.qcow2"),
    "may-report.img": ("may-report", "may-report", ".img"),
    "march.img": ("march", "march", ".img"),
    # ISO dates and times
    "vm1-2026-11-22.img.zst": ("vm1", "vm1", ".img.zst"),
    "vm1.2026-11-22": ("vm1", "vm1", ""),
    "vm1.2026-11-22.img": ("vm1", "vm1", ".img"),
    "vm1.img.2026-11-22": ("vm1", "vm1", ".img"),
    "vm1_2026_11_22.img": ("vm1", "vm1", ".img"),
    "vm1_20261122.tar": ("vm1", "vm1", ".tar"),
    "vm1-20261122-0300.tar": ("vm1", "vm1", ".tar"),
    "vm1-20261122_030011.tar": ("vm1", "vm1", ".tar"),
    "vm1.20261122T030011.img": ("vm1", "vm1", ".img"),
    "vm1.20261122T030011Z.img": ("vm1", "vm1", ".img"),
    "vm1.20261122030011.img": ("vm1", "vm1", ".img"),
    "vm1-2026-11-22_03-00-00.vma.zst": ("vm1", "vm1", ".vma.zst"),
    "vm1-2026-11-22_03:00.raw": ("vm1", "vm1", ".raw"),
    "vm1-2026-11-22T03:00:00Z.raw": ("vm1", "vm1", ".raw"),
    "vm1-2026-11-22T03:00:00+01:00.raw": ("vm1", "vm1", ".raw"),
    "vm1-2026-11-22T03:00:00+0100.raw": ("vm1", "vm1", ".raw"),
    "vm1@2026-11-22_03:00.raw": ("vm1", "vm1", ".raw"),
    "vm1+2026-11-22.raw": ("vm1", "vm1", ".raw"),
    "vm1 2026-11-22.raw": ("vm1", "vm1", ".raw"),
    "vm1 (2026-11-22).raw": ("vm1", "vm1", ".raw"),
    "vm1_2026-11-22_030011.vmdk": ("vm1", "vm1", ".vmdk"),
    "vm1-2026-11-22-full.img": ("vm1-full", "vm1-full", ".img"),
    "2026-11-22-vm1.img": ("vm1", "vm1", ".img"),
    "2026-11-22_vm1.img": ("vm1", "vm1", ".img"),
    "2026-11-22_03-00_vm1.img": ("vm1", "vm1", ".img"),
    "20261122030011-vm1.img": ("vm1", "vm1", ".img"),
    "20261122_web-01.qcow2": ("web-01", "web-01", ".qcow2"),
    # blank-padded hours (date +%k, date +%l)
    "vm1-2026-11-22- 3:00.img": ("vm1", "vm1", ".img"),
    "vm1_20261122_ 300.img": ("vm1", "vm1", ".img"),
    # day first, month first
    "vm1-28.11.2026.img": ("vm1", "vm1", ".img"),
    "vm1_28-11-2026.qcow2": ("vm1", "vm1", ".qcow2"),
    "vm1_28_11_2026.qcow2": ("vm1", "vm1", ".qcow2"),
    "vm1-8.1.2026.img": ("vm1", "vm1", ".img"),
    "vm1-11-28-2026.tgz": ("vm1", "vm1", ".tgz"),
    "vm1-04-05-2026.tgz": ("vm1", "vm1", ".tgz"),
    "28.11.2026-vm1.img": ("vm1", "vm1", ".img"),
    "vm1-28.11.2026_03-00.img": ("vm1", "vm1", ".img"),
    "vm1-28112026.img": ("vm1", "vm1", ".img"),
    # names of months
    "vm1-28Nov2026.img": ("vm1", "vm1", ".img"),
    "vm1-28-Nov-2026.img": ("vm1", "vm1", ".img"),
    "vm1_28_November_2026.img": ("vm1", "vm1", ".img"),
    "vm1-Nov-28-2026.img": ("vm1", "vm1", ".img"),
    "vm1-2026-Nov-28.img": ("vm1", "vm1", ".img"),
    "vm1-2026Nov28.img": ("vm1", "vm1", ".img"),
    "vm1-November-2026.img": ("vm1", "vm1", ".img"),
    "vm1-Sat Nov 28 03:00:11 UTC 2026.img": ("vm1", "vm1", ".img"),
    "vm1-Sat Nov  8 03:00:11 2026.img": ("vm1", "vm1", ".img"),
    # two-digit years, where the dump was written then
    "vm1-26-11-28.img": ("vm1", "vm1", ".img"),
    "vm1-28.11.26.img": ("vm1", "vm1", ".img"),
    "vm1_11-28-26.img": ("vm1", "vm1", ".img"),
    "vm1-261128.img": ("vm1", "vm1", ".img"),
    "vm1_261128_0300.img": ("vm1", "vm1", ".img"),
    "261128-vm1.img": ("vm1", "vm1", ".img"),
    "net-10.20.30": ("net-10", "net-10.20.30", ".20.30"),
    # weeks and weekdays
    "vm1-2026-W48.img": ("vm1", "vm1", ".img"),
    "vm1-2026W48-6.img": ("vm1", "vm1", ".img"),
    "vm1-week48.img": ("vm1", "vm1", ".img"),
    "vm1_week_48.img": ("vm1", "vm1", ".img"),
    "vm1-KW48.img": ("vm1", "vm1", ".img"),
    "vm1-Sat.img": ("vm1", "vm1", ".img"),
    "vm1_Saturday.sql.gz": ("vm1", "vm1", ".sql.gz"),
    "vm1.Sunday.img": ("vm1", "vm1", ".img"),
    "Monday/vm1.img": ("vm1", "vm1", ".img"),
    # seconds since the epoch
    "vm1-1764558000.img": ("vm1", "vm1", ".img"),
    "vm1.1764558000123.img": ("vm1", "vm1", ".img"),
    "vm1-9764558000.img": ("vm1-9764558000", "vm1-9764558000", ".img"),
    # rotation
    "vm1.img.1": ("vm1", "vm1", ".img"),
    "vm1.qcow2.zst.12": ("vm1", "vm1", ".qcow2.zst"),
    "vm1--2": ("vm1", "vm1", ""),
    "vm1-latest.img": ("vm1", "vm1", ".img"),
    "vm1_latest.img": ("vm1", "vm1", ".img"),
    "daily.3/vm1.img": ("vm1", "vm1", ".img"),
    "weekly.0/vm1.img": ("vm1", "vm1", ".img"),
    "latest/vm1.img": ("vm1", "vm1", ".img"),
    "vm1.1": ("vm1", "vm1.1", ".1"),
    # a folder for each VM: unRAID, libvirt, hand-made
    "web/vdisk1.img": ("web", "web/vdisk1", ".vdisk1.img"),
    "db/vdisk1.img": ("db", "db/vdisk1", ".vdisk1.img"),
    "web/vda.qcow2": ("web", "web/vda", ".vda.qcow2"),
    "web/sda.img": ("web", "web/sda", ".sda.img"),
    "web/xvda.img": ("web", "web/xvda", ".xvda.img"),
    "web/disk-0.qcow2": ("web", "web/disk-0", ".disk-0.qcow2"),
    "web/disk0": ("web", "web/disk0", ".disk0"),
    "web/scsi0.raw": ("web", "web/scsi0", ".scsi0.raw"),
    "web/backup.tar.gz": ("web", "web/backup", ".backup.tar.gz"),
    "web/dump.sql": ("web", "web/dump", ".dump.sql"),
    "web/full.img": ("web", "web/full", ".full.img"),
    "web/image.raw": ("web", "web/image", ".image.raw"),
    "web/100.img": ("web", "web/100", ".100.img"),
    "web/d41d8cd98f00b204.img": (
        "web",
        "web/d41d8cd98f00b204",
        ".d41d8cd98f00b204.img",
    ),
    "web/2026-11-22.img": ("web", "web/", ".img"),
    "web/2026-11-22": ("web", "web/", ""),
    "web/2026-11-22/vda.qcow2": ("web", "web/vda", ".vda.qcow2"),
    "2026-11-22/web/vda.qcow2": ("web", "web/vda", ".vda.qcow2"),
    "vms/web/vda.qcow2": ("web", "vms/web/vda", ".vda.qcow2"),
    "web/vms/vda.qcow2": ("web", "web/vms/vda", ".vda.qcow2"),
    "weekly/vm1/2026-11-22.img": ("vm1", "weekly/vm1/", ".img"),
    "web-2026-11-22/vda.qcow2": ("web", "web/vda", ".vda.qcow2"),
    "web/web-2026-11-22.qcow2": ("web", "web/web", ".qcow2"),
    "2026-11-22/vm1.img": ("vm1", "vm1", ".img"),
    "backups/100.vma.zst": ("100", "backups/100", ".vma.zst"),
    "backup.img": ("backup", "backup", ".img"),
    "100.vma.zst": ("100", "100", ".vma.zst"),
    # vzdump
    "vzdump-qemu-100-2026_11_22-03_00_00.vma.zst": ("100", "100", ".vma.zst"),
    "vzdump-qemu-100-2026_11_22-03_00_00.vma": ("100", "100", ".vma"),
    "vzdump-lxc-101-2026_11_22-03_00_00.tar.gz": ("101", "101", ".tar.gz"),
    "vzdump-openvz-102-2026_11_22-03_00_00.tar.lzo": ("102", "102", ".tar.lzo"),
    "dump/vzdump-qemu-100-2026_11_22-03_00_00.vma.zst": ("100", "dump/100", ".vma.zst"),
    "vzdump-qemu-100": ("vzdump-qemu-100", "vzdump-qemu-100", ""),
    # ghettoVCB: VM/VM-DATE, rotated to VM--N
    "web/web-2026-11-22_03-00-00": ("web", "web/web", ""),
    "web/web-2026-11-22_03-00-00--1": ("web", "web/web", ""),
    "web/web-2026-11-22_03-00-00-0": ("web", "web/web", ""),
    # NAUbackup: VM/backup-DATE-(TIME)
    "web/backup-2026-11-22-(03:00:11)": ("web", "web/backup", ".backup"),
    "web/backup-2026-11-22-(03:00:11)/web.xva": ("web", "web/backup/web", ".xva"),
    # Unraid's scripts: VM/DATE_TIME_DISK
    "web/20261122_0300_vdisk1.img": ("web", "web/vdisk1", ".vdisk1.img"),
    "web/20261122_0300_vdisk1.img.zst": ("web", "web/vdisk1", ".vdisk1.img.zst"),
    "domains/web/20261122_0300/vdisk1.img": ("web", "domains/web/vdisk1", ".vdisk1.img"),
    # Xen Orchestra, xe vm-export
    f"xo-vm-backups/{UUID}/20261122T030011Z.xva": (UUID, f"xo-vm-backups/{UUID}/", ".xva"),
    "web-20261122-0300.xva": ("web", "web", ".xva"),
    # virtnbdbackup: VM/DISK.full.data
    "web/vda.full.data": ("web", "web/vda.full", ".vda.full.data"),
    "web-2026-11-22/sda.full.data": ("web", "web/sda.full", ".sda.full.data"),
    # AutoMySQLBackup
    "daily/db1/daily_db1_2026-11-22_03h00m_Saturday.sql.gz": ("daily_db1", "daily/db1/daily_db1", ".sql.gz"),
    "weekly/db1/weekly_db1_week_48_2026-11-22_03h00m.sql.gz": ("weekly_db1", "weekly/db1/weekly_db1", ".sql.gz"),
    # letters of other scripts
    "почта-2026-11-22.img": ("почта", "почта", ".img"),
    "büro_22.11.2026.qcow2": ("büro", "büro", ".qcow2"),
}
_ROWS = [(path, *expected) for path, expected in NAMES.items()]


@pytest.mark.parametrize(("path", "vm"), [(path, vm) for path, vm, _, _ in _ROWS])
def test_the_vm_of_a_path(path: str, vm: str) -> None:
    assert parse(path, AUTO, WRITTEN).vm == vm


@pytest.mark.parametrize(("path", "series"), [(path, series) for path, _, series, _ in _ROWS])
def test_dumps_of_one_series_differ_in_dates_formats_and_indexes_only(path: str, series: str) -> None:
    assert parse(path, AUTO, WRITTEN).series == series


@pytest.mark.parametrize(("path", "vm", "expected"), [(path, vm, expected) for path, vm, _, expected in _ROWS])
def test_the_export_name_keeps_how_the_dump_is_written(path: str, vm: str, expected: str) -> None:
    """So that ``.rsync/vm1.img.zst`` stays one name from dump to dump, and each disk of a VM has its own."""
    assert suffixes(path.rpartition("/")[2], vm, WRITTEN) == expected


@pytest.mark.parametrize(
    ("path", "vm_from", "vm"),
    [
        ("web/root.qcow2", VmFrom.AUTO, "root"),
        ("web/root.qcow2", VmFrom.FOLDER, "web"),
        ("web/2026-11-22/root.qcow2", VmFrom.FOLDER, "web"),
        ("vms/root.qcow2", VmFrom.FOLDER, "vms"),
        ("root.qcow2", VmFrom.FOLDER, "root"),
        ("web/100.qcow2", VmFrom.NAME, "100"),
        ("web/vda.qcow2", VmFrom.NAME, "vda"),
        ("web/2026-11-22.qcow2", VmFrom.NAME, "web"),
    ],
)
def test_the_watch_folder_may_set_what_names_the_vm(path: str, vm_from: VmFrom, vm: str) -> None:
    assert parse(path, Naming(vm_from), WRITTEN).vm == vm


def test_a_prefix_keeps_the_vms_of_two_watch_folders_apart() -> None:
    name = parse("vzdump-qemu-100-2026_11_22-03_00_00.vma.zst", Naming(prefix="hostb-"))
    assert (name.vm, name.series) == ("hostb-100", "100")


def test_digits_are_a_date_only_where_the_dump_was_written_then() -> None:
    """Of a number that two hosts may have, the dump's own time decides; without it nothing is taken off."""
    for path in ("vm1-261128.img", "vm1-28.11.26.img", "vm1-1764558000.img", "vm1-28112026.img"):
        assert parse(path, AUTO, WRITTEN - 5 * 366 * 86_400).series == parse(path, AUTO).series != "vm1"


def test_a_bare_index_is_one_where_the_program_counts_up() -> None:
    """ghettoVCB without a date; anywhere else ``web-1`` is a VM."""
    assert stem("web-1", Naming(counts_up=True)) == "web"
    assert stem("web-1", AUTO) == "web-1"


@pytest.mark.parametrize("path", ["2026-11-22", "...", "-rf", "v" * 256])
def test_a_name_of_which_no_vm_can_come_says_what_would_help(path: str) -> None:
    """The marker may name it, or ``vm_pattern``."""
    with pytest.raises(BadMarker, match="name it in the marker or set vm_pattern"):
        parse(path, AUTO)


@pytest.mark.parametrize("path", ["vm\n1", "vm\udcff", "we\x1bekly/vm1", "vm\x85"])
def test_a_name_that_could_not_be_shown_is_a_bad_marker(path: str) -> None:
    """Control characters and bytes that are no text."""
    with pytest.raises(BadMarker, match="not UTF-8 or holds control characters"):
        parse(path, Naming(pattern=re.compile("(?P<vm>.*)", re.DOTALL)))


def test_a_pattern_alone_decides() -> None:
    """Where ``vm_pattern`` is set, the rules above are not asked."""
    naming = Naming(pattern=re.compile(r"^backup_(?P<vm>[a-z]+)_"))
    assert parse("weekly/backup_web_2026-11-22.img", naming).vm == "web"
    with pytest.raises(BadMarker, match="vm_pattern finds no VM"):
        parse("vm1.img", naming)


@pytest.mark.parametrize("found", ["..", ".ssh", "-rf", ""])
def test_what_a_pattern_finds_must_be_a_usable_name_too(found: str) -> None:
    """The admin wrote the pattern, and somebody else the file's name."""
    with pytest.raises(BadMarker):
        parse(f"backup={found}", Naming(pattern=re.compile("=(?P<vm>.*)")))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("{vm}{suffixes}", "web.img.zst"),
        ("{name}", "vm1-2026-11-22.img.zst"),
        ("{backup_set}-{vm}", "weekly-web"),
    ],
)
def test_a_layout_makes_the_export_name(layout: str, expected: str) -> None:
    """From the VM, the backup set, and the dump's own name."""
    path = "sub/vm1-2026-11-22.img.zst"
    assert export_name(layout, vm="web", path=path, backup_set="weekly") == expected


@given(st.text(), st.sampled_from([None, re.compile("(?P<vm>.*)", re.DOTALL)]), st.sampled_from(VmFrom))
def test_of_any_name_comes_a_usable_vm_or_a_bad_marker(
    path: str, pattern: re.Pattern[str] | None, vm_from: VmFrom
) -> None:
    """A VM's name becomes a file's name in the export tree and a label of metrics."""
    try:
        assert is_single_component(parse(path, Naming(vm_from, pattern), WRITTEN).vm)
    except BadMarker:
        return


_DATES = st.dates(datetime.date(2025, 11, 1), datetime.date(2026, 12, 1))
_LAYOUTS = st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%Y%m%dT%H%M%S", "%d-%b-%Y", "%y%m%d", "%G-W%V"])
_HOSTS = st.from_regex(r"[a-z]{2,8}(-[0-9]{1,2})?", fullmatch=True).filter(lambda host: not host.startswith("kw"))


@given(_HOSTS, _HOSTS, _DATES, _LAYOUTS, st.sampled_from("-_."), st.booleans())
def test_two_names_share_a_series_only_if_they_differ_in_nothing_but_their_date(
    one: str, other: str, day: datetime.date, layout: str, separator: str, first: bool
) -> None:
    def path(host: str, day: datetime.date) -> str:
        parts = [day.strftime(layout), host] if first else [host, day.strftime(layout)]
        return separator.join(parts) + ".img"

    earlier = day - datetime.timedelta(days=1)
    assert parse(path(one, day), AUTO, WRITTEN).series == parse(path(one, earlier), AUTO, WRITTEN).series
    assert (parse(path(one, day), AUTO, WRITTEN).series == parse(path(other, day), AUTO, WRITTEN).series) is (
        one == other
    )
