"""A dump is let out as hard links: whole, exactly what was recorded, and nothing foreign is overwritten."""

import os
from pathlib import Path

import pytest

from core.errors import FaultError
from core.reasons import Reason
from policy.export import LinkFailure, Presence, Published
from tests.export.house import Content, House, at, inode, mode
from tests.real_parts import needs_root

FOLDER = {"disk0": b"zero", "disk1": b"one", "efi/vars": b"two"}


def test_a_file_is_a_hard_link_under_its_export_name(house: House) -> None:
    dump = house.dump("vm1-2026-11-22.qcow2")
    house.released("vm1-2026-11-22.qcow2", "vm1.qcow2")
    assert house.visible() == {"vm1.qcow2"}
    assert inode(house.tree / "vm1.qcow2") == inode(dump)


def test_a_folder_is_made_anew_and_its_files_are_hard_links(house: House) -> None:
    dump = house.dump("vm1", FOLDER)
    house.released("vm1")
    assert house.visible() == {"vm1", "vm1/disk0", "vm1/disk1", "vm1/efi", "vm1/efi/vars"}
    for name in FOLDER:
        assert inode(house.tree / "vm1" / name) == inode(dump / name)
    assert inode(house.tree / "vm1") != inode(dump)
    assert house.staged() == []


def test_empty_sub_folders_leave_with_the_dump(house: House) -> None:
    (house.dump("vm1", FOLDER) / "snapshots" / "none").mkdir(parents=True)
    house.released("vm1")
    assert {"vm1/snapshots", "vm1/snapshots/none"} <= house.visible()


def test_a_folder_keeps_mode_and_times_so_that_who_may_read_it_may_read_its_link(house: House) -> None:
    dump = house.dump("vm1", FOLDER)
    for folder, bits in ((dump / "efi", 0o550), (dump, 0o2750)):
        folder.chmod(bits)
        os.utime(folder, (1_000_000, 2_000_000))
    house.released("vm1")
    link = house.tree / "vm1"
    assert (mode(link), mode(link / "efi")) == (0o750, 0o750)  # without setgid; its owner can remove it
    assert link.stat().st_mtime == (link / "efi").stat().st_mtime == 2_000_000


def test_a_folder_keeps_its_owner_where_root_makes_the_link(house: House) -> None:
    needs_root("giving files away")
    dump = house.dump("vm1", FOLDER)
    for path in (house.source, dump, *dump.rglob("*")):
        os.chown(path, 4711, 4712)
    house.released("vm1")
    status = (house.tree / "vm1" / "efi").stat()
    assert (status.st_uid, status.st_gid) == (4711, 4712)


def test_a_dump_below_sub_folders_is_reached(house: House) -> None:
    dump = house.dump("hosts/a/vm1")
    house.released("hosts/a/vm1")
    assert inode(house.tree / "vm1") == inode(dump)


def test_many_leave_at_once_and_a_failure_stops_no_other(house: House) -> None:
    """From several folders, files and folders mixed, two of them gone since."""
    house.dump("vm1")
    house.dump("vm2", FOLDER)
    house.dump("a/vm3")
    house.dump("b/vm4")
    house.dump("b/vm5", FOLDER)
    requests = [house.request(path) for path in ("vm1", "vm2", "a/vm3", "b/vm4", "b/vm5")]
    (house.source / "a/vm3").unlink()
    (house.source / "b/vm5/disk1").unlink()
    outcomes = house.publish(*requests)
    assert [isinstance(outcome, Published) for outcome in outcomes] == [True, True, False, True, False]
    assert {path for path in house.visible() if "/" not in path} == {"vm1", "vm2", "vm4"}
    assert house.staged() == []


def test_many_links_hold_few_descriptors(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many dumps nor a deep nest of folders holds more than a few open at once."""
    most = [0]

    def count(_: str) -> None:
        most[0] = max(most[0], len(os.listdir("/proc/self/fd")))

    monkeypatch.setattr("core.failpoints.hook", count)
    for number in range(300):
        house.dump(f"folder{number % 20}/vm{number}")
    house.dump("deep", {"/".join(["down"] * 60) + "/disk": b"x"})
    paths = [f"folder{number % 20}/vm{number}" for number in range(300)] + ["deep"]
    before = len(os.listdir("/proc/self/fd"))
    outcomes = house.publish(*[house.request(path) for path in paths])
    assert all(isinstance(outcome, Published) for outcome in outcomes)
    assert most[0] - before <= 12
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("old", [b"old", FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("new", [b"new", {"disk0": b"new", "other/disk": b"newer"}], ids=["file", "folder"])
def test_an_ended_link_is_replaced_and_its_name_is_never_absent(house: House, old: Content, new: Content) -> None:
    house.dump("vm1-monday", old)
    house.dump("vm1-tuesday", new)
    house.released("vm1-monday", "vm1")
    seen = []
    with at("before rename", lambda: seen.append((house.tree / "vm1").exists())):
        recorded = house.released("vm1-tuesday", "vm1", may_replace=True)
    assert seen == [True]
    assert house.export.presence("vm1", recorded) is Presence.INTACT
    assert house.staged() == []


@pytest.mark.parametrize("content", [b"same", FOLDER], ids=["file", "folder"])
def test_a_link_may_be_replaced_by_itself(house: House, content: Content) -> None:
    """Rename between two names of one inode does nothing: no second name may be left over."""
    dump = house.dump("vm1", content)
    house.released("vm1")
    recorded = house.released("vm1", may_replace=True)
    assert house.export.presence("vm1", recorded) is Presence.INTACT
    assert house.staged() == []
    file = dump if dump.is_file() else dump / "disk0"
    assert file.stat().st_nlink == 2


@pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("foreign", ["file", "folder", "empty folder", "symlink"])
def test_a_foreign_thing_keeps_its_name(house: House, content: Content, foreign: str) -> None:
    house.dump("vm1", content)
    house.tree.mkdir()
    taken = house.tree / "vm1"
    if foreign == "file":
        taken.write_bytes(b"foreign")
    elif foreign == "symlink":
        taken.symlink_to(house.tree)
    else:
        taken.mkdir()
        if foreign == "folder":
            (taken / "foreign").write_bytes(b"foreign")
    before = inode(taken)
    failure = house.not_published(house.request("vm1"), Reason.LINK_ERROR)
    assert failure.detail.startswith("EEXIST: ")
    assert inode(taken) == before


def test_a_foreign_file_that_comes_at_the_last_instant_keeps_its_name(house: House) -> None:
    house.dump("vm1", FOLDER)
    request = house.request("vm1")
    with at("before rename", lambda: (house.tree / "vm1").write_bytes(b"foreign")):
        [outcome] = house.publish(request)
    assert isinstance(outcome, LinkFailure)
    assert outcome.detail.startswith("EEXIST: ")
    assert (house.tree / "vm1").read_bytes() == b"foreign"


@pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])
def test_a_link_that_stands_already_counts_as_published_and_is_not_touched(house: House, content: Content) -> None:
    """A crash between the link and its row: made once more it would forget that the storage has read it."""
    dump = house.dump("vm1", content)
    request = house.request("vm1")
    [first] = house.publish(request)
    [second] = house.publish(request)
    assert first == second
    file = dump if dump.is_file() else dump / "disk0"
    assert file.stat().st_nlink == 2


@pytest.mark.parametrize("name", ["../vm1", "a/vm1", "", ".", "..", ".hidden", "-rf", "a\nb", "\udcff"])
def test_a_name_that_is_no_plain_entry_of_the_tree_is_refused(house: House, name: str) -> None:
    house.dump("vm1")
    house.publish(house.request("vm1"))
    request = house.request("vm1")
    house.not_published(
        type(request)(request.link_id, request.source, "vm1", name, request.identity, may_replace=False), Reason.UNSAFE
    )


def test_a_name_that_is_too_long_is_told_as_such(house: House) -> None:
    house.dump("vm1")
    failure = house.not_published(house.request("vm1", "v" * 256), Reason.LINK_ERROR)
    assert failure.detail.startswith("ENAMETOOLONG: ")


def test_the_tree_is_made_so_that_a_puller_gets_in_and_staging_so_that_nobody_does(house: House) -> None:
    house.dump("vm1")
    old = os.umask(0o077)
    try:
        house.released("vm1")
    finally:
        os.umask(old)
    assert (mode(house.tree), mode(house.staging)) == (0o755, 0o700)


def test_a_tree_that_is_there_keeps_its_mode(house: House) -> None:
    house.dump("vm1")
    house.tree.mkdir(mode=0o750)
    house.released("vm1")
    assert mode(house.tree) == 0o750


@pytest.mark.parametrize("which", ["tree", "staging"])
@pytest.mark.parametrize("what", ["symlink", "file"])
def test_a_tree_or_staging_folder_that_is_no_folder_is_refused(
    house: House, tmp_path: Path, which: str, what: str
) -> None:
    house.dump("vm1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = house.tree if which == "tree" else house.staging
    place.symlink_to(elsewhere) if what == "symlink" else place.write_bytes(b"")
    with pytest.raises(FaultError, match="symbolic link"):
        house.publish(house.request("vm1"))
    assert list(elsewhere.iterdir()) == []


def test_a_staging_folder_into_which_others_can_write_is_refused(house: House) -> None:
    house.dump("vm1")
    house.staging.mkdir()
    house.staging.chmod(0o770)
    with pytest.raises(FaultError, match="written by others"):
        house.publish(house.request("vm1"))


def test_a_staging_folder_of_a_stranger_is_refused(house: House) -> None:
    needs_root("giving files away")
    house.dump("vm1")
    house.staging.mkdir()
    os.chown(house.staging, 4711, 4711)
    with pytest.raises(FaultError, match="belongs to user id 4711"):
        house.publish(house.request("vm1"))


def test_nothing_asked_for_makes_nothing(house: House) -> None:
    assert house.publish() == []
    assert house.export.sweep() == 0
    assert not house.export.exists()
    assert not house.staging.exists()
