"""`publish = "reflink"`: a copy that shares the dump's blocks, and that nobody who rewrites the dump reaches."""

import errno
import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.enums import Publish
from core.fs import rename
from core.fs.fingerprint import Identity
from core.reasons import Reason
from policy.export import LinkFailure, LinkRequest, Presence, Published
from tests.export.house import Content, House, at, inode, mode
from tests.export.test_read import read, wait_for_the_next_tick
from tests.mounts import Mount, mount
from tests.real_parts import needs_root
from tests.users import NOBODY, as_nobody, open_the_way

__all__ = ["mount"]  # the fixture

FOLDER = {"disk0": b"zero", "sub/disk1": b"one"}
CONTENTS = pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])


@pytest.fixture(params=["xfs", "btrfs"])
def house(request: pytest.FixtureRequest, mount: Mount) -> House:
    return House(mount(request.param))


def request(house: House, path: str, export_name: str | None = None, *, may_replace: bool = False) -> LinkRequest:
    return replace(house.request(path, export_name, may_replace=may_replace), publish=Publish.REFLINK)


def copied(house: House, path: str, export_name: str | None = None, *, may_replace: bool = False) -> Published:
    [outcome] = house.publish(request(house, path, export_name, may_replace=may_replace))
    assert isinstance(outcome, Published), outcome
    return outcome


def copy_of(outcome: Published) -> Identity:
    assert outcome.copy is not None
    return outcome.copy


def files(dump: Path) -> list[Path]:
    return [dump] if dump.is_file() else [dump / name for name in FOLDER]


@CONTENTS
def test_a_copy_has_all_but_the_inodes_of_its_dump_and_outlives_its_rewriting(house: House, content: Content) -> None:
    dump = house.dump("vm1", content)
    for file in files(dump):
        file.chmod(0o640)
        os.utime(file, ns=(1, 1_234_567_890_123_456_789))
    recorded = house.identity("vm1")
    copy = copy_of(copied(house, "vm1"))
    assert copy.is_copy_of(recorded)
    link = house.tree / "vm1"
    for original, file in zip(files(dump), files(link), strict=True):
        assert inode(original) != inode(file)
        assert original.read_bytes() == file.read_bytes()
        assert (mode(file), file.stat().st_mtime_ns) == (0o640, 1_234_567_890_123_456_789)
    before = [file.read_bytes() for file in files(link)]
    for file in files(dump):
        file.write_bytes(b"rewritten in place")
    assert [file.read_bytes() for file in files(link)] == before
    assert house.export.presence("vm1", copy) is Presence.INTACT
    assert house.staged() == []


def test_a_copy_takes_no_room(house: House) -> None:
    house.dump("vm1", os.urandom(8 << 20))
    os.sync()
    before = os.statvfs(house.source).f_bavail * os.statvfs(house.source).f_frsize
    copied(house, "vm1")
    os.sync()
    assert before - os.statvfs(house.source).f_bavail * os.statvfs(house.source).f_frsize < 2 << 20


@CONTENTS
def test_a_copy_is_taken_back_and_its_dump_stays(house: House, content: Content) -> None:
    dump = house.dump("vm1", content)
    copy = copy_of(copied(house, "vm1"))
    files(house.tree / "vm1")[0].write_bytes(b"somebody wrote into the tree")
    assert house.export.presence("vm1", copy) is Presence.CHANGED
    assert house.export.withdraw("vm1", copy)
    assert house.visible() == set()
    assert all(file.exists() for file in files(dump))


@pytest.mark.parametrize("old", [b"old", FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("new", [b"new", {"disk0": b"newer", "more/disk": b"more"}], ids=["by a file", "by a folder"])
@pytest.mark.parametrize("was", [Publish.HARDLINK, Publish.REFLINK])
def test_a_copy_takes_the_place_of_what_has_ended(house: House, old: Content, new: Content, was: Publish) -> None:
    house.dump("old", old)
    house.dump("new", new)
    house.publish(replace(house.request("old", "vm1"), publish=was))
    seen = []
    with at("before rename", lambda: seen.append((house.tree / "vm1").exists())):
        copy = copy_of(copied(house, "new", "vm1", may_replace=True))
    assert seen == [True]
    assert house.export.presence("vm1", copy) is Presence.INTACT
    assert house.staged() == []


def test_a_copy_that_stands_already_is_known_again_and_not_touched(house: House) -> None:
    house.dump("vm1", FOLDER)
    assert copied(house, "vm1") == copied(house, "vm1")


@CONTENTS
def test_a_read_of_the_copy_is_evidence_and_a_read_of_the_dump_is_not(house: House, content: Content) -> None:
    dump = house.dump("vm1", content)
    outcome = copied(house, "vm1")
    copy = copy_of(outcome)
    wait_for_the_next_tick(house, outcome.ctime_ns)
    for file in files(dump):
        read(file)
    assert house.export.read_since_linked("vm1", copy, outcome.ctime_ns) is None
    for file in files(house.tree / "vm1"):
        read(file)
    assert house.export.read_since_linked("vm1", copy, outcome.ctime_ns) is not None


def test_copying_leaves_no_trace_of_reading(house: House) -> None:
    dump = house.dump("vm1")
    os.utime(dump, ns=(1, dump.stat().st_mtime_ns))
    outcome = copied(house, "vm1")
    house.export.presence("vm1", copy_of(outcome))
    assert dump.stat().st_atime_ns == (house.tree / "vm1").stat().st_atime_ns == 1


def test_a_rewrite_while_the_copy_is_made_is_seen_and_nothing_stands(house: House) -> None:
    """Where no lease holds the writer off."""
    dump = house.dump("vm1", FOLDER)
    wanted = request(house, "vm1")

    def touch() -> None:
        for file in files(dump):
            os.utime(file, ns=(1, 1))

    with at("after link", touch):
        house.not_published(wanted, Reason.CHANGED)


def test_a_dump_that_no_hard_link_could_be_made_of_is_copied(house: House) -> None:
    dump = house.dump("vm1")
    subprocess.run(["chattr", "+i", dump], check=True)
    copied(house, "vm1")
    subprocess.run(["chattr", "-i", dump], check=True)


def test_who_may_not_read_the_dump_is_told_so(house: House) -> None:
    needs_root("becoming another user")
    house.dump("vm1").chmod(0o600)
    house.source.chmod(0o777)
    open_the_way(house.source)
    wanted = request(house, "vm1")
    with as_nobody():
        failure = house.not_published(wanted, Reason.LINK_ERROR)
    assert failure.detail.startswith("EACCES: ")
    assert "a hard link needs no read" in failure.detail


def test_a_service_that_cannot_give_the_copy_away_keeps_it(house: House) -> None:
    needs_root("becoming another user")
    house.dump("vm1").chmod(0o644)
    house.source.chmod(0o777)
    open_the_way(house.source)
    with as_nobody():
        copied(house, "vm1")
    status = (house.tree / "vm1").stat()
    assert (status.st_uid, mode(house.tree / "vm1")) == (NOBODY, 0o644)


def access_list(user: int, owner: int = 6) -> bytes:
    """The owner has these rights, this user may read, the group may not; as the kernel keeps it."""
    entries = [(0x01, owner, -1), (0x02, 4, user), (0x04, 0, -1), (0x10, 4, -1), (0x20, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


@CONTENTS
def test_an_access_list_goes_along_and_opens_nothing_to_the_group(house: House, content: Content) -> None:
    """The group's bits of the mode are the list's mask: without the list they would let the group in."""
    dump = house.dump("vm1", content)
    inside = dump if dump.is_file() else dump / "sub"
    os.setxattr(inside, "system.posix_acl_access", access_list(4711))
    copied(house, "vm1")
    made = house.tree / "vm1" / inside.relative_to(dump)
    assert os.getxattr(made, "system.posix_acl_access") == access_list(4711, owner=7 if made.is_dir() else 6)


def test_a_dump_without_copy_on_write_is_copied_on_btrfs(mount: Mount) -> None:
    """As libvirt makes them there (chattr +C): btrfs shares blocks only between files of one kind."""
    house = House(mount("btrfs"))
    dump = house.dump("vm1", b"")
    subprocess.run(["chattr", "+C", dump], check=True)
    dump.write_bytes(b"dump")
    copied(house, "vm1")
    assert (house.tree / "vm1").read_bytes() == b"dump"


def test_a_tree_in_another_subvolume_takes_copies(mount: Mount) -> None:
    """It takes no hard links."""
    disk = mount("btrfs")
    subprocess.run(["btrfs", "-q", "subvolume", "create", disk / "export"], check=True)
    house = House(disk, disk / "export" / ".rsync")
    house.dump("vm1", FOLDER)
    copied(house, "vm1")


def test_a_filesystem_that_makes_no_reflinks_is_told_as_such_and_keeps_nothing(mount: Mount) -> None:
    house = House(mount("ext4"))
    house.dump("vm1")
    house.dump("vm2", FOLDER)
    for name in ("vm1", "vm2"):
        failure = house.not_published(request(house, name), Reason.LINK_ERROR)
        assert failure.detail.startswith("ENOTSUP: the filesystem makes no reflinks here")
        assert "btrfs" in failure.detail


@CONTENTS
def test_a_copy_that_cannot_be_made_lasting_does_not_appear(
    house: House, monkeypatch: pytest.MonkeyPatch, content: Content
) -> None:
    house.dump("vm1", content)
    wanted = request(house, "vm1")
    house.tree.mkdir()
    house.staging.mkdir(mode=0o700)

    def fsync(descriptor: int) -> None:
        if not os.path.samestat(os.fstat(descriptor), house.tree.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    [outcome] = house.publish(wanted)
    assert isinstance(outcome, LinkFailure)
    assert outcome.proven_absent
    assert house.visible() == set()


def test_a_copy_whose_tree_may_not_last_is_in_doubt(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.dump("vm1")
    wanted = request(house, "vm1")
    house.tree.mkdir()
    real: Callable[[int], None] = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), house.tree.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    [outcome] = house.publish(wanted)
    assert isinstance(outcome, LinkFailure)
    assert not outcome.proven_absent


def test_the_number_of_the_call_is_the_kernels() -> None:
    """_IOW(0x94, 9, int) of <linux/fs.h>."""
    assert rename._FICLONE == (1 << 30) | (4 << 16) | (0x94 << 8) | 9
