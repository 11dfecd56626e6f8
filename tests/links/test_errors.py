"""Every errno has its own sentence with the cause, one failure stops no other, and a doubt keeps the charge."""

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from policy.links import LinkFailure, Presence, Published
from policy.links.sentences import explain
from tests.links.house import Content, House, cannot, needs_root
from tests.mounts import Mount, mount
from tests.users import NOBODY, as_nobody, open_the_way
from tidegate import renames
from tidegate.errors import FaultError
from tidegate.terms import Reason

__all__ = ["mount"]  # the fixture

FOLDER = {"disk0": b"zero", "sub/disk1": b"one"}


@pytest.fixture
def ext4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small ext4 of its own: what the machine's own filesystem can do is not known."""
    needs_root("mounting")
    image = tmp_path_factory.mktemp("ext4") / "image"
    point = tmp_path_factory.mktemp("mounted")
    with image.open("wb") as stream:
        stream.truncate(24_000_000)
    for command in (f"mkfs.ext4 -q -m 0 -N 128 {image}".split(), f"mount -o loop {image} {point}".split()):
        if shutil.which(command[0]) is None or subprocess.run(command, check=False).returncode != 0:
            cannot(f"{command[0]} fails")
    yield point
    subprocess.run(["umount", "--lazy", point], check=True)


def failed(house: House, errno_name: str, *paths: str) -> None:
    """Each dump fails with this errno, and without a trace."""
    for path in paths:
        failure = house.not_published(house.request(path), Reason.LINK_ERROR)
        assert failure.detail.startswith(f"{errno_name}: "), failure


def until_it_fails(act: Callable[[str], None]) -> int | None:
    """Does it under one name after another. Returns the errno that ended it."""
    for number in range(70_000):
        try:
            act(str(number))
        except OSError as error:
            return error.errno
    return None


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


def test_another_filesystem_is_told_as_such(tmp_path: Path, mount: Mount) -> None:
    house = House(tmp_path, mount("tmpfs") / ".rsync")
    house.dump("vm1")
    house.dump("vm2", FOLDER)
    failed(house, "EXDEV", "vm1", "vm2")


def test_a_bind_mount_of_the_same_filesystem_is_told_as_the_trap_it_is(tmp_path: Path, mount: Mount) -> None:
    (tmp_path / "export").mkdir()
    house = House(tmp_path, mount("bind", source=tmp_path / "export") / ".rsync")
    house.dump("vm1")
    assert house.source.stat().st_dev == house.tree.parent.stat().st_dev
    failed(house, "EXDEV", "vm1")


def test_a_tree_that_is_a_mount_of_its_own_takes_files_and_says_why_it_takes_no_folder(
    tmp_path: Path, mount: Mount
) -> None:
    """Staging beside it is then in another place for the kernel."""
    root = mount("tmpfs")
    house = House(root, tmp_path / "export" / ".rsync")
    (tmp_path / "export").mkdir()
    house.dump("vm1", FOLDER)
    failed(house, "EXDEV", "vm1")


def test_a_read_only_tree_is_told_as_such(tmp_path: Path, mount: Mount) -> None:
    (tmp_path / "export" / ".rsync").mkdir(parents=True)
    (tmp_path / "export" / ".rsync.staging").mkdir(mode=0o700)
    house = House(tmp_path, mount("bind", "ro", source=tmp_path / "export") / ".rsync")
    house.dump("vm1")
    [outcome] = house.publish(house.request("vm1"))
    assert isinstance(outcome, LinkFailure)
    assert outcome.detail.partition(":")[0] in {"EROFS", "EXDEV"}


def test_a_tree_that_cannot_be_made_is_a_fault_of_all(tmp_path: Path, mount: Mount) -> None:
    (tmp_path / "export").mkdir()
    house = House(tmp_path, mount("bind", "ro", source=tmp_path / "export") / ".rsync")
    house.dump("vm1")
    with pytest.raises(FaultError, match="EROFS: "):
        house.publish(house.request("vm1"))


def test_a_full_filesystem_is_told_as_such_and_what_fits_still_leaves(ext4: Path) -> None:
    """No inode is left for the folders; a file's link needs none."""
    house = House(ext4)
    house.dump("vm1", FOLDER)
    house.dump("vm2")
    house.let_out("vm2", "first")
    requests = [house.request("vm1"), house.request("vm2")]
    assert until_it_fails(lambda name: (ext4 / name).touch()) == errno.ENOSPC
    no_space, fits = house.publish(*requests)
    assert isinstance(no_space, LinkFailure)
    assert no_space.detail.startswith("ENOSPC: ")
    assert no_space.proven_absent
    assert isinstance(fits, Published)
    assert house.staged() == []


def test_an_immutable_dump_is_told_as_such(ext4: Path) -> None:
    house = House(ext4)
    dump = house.dump("vm1")
    subprocess.run(["chattr", "+i", dump], check=True)
    failed(house, "EPERM", "vm1")


def test_an_immutable_tree_is_told_as_such(ext4: Path) -> None:
    house = House(ext4)
    house.dump("vm1")
    house.dump("vm2", FOLDER)
    house.tree.mkdir()
    subprocess.run(["chattr", "+i", house.tree], check=True)
    failed(house, "EPERM", "vm1", "vm2")


def test_too_many_links_of_one_file_are_told_as_such(ext4: Path) -> None:
    house = House(ext4)
    dump = house.dump("vm1")
    (ext4 / "links").mkdir()
    assert until_it_fails(lambda name: os.link(dump, ext4 / "links" / name)) == errno.EMLINK
    failed(house, "EMLINK", "vm1")


def test_protected_hardlinks_is_named_where_it_refuses_the_link(house: House) -> None:
    """A service that is not root, and dumps that are: it may read them and not link them."""
    needs_root("becoming another user")
    if Path("/proc/sys/fs/protected_hardlinks").read_text() != "1\n":
        cannot("fs.protected_hardlinks is off")
    house.dump("vm1").chmod(0o644)
    house.tree.parent.chmod(0o777)
    open_the_way(house.source)
    with as_nobody():
        [outcome] = house.publish(house.request("vm1"))
    assert isinstance(outcome, LinkFailure)
    assert outcome.detail.startswith("EPERM: ")
    assert "protected_hardlinks" in outcome.detail


def test_what_may_not_be_reached_or_written_is_told_as_such(house: House) -> None:
    """A dump's folder that is closed to us, and a tree that belongs to somebody else."""
    needs_root("becoming another user")
    house.dump("a/vm1")
    os.chown(house.dump("vm2"), NOBODY, NOBODY)
    os.chown(house.source, NOBODY, NOBODY)
    requests = [house.request("a/vm1"), house.request("vm2")]
    house.tree.mkdir(mode=0o755)
    (house.source / "a").chmod(0o700)
    open_the_way(house.source)
    with as_nobody():
        outcomes = house.publish(*requests)
    for outcome in outcomes:
        assert isinstance(outcome, LinkFailure)
        assert outcome.detail.startswith("EACCES: ")


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

    monkeypatch.setattr(renames, "_renameat2", renameat2)
    house.dump("old", old)
    house.dump("new", new)
    house.let_out("old", "vm1")
    taken = house.not_published(house.request("new", "vm1"), Reason.LINK_ERROR)
    assert taken.detail.startswith("EEXIST: ")
    recorded = house.let_out("new", "vm1", may_replace=True)
    assert house.export.look("vm1", recorded) is Presence.STANDS
    assert house.staged() == []
    assert house.export.withdraw("vm1", recorded)
    assert house.visible() == set()
