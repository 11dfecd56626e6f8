"""Scans: where is looked, what counts as removed, and what a folder that is not there means."""

import os
from pathlib import Path

import pytest

from core.enums import DumpState
from core.fs.fingerprint import Identity, identify
from core.reasons import Reason
from core.state import counters
from core.state.counters import WatchStatus
from core.state.database import DryRunState
from tests.users import as_nobody, open_the_way
from tests.watcher.place import Place, open_files
from watcher import observation
from watcher.scanner import scan_and_record


def status_of(place: Place) -> WatchStatus:
    with place.state.read() as connection:
        return counters.watch_statuses(connection)[place.watch.name]


def test_markers_are_found_wherever_dumps_may_be(place: Place) -> None:
    """In every folder, also in one that is itself named like a marker."""
    for name in ("vm1", "weekly/vm2", "a/b/c/vm3", "old.done/vm4", "vm5/disk0"):
        place.done(name)
    place.scan()
    assert place.standing() == {"vm1", "weekly/vm2", "a/b/c/vm3", "old.done/vm4", "vm5/disk0"}


def test_nobody_looks_through_links_into_dumps_dot_names_or_the_export_tree(place: Place, tmp_path: Path) -> None:
    """Else a link to itself would be a folder without end, and what is let out would be let out again."""
    for name in ("vm1/inner", ".hidden/vm2", ".rsync/vm3", ".rsync.staging/vm4", "real/vm5"):
        place.done(name)
    place.mark("vm1")
    (place.dumps / "link").symlink_to("real")
    (place.dumps / "loop").symlink_to(".")
    place.scan()
    assert place.standing() == {"vm1", "real/vm5"}


@pytest.mark.parametrize(
    "folder",
    [
        "#recycle",
        "@Recycle",
        "$RECYCLE.BIN",
        "@eaDir",
        ".Trash-1000",
        "lost+found",
        "System Volume Information",
        "vzdump-lxc-101-2026_11_22-03_00_00.tmp",
        "vm1.part",
        "vm1.PARTIAL",
        "a/vm1.tmp/b",
    ],
)
def test_what_was_deleted_or_is_being_filled_is_no_dump(folder: str, place: Place) -> None:
    """A container's own files lie in vzdump's folder: one that holds 100.vma.zst.done is no dump of VM 100."""
    place.done(f"{folder}/100.vma.zst")
    place.done("vm2")
    place.scan()
    assert place.standing() == {"vm2"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_below_the_watch_folder_makes_nobody_an_owner(place: Place) -> None:
    """Files of a guest's user are not released because the guest's folder is his too."""
    place.done("guest/vm1")
    for path in ("guest", "guest/vm1", "guest/vm1.done"):
        os.chown(place.dumps / path, 100_000, 100_000)
    place.scan()
    assert place.row("guest/vm1").reason is Reason.UNSAFE


def test_a_running_or_failed_folder_is_not_looked_into_either(place: Place) -> None:
    """Its files are being written, or are half of a dump."""
    for kind in ("running", "failed"):
        place.done(f"{kind}/inner")
        place.mark(kind, kind)
    place.scan()
    assert place.standing() == {"running", "failed"}


def test_an_export_tree_with_a_plain_name_inside_the_watch_folder_is_left_out(tmp_path: Path) -> None:
    """Wherever the configuration puts it."""
    place = Place(tmp_path, export="dumps/sub/out")
    place.done("sub/out/vm1")
    place.done("sub/vm2")
    place.scan()
    assert place.standing() == {"sub/vm2"}
    place.close()


def test_without_recursion_only_the_folder_itself_is_looked_at(tmp_path: Path) -> None:
    """``recursive = false``."""
    place = Place(tmp_path, recursive=False)
    place.done("vm1")
    place.done("sub/vm2")
    place.scan()
    assert place.standing() == {"vm1"}
    place.close()


def test_a_scan_of_one_folder_says_nothing_of_the_others(place: Place) -> None:
    """As an event of a folder asks for it."""
    for name in ("vm1", "sub/vm2", "subway/vm3"):
        place.done(name)
    place.scan()
    for name in ("vm1", "sub/vm2", "subway/vm3"):
        (place.dumps / f"{name}.done").unlink()
    place.done("sub/deep/vm4")
    place.scan(starts=["sub", "sub/deep"])
    assert place.standing() == {"vm1", "subway/vm3", "sub/deep/vm4"}


def test_a_folder_that_is_gone_takes_its_markers_with_it(place: Place) -> None:
    """Also when it is asked for by its name."""
    place.done("vm1")
    place.done("sub/deep/vm2")
    place.scan()
    (place.dumps / "sub").rename(place.dumps / ".sub")
    place.scan(starts=["sub"])
    assert place.standing() == {"vm1"}


def test_what_cannot_be_read_keeps_what_was_recorded_of_it(place: Place) -> None:
    """A subfolder closed to us; what is beside it is still seen to go."""
    for name in ("vm1", "closed/vm2", "closed/deep/vm3"):
        place.done(name)
    place.scan()
    (place.dumps / "vm1.done").unlink()
    open_the_way(place.dumps / "closed")
    (place.dumps / "closed").chmod(0)
    for path in place.host.folder.iterdir():
        path.chmod(0o777 if path.is_dir() else 0o666)
    with as_nobody():
        scanned = place.scan()
    assert (scanned.up, place.standing()) == (True, {"closed/vm2", "closed/deep/vm3"})
    assert "cannot be read" in status_of(place).detail
    (place.dumps / "closed").chmod(0o755)
    place.scan()
    assert status_of(place).detail == ""


# --- down


def test_a_watch_folder_that_is_not_there_is_down_and_takes_nothing_with_it(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once in the log and kept in the state; nothing counts as removed."""
    place.done("vm1")
    place.scan()
    place.dumps.rename(place.dumps.with_name("away"))
    assert [place.scan().up for _ in range(3)] == [False] * 3
    assert (status_of(place).up, place.states("vm1")) == (False, [(DumpState.PENDING, True)])
    assert caplog.text.count("the watch folder is down") == 1
    place.dumps.with_name("away").rename(place.dumps)
    place.done("vm2")
    assert place.scan().up
    assert (status_of(place).up, place.standing()) == (True, {"vm1", "vm2"})


def test_a_watch_folder_without_any_entry_may_be_a_disk_that_is_not_mounted(place: Place) -> None:
    """Where dumps were marked in it. One that was always empty is just empty."""
    assert place.scan().up
    place.done("vm1")
    place.scan()
    for name in ("vm1", "vm1.done"):
        (place.dumps / name).rename(place.dumps.with_name(name))
    assert not place.scan().up
    assert place.states("vm1") == [(DumpState.PENDING, True)]


def test_the_last_scan_is_the_last_that_saw_the_folder(place: Place) -> None:
    """A folder that is down for days must not look as if it was scanned a moment ago."""
    place.scan()
    seen = status_of(place).last_scan_at
    place.dumps.rmdir()
    place.scan()
    assert status_of(place).last_scan_at == seen


def test_a_file_in_the_place_of_the_watch_folder_is_down_too(place: Place) -> None:
    """Whatever it is, it is no folder of dumps."""
    place.dumps.rmdir()
    place.dumps.write_text("")
    assert not place.scan().up


# --- what commands use


def test_a_plan_scans_as_a_pass_does_and_writes_nothing(place: Place) -> None:
    """Into a copy in memory."""
    place.done("vm1")
    files = [place.config.state.path, place.config.state.path.with_name("state.db-wal")]
    before = [path.read_bytes() for path in files]
    dry_run = DryRunState(place.config.state.path)
    (scanned,) = scan_and_record(place.config, dry_run, place.clock)
    assert (scanned.up, scanned.looked_at) == (True, 1)
    assert [path.read_bytes() for path in files] == before
    assert place.rows("vm1") == []


def test_a_scan_leaves_no_descriptor_open(place: Place) -> None:
    """Of hundreds of folders, linked, closed, or gone."""
    for number in range(200):
        place.done(f"{number}/deep/vm{number}")
    place.scan()
    with open_files():
        place.scan()


def test_a_scan_of_what_is_known_reads_no_marker_and_no_dump(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is why it may be made every few minutes over a hundred thousand of them."""
    for number in range(100):
        place.done(f"vm{number}", text="{}")
    place.scan()
    opened: list[object] = []
    real = os.open

    def note(path: object, *how: object, **more: object) -> int:
        opened.append(path)
        return real(path, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", note)
    assert place.scan().looked_at == 0
    assert not [path for path in opened if "vm" in os.path.basename(os.fspath(path))]  # type: ignore[call-overload]


def test_dumps_whose_markers_are_known_are_not_looked_at_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What that saves for 100,000 is in docs/BENCHMARKS.md."""
    looked_at: list[str] = []

    def identify_and_note(folder: int, name: str, owners: frozenset[int]) -> Identity:
        looked_at.append(name)
        return identify(folder, name, owners)

    monkeypatch.setattr(observation, "identify", identify_and_note)
    for number in range(30):
        place.done(f"vm{number}")
    place.scan()
    assert len(looked_at) == 30
    place.done("new")
    place.scan()
    assert looked_at[30:] == ["new"]
