"""From file names to VMs, stems and export names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.filenames import is_single_component
from core.markers.format import BadMarker
from core.markers.vm_name import export_name, stem, suffixes, vm_of

#: Name of a dump -> its VM, its stem, and what follows in the export name.
NAMES = {
    "vm1": ("vm1", "vm1", ""),
    "vm1.qcow2": ("vm1", "vm1", ".qcow2"),
    "vm1.img.zst": ("vm1", "vm1", ".img.zst"),
    "vm1-2026-11-22.img.zst": ("vm1", "vm1", ".img.zst"),
    "vm1.2026-11-22": ("vm1", "vm1", ""),
    "vm1.2026-11-22.img": ("vm1", "vm1", ".img"),
    "vm1_20261122.tar": ("vm1", "vm1", ".tar"),
    "vm1-20261122-0300.tar": ("vm1", "vm1", ".tar"),
    "vm1-2026-11-22_03-00-00.vma.zst": ("vm1", "vm1", ".vma.zst"),
    "vm1-2026-11-22T03:00:00Z.raw": ("vm1", "vm1", ".raw"),
    "vm1-2026-11-22T03:00:00+01:00.raw": ("vm1", "vm1", ".raw"),
    "vm1.img.2026-11-22": ("vm1", "vm1", ".img"),
    "2026-11-22-vm1.img": ("-vm1", "-vm1", ".img"),
    "web-01.qcow2": ("web-01", "web-01", ".qcow2"),
    "mail server.img": ("mail server", "mail server", ".img"),
    "srv-20265678.img": ("srv-20265678", "srv-20265678", ".img"),
    "db1.prod": ("db1", "db1.prod", ".prod"),
    "db1.test": ("db1", "db1.test", ".test"),
    "vm1.vda.qcow2": ("vm1", "vm1.vda", ".vda.qcow2"),
    "vm1.vdb.qcow2": ("vm1", "vm1.vdb", ".vdb.qcow2"),
    "vzdump-qemu-100-2026_11_22-03_00_00.vma.zst": ("100", "100", ".vma.zst"),
    "vzdump-lxc-101-2026_11_22-03_00_00.tar.gz": ("101", "101", ".tar.gz"),
    "vzdump-qemu-100": ("vzdump-qemu-100", "vzdump-qemu-100", ""),
}


@pytest.mark.parametrize(("name", "vm"), [(name, vm) for name, (vm, _, _) in NAMES.items() if vm[0] != "-"])
def test_the_vm_is_the_name_up_to_its_first_dot_less_dates(name: str, vm: str) -> None:
    """And of vzdump's names the number."""
    assert vm_of(name, None) == vm


@pytest.mark.parametrize(("name", "expected"), [(name, expected) for name, (_, expected, _) in NAMES.items()])
def test_the_stem_is_what_two_dumps_of_one_vm_have_in_common(name: str, expected: str) -> None:
    """Dates and formats differ from dump to dump; another disk is another stem."""
    assert stem(name) == expected


@pytest.mark.parametrize(("name", "expected"), [(name, expected) for name, (_, _, expected) in NAMES.items()])
def test_the_export_name_keeps_how_the_dump_is_written(name: str, expected: str) -> None:
    """So that ``.rsync/vm1.img.zst`` stays one name from dump to dump."""
    assert suffixes(name) == expected


def test_a_name_that_is_only_a_date_takes_the_name_of_its_folder() -> None:
    """``vm1/2026-11-22.img`` is of ``vm1``."""
    assert vm_of("weekly/vm1/2026-11-22.img", None) == "vm1"


@pytest.mark.parametrize("path", ["2026-11-22", "2026-11-22-vm1.img", "...", "-rf", "v" * 256])
def test_a_name_of_which_no_vm_can_come_says_what_would_help(path: str) -> None:
    """The marker may say it, or ``vm_pattern``."""
    with pytest.raises(BadMarker, match="say it in the marker or set vm_pattern"):
        vm_of(path, None)


@pytest.mark.parametrize("path", ["vm\n1", "vm\udcff", "we\x1bekly/vm1", "vm\x85"])
def test_a_name_that_could_not_be_shown_is_a_bad_marker(path: str) -> None:
    """Control characters and bytes that are no text."""
    with pytest.raises(BadMarker, match="not UTF-8 or holds control characters"):
        vm_of(path, re.compile("(?P<vm>.*)", re.DOTALL))


def test_a_pattern_has_the_only_word() -> None:
    """Where ``vm_pattern`` is set, the rules above are not asked."""
    pattern = re.compile(r"^backup_(?P<vm>[a-z]+)_")
    assert vm_of("weekly/backup_web_2026-11-22.img", pattern) == "web"
    with pytest.raises(BadMarker, match="vm_pattern finds no VM"):
        vm_of("vm1.img", pattern)


@pytest.mark.parametrize("found", ["..", ".ssh", "-rf", ""])
def test_what_a_pattern_finds_must_be_a_usable_name_too(found: str) -> None:
    """The admin wrote the pattern, and somebody else the file's name."""
    with pytest.raises(BadMarker):
        vm_of(f"backup={found}", re.compile("=(?P<vm>.*)"))


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


@given(st.text(), st.sampled_from([None, re.compile("(?P<vm>.*)", re.DOTALL)]))
def test_of_any_name_comes_a_usable_vm_or_a_bad_marker(path: str, pattern: re.Pattern[str] | None) -> None:
    """A VM's name becomes a file's name in the export tree and a label of metrics."""
    try:
        assert is_single_component(vm_of(path, pattern))
    except BadMarker:
        return
