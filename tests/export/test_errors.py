"""Every errno has its own sentence with the cause, one failure stops no other, and a doubt keeps the charge."""

import ctypes
import errno
from pathlib import Path

import pytest

from core.errors import FaultError
from core.fs import rename
from core.reasons import Reason
from policy.export import Presence
from policy.export.errors import explain
from tests.export.house import Content, House
from tests.mounts import Mount, mount

__all__ = ["mount"]  # the fixture

FOLDER = {"disk0": b"zero", "sub/disk1": b"one"}


def failed(house: House, errno_name: str, *paths: str) -> None:
    """Each dump fails with this errno, and without a trace."""
    for path in paths:
        failure = house.not_published(house.request(path), Reason.LINK_ERROR)
        assert failure.detail.startswith(f"{errno_name}: "), failure


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_any_errno_is_told_by_its_name(number: int) -> None:
    name, sentence = explain(OSError(number, "")).split(": ", 1)
    assert name == errno.errorcode[number]
    assert sentence


def test_no_two_errnos_that_a_link_can_meet_share_a_sentence() -> None:
    numbers = [
        *(errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EIO, errno.EMLINK, errno.ENAMETOOLONG),
        *(errno.ENOSPC, errno.EPERM, errno.EROFS, errno.ESTALE, errno.EXDEV),
    ]
    told = {explain(OSError(number, "")).partition(": ")[2] for number in numbers}
    assert len(told) == len(numbers)
    assert all(len(sentence) > len("No space left on device") for sentence in told)


def test_a_tree_that_is_a_mount_of_its_own_takes_files_and_says_why_it_takes_no_folder(
    tmp_path: Path, mount: Mount
) -> None:
    """Staging beside it is then in another place for the kernel."""
    root = mount("tmpfs")
    house = House(root, tmp_path / "export" / ".rsync")
    (tmp_path / "export").mkdir()
    house.dump("vm1", FOLDER)
    failed(house, "EXDEV", "vm1")


def test_a_tree_that_cannot_be_made_is_a_fault_of_all(tmp_path: Path, mount: Mount) -> None:
    (tmp_path / "export").mkdir()
    house = House(tmp_path, mount("bind", "ro", source=tmp_path / "export") / ".rsync")
    house.dump("vm1")
    with pytest.raises(FaultError, match="EROFS: "):
        house.publish(house.request("vm1"))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
@pytest.mark.parametrize("old", [b"old", FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("new", [b"new", {"disk0": b"new"}], ids=["file", "folder"])
def test_a_filesystem_without_the_newer_renames_does_as_well(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    old: Content,
    new: Content,
    number: int,
) -> None:
    def renameat2(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(rename, "_renameat2", renameat2)
    house.dump("old", old)
    house.dump("new", new)
    house.released("old", "vm1")
    taken = house.not_published(house.request("new", "vm1"), Reason.LINK_ERROR)
    assert taken.detail.startswith("EEXIST: ")
    recorded = house.released("new", "vm1", may_replace=True)
    assert house.export.presence("vm1", recorded) is Presence.INTACT
    assert house.staged() == []
    assert house.export.withdraw("vm1", recorded)
    assert house.visible() == set()


def test_a_disk_that_fails_in_the_midst_of_a_look_is_told_with_the_tree(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make torture` found it: the tree was opened, and its entries could not be read."""
    house.dump("vm1")
    house.released("vm1")

    def fail(_folder: int) -> list[str]:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("policy.export.tree.os.listdir", fail)
    with pytest.raises(FaultError, match=rf"{house.tree}: EIO: the disk or its filesystem reports an error"):
        house.export.entries()
