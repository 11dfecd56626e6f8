"""Evidence `read`: the kernel's record of a read after the link, and nothing that only looks like one."""

import os
import subprocess
from pathlib import Path

import pytest

from core.fs.fingerprint import Identity
from policy.export import Published
from tests.export.house import Content, House, at
from tests.mounts import Mount, mount

__all__ = ["mount"]  # the fixture

FOLDER = {"disk0": b"zero", "disk1": b"one", "empty": b""}
CONTENTS = pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])


def file_of(path: Path) -> Path:
    return path if path.is_file() else path / "disk1"


def read(path: Path) -> None:
    subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)


def wait_for_the_next_tick(house: House, ctime_ns: int) -> None:
    """The kernel stamps by ticks of some milliseconds; a read within the link's own tick cannot be told from it."""
    probe = house.source / "probe"
    while True:
        probe.touch()
        if probe.stat().st_mtime_ns > ctime_ns:
            return


def published(house: House, path: str, *, may_replace: bool = False) -> tuple[Identity, int]:
    request = house.request(path, may_replace=may_replace)
    [outcome] = house.publish(request)
    assert isinstance(outcome, Published)
    wait_for_the_next_tick(house, outcome.ctime_ns)
    return request.identity, outcome.ctime_ns


@CONTENTS
def test_a_link_counts_as_read_when_each_file_with_content_was_read(mount: Mount, content: Content) -> None:
    house = House(mount("tmpfs"))
    read(file_of(house.dump("vm1", content)))  # before it was let out: that is no storage
    recorded, ctime_ns = published(house, "vm1")
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) is None
    files = [file_of(house.tree / "vm1")]
    if not isinstance(content, bytes):
        read(files[0])
        assert house.export.read_since_linked("vm1", recorded, ctime_ns) is None  # only a part of it
        files = [house.tree / "vm1" / "disk0"]
    read(files[0])
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) == files[0].stat().st_atime_ns / 1e9


@CONTENTS
def test_a_read_is_not_forgotten_when_the_ctime_moves_for_another_reason(mount: Mount, content: Content) -> None:
    """A second hard link, a chmod: the ctime of the link is what counts, not that of now."""
    house = House(mount("tmpfs"))
    dump = house.dump("vm1", content)
    recorded, ctime_ns = published(house, "vm1")
    for file in [dump] if dump.is_file() else dump.iterdir():
        read(file)
    wait_for_the_next_tick(house, file_of(dump).stat().st_atime_ns)
    os.link(file_of(dump), house.source / "again")
    file_of(dump).chmod(0o600)
    assert file_of(dump).stat().st_ctime_ns > file_of(dump).stat().st_atime_ns
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) is not None


def test_a_link_made_again_must_be_read_again(mount: Mount) -> None:
    house = House(mount("tmpfs"))
    house.dump("vm1")
    published(house, "vm1")
    read(house.tree / "vm1")
    recorded, ctime_ns = published(house, "vm1", may_replace=True)
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) is None


def test_an_access_time_in_the_future_is_no_read(mount: Mount) -> None:
    """Whoever owns a dump can set it."""
    house = House(mount("tmpfs"))
    dump = house.dump("vm1")
    os.utime(dump, ns=(2**62, dump.stat().st_mtime_ns))
    request = house.request("vm1")
    [outcome] = house.publish(request)
    assert isinstance(outcome, Published)
    assert house.export.read_since_linked("vm1", request.identity, outcome.ctime_ns) is None


def test_nor_is_it_one_of_a_link_whose_outcome_was_lost(mount: Mount) -> None:
    """It was read while the clock was wrong, perhaps before it was linked: a read that comes later still counts."""
    house = House(mount("tmpfs"))
    dump = house.dump("vm1")
    recorded, _ = published(house, "vm1")
    ahead = dump.stat().st_ctime_ns + 3600 * 10**9
    os.utime(dump, ns=(ahead, dump.stat().st_mtime_ns))
    ctime_ns = house.export.linked_ctime("vm1", recorded)
    assert ctime_ns is not None
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) is None
    os.utime(dump, ns=(ahead + 1, dump.stat().st_mtime_ns))
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) is not None


def test_a_link_that_replaced_another_counts_from_the_moment_it_was_visible(house: House) -> None:
    """The rename moves the ctime once more, and the kernel records only a read that comes after it."""
    dump = house.dump("vm1")
    house.dump("old")
    house.released("old", "vm1")
    with at("before rename", lambda: wait_for_the_next_tick(house, dump.stat().st_ctime_ns)):
        _, ctime_ns = published(house, "vm1", may_replace=True)
    assert ctime_ns == (house.tree / "vm1").stat().st_ctime_ns


def test_a_link_that_was_rewritten_is_not_held_to_be_read(mount: Mount) -> None:
    house = House(mount("tmpfs"))
    dump = house.dump("vm1")
    recorded, ctime_ns = published(house, "vm1")
    read(house.tree / "vm1")
    dump.write_bytes(b"rewritten in place")
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) is None


def test_on_a_mount_that_shows_no_reads_nothing_counts_as_read(tmp_path: Path, mount: Mount) -> None:
    house = House(mount("bind", "noatime", source=tmp_path))
    house.dump("vm1")
    recorded, ctime_ns = published(house, "vm1")
    read(house.tree / "vm1")
    assert house.export.read_since_linked("vm1", recorded, ctime_ns) is None


def test_a_link_whose_outcome_was_lost_still_knows_when_it_was_linked(mount: Mount) -> None:
    house = House(mount("tmpfs"))
    house.dump("vm1", FOLDER)
    recorded, ctime_ns = published(house, "vm1")
    assert house.export.linked_ctime("vm1", recorded) == ctime_ns
    for name in ("disk0", "disk1"):
        read(house.tree / "vm1" / name)
    assert house.export.linked_ctime("vm1", recorded) == ctime_ns
