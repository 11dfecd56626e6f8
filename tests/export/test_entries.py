"""What stands in the tree is looked at without a trace, told apart, and taken back only if it is ours."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import FaultError
from core.fs.fingerprint import Identity
from policy.export import ExportTree, LinkFailure, Presence, TreeEntry
from tests.export.house import Content, House, at, inode
from tests.mounts import Mount, mount

__all__ = ["mount"]  # the fixture

FOLDER = {"disk0": b"zero", "disk1": b"one", "empty": b""}
CONTENTS = pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])


def file_of(path: Path) -> Path:
    return path if path.is_file() else path / "disk1"


@CONTENTS
def test_a_link_stands_until_it_is_rewritten_or_gone(house: House, content: Content) -> None:
    dump = house.dump("vm1", content)
    recorded = house.identity("vm1")
    assert house.export.presence("vm1", recorded) is Presence.ABSENT
    house.released("vm1")
    assert house.export.presence("vm1", recorded) is Presence.INTACT
    file_of(dump).write_bytes(b"rewritten in place")
    assert house.export.presence("vm1", recorded) is Presence.CHANGED
    assert house.export.presences({"vm1": recorded, "vm2": recorded}) == {
        "vm1": Presence.CHANGED,
        "vm2": Presence.ABSENT,
    }


@CONTENTS
def test_a_dump_whose_own_name_goes_stays_let_out(house: House, content: Content) -> None:
    dump = house.dump("vm1", content)
    recorded = house.released("vm1")
    dump.rename(house.source / "elsewhere")
    assert house.export.presence("vm1", recorded) is Presence.INTACT


def a_part_of_it(link: Path) -> None:
    (link / "disk0").unlink()


def more_than_it(link: Path) -> None:
    (link / "foreign").write_bytes(b"foreign")


def a_symbolic_link_in_it(link: Path) -> None:
    (link / "foreign").symlink_to("/etc/passwd")


def a_copy(link: Path) -> None:
    shutil.copytree(link, link.parent / "copy")
    shutil.rmtree(link)
    (link.parent / "copy").rename(link)


def a_symbolic_link(link: Path) -> None:
    link.rename(link.parent.parent / "away")
    link.symlink_to(link.parent.parent / "away")


def one_of_its_files(link: Path) -> None:
    (link / "disk0").rename(link.parent / "disk0")
    shutil.rmtree(link)
    (link.parent / "disk0").rename(link)


OTHERS = pytest.mark.parametrize(
    "become", [a_part_of_it, more_than_it, a_symbolic_link_in_it, a_copy, a_symbolic_link, one_of_its_files]
)


@OTHERS
def test_anything_else_under_the_name_is_something_else(house: House, become: Callable[[Path], None]) -> None:
    house.dump("vm1", FOLDER)
    recorded = house.released("vm1")
    become(house.tree / "vm1")
    assert house.export.presence("vm1", recorded) is Presence.OTHER
    assert house.export.linked_ctime("vm1", recorded) is None


@OTHERS
def test_what_is_not_ours_is_never_removed(house: House, become: Callable[[Path], None]) -> None:
    """A part that is left of a folder is ours."""
    house.dump("vm1", FOLDER)
    recorded = house.released("vm1")
    become(house.tree / "vm1")
    before = house.visible()
    assert house.export.withdraw("vm1", recorded) is (become is a_part_of_it)
    assert house.visible() == (set() if become is a_part_of_it else before)
    assert house.staged() == []


@CONTENTS
def test_a_link_is_taken_back_and_its_dump_stays(house: House, content: Content) -> None:
    """Also when it was rewritten: that is why most are taken back."""
    dump = house.dump("vm1", content)
    recorded = house.released("vm1")
    file_of(dump).write_bytes(b"rewritten in place")
    assert house.export.withdraw("vm1", recorded)
    assert not house.export.withdraw("vm1", recorded)
    assert house.visible() == set()
    assert house.staged() == []
    assert file_of(dump).read_bytes() == b"rewritten in place"


def test_a_folder_that_its_owner_may_not_write_to_is_taken_back(house: House) -> None:
    dump = house.dump("vm1", FOLDER)
    dump.chmod(0o500)
    recorded = house.released("vm1")
    assert house.export.withdraw("vm1", recorded)
    assert house.visible() == set()


def test_what_takes_the_name_at_the_last_instant_gets_it_back(house: House) -> None:
    house.dump("vm1")
    recorded = house.released("vm1")

    def take() -> None:
        (house.tree / "vm1").unlink()
        (house.tree / "vm1").write_bytes(b"foreign")

    with at("before withdrawal", take):
        assert not house.export.withdraw("vm1", recorded)
    assert (house.tree / "vm1").read_bytes() == b"foreign"
    assert house.staged() == []


def test_many_are_taken_back_at_once(house: House) -> None:
    identities: dict[str, Identity] = {}
    for number in range(20):
        house.dump(f"vm{number}", b"dump" if number % 2 else FOLDER)
        identities[f"vm{number}"] = house.released(f"vm{number}")
    (house.tree / "vm7").unlink()
    outcomes = house.export.withdraw_all(identities)
    assert outcomes == {name: name != "vm7" for name in identities}
    assert house.visible() == set()


def test_a_tree_that_is_not_there_holds_nothing_and_is_told_from_an_empty_one(house: House) -> None:
    house.dump("vm1")
    recorded = house.identity("vm1")
    assert not house.export.exists()
    assert house.export.presence("vm1", recorded) is Presence.ABSENT
    assert house.export.entries() == {}
    assert not house.export.withdraw("vm1", recorded)
    assert not house.tree.exists()


def identity_of(entry: TreeEntry | None) -> Identity | None:
    return None if entry is None else entry.identity


def test_all_entries_are_told_and_foreign_ones_too(house: House) -> None:
    house.dump("vm1")
    house.dump("vm2", FOLDER)
    ours = {"vm1": house.released("vm1"), "vm2": house.released("vm2")}
    (house.tree / "link").symlink_to("vm1")
    os.mkfifo(house.tree / "fifo")
    (house.tree / "odd").mkdir()
    (house.tree / "odd" / "link").symlink_to("/etc")
    (house.tree / ".tidegate").mkdir()
    (house.tree / ".hidden").write_bytes(b"foreign")
    (house.tree / "nothing").touch()
    entries = house.export.entries()
    assert {name: identity_of(entries.pop(name)) for name in ours} == ours
    hidden, nothing = entries.pop(".hidden"), entries.pop("nothing")
    assert hidden is not None
    assert nothing is not None
    assert (hidden.identity.bytes, hidden.identity.members[0].inode) == (7, inode(house.tree / ".hidden"))
    assert nothing.identity.bytes == 0
    assert entries == {"link": None, "fifo": None, "odd": None}


def test_what_lies_on_another_filesystem_is_no_link_whatever_its_inodes(mount: Mount) -> None:
    point = mount("tmpfs", "size=1m")
    (point / "disk0").write_bytes(b"zero")
    assert ExportTree(point.parent).entries()[point.name] is None


def test_a_withdrawal_that_may_not_last_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut the link could be back, and be pulled."""
    house.dump("vm1")
    recorded = house.released("vm1")

    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(FaultError, match="EIO: "):
        house.export.withdraw("vm1", recorded)


def test_a_link_that_cannot_be_taken_back_is_told_and_stops_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.dump("vm1")
    house.dump("vm2")
    identities = {"vm1": house.released("vm1"), "vm2": house.released("vm2")}

    def move(source: int, name: str, target: int, new_name: str) -> None:
        if name == "vm1":
            raise PermissionError(1, "Operation not permitted")
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)

    monkeypatch.setattr("policy.export.withdraw.rename_new", move)
    outcomes = house.export.withdraw_all(identities)
    assert isinstance(outcomes["vm1"], LinkFailure)
    assert outcomes["vm1"].detail.startswith("EPERM: ")
    assert outcomes["vm2"] is True
    assert house.visible() == {"vm1"}
