"""A dump that is not exactly what was recorded, or not safe, or still being written, is refused and leaves no trace."""

import mmap
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.fs.fingerprint import Identity, Member
from core.reasons import Reason
from policy.export import Published, check_all
from tests.export.house import Content, House, at, inode
from tests.real_parts import needs_root

FOLDER = {"disk0": b"zero", "sub/disk1": b"one"}


def grow(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"more")


def rewrite_in_place(file: Path) -> None:
    file.write_bytes(file.read_bytes()[::-1])


def write_anew(file: Path) -> None:
    content = file.read_bytes()
    status = file.stat()
    file.with_name("new").write_bytes(content)
    os.utime(file.with_name("new"), ns=(status.st_atime_ns, status.st_mtime_ns))
    file.with_name("new").rename(file)


@pytest.mark.parametrize("change", [grow, rewrite_in_place, write_anew])
@pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])
def test_a_dump_that_is_not_the_recorded_one_has_changed(
    house: House, content: Content, change: Callable[[Path], None]
) -> None:
    """Also when it is as long as before, and also when another file took its name, content, size and times."""
    dump = house.dump("vm1", content)
    request = house.request("vm1")
    change(dump if dump.is_file() else dump / "sub/disk1")
    house.refused(request, Reason.CHANGED)


def test_a_folder_with_one_file_more_or_less_has_changed(house: House) -> None:
    dump = house.dump("vm1", FOLDER)
    request = house.request("vm1")
    (dump / "sub/late").write_bytes(b"late")
    assert "sub/late was not there" in house.refused(request, Reason.CHANGED).detail
    (dump / "sub/late").rename(dump / "sub/disk1")
    (dump / "sub/disk1").unlink()
    assert "sub/disk1 is not there any more" in house.refused(request, Reason.CHANGED).detail


def test_a_file_that_is_a_folder_now_and_a_folder_that_is_a_file_have_changed(house: House) -> None:
    house.dump("vm1")
    house.dump("vm2", FOLDER)
    requests = [house.request("vm1"), house.request("vm2")]
    (house.source / "vm1").rename(house.source / "away")
    (house.source / "vm2").rename(house.source / "vm1")
    (house.source / "away").rename(house.source / "vm2")
    for request in requests:
        house.refused(request, Reason.CHANGED)


def test_a_dump_that_is_gone_is_missing(house: House) -> None:
    for path in ("vm1", "vm2/disk", "a/vm3"):
        house.dump(path)
    requests = [house.request(path) for path in ("vm1", "vm2", "a/vm3")]
    for path in ("vm1", "vm2", "a"):
        (house.source / path).rename(house.source.parent / path)
    for request in requests:
        house.refused(request, Reason.MISSING)


def test_a_dump_that_goes_at_the_last_instant_is_missing(house: House) -> None:
    dump = house.dump("vm1")
    request = house.request("vm1")
    with at("before link", dump.unlink):
        house.not_published(request, Reason.MISSING)


def test_a_symbolic_link_is_unsafe_wherever_it_stands(house: House, tmp_path: Path) -> None:
    """As the dump, as a file or folder in it, and as a part of its path: each points to what it replaced."""
    cases = {"vm1": "vm1", "vm2": "vm2", "vm3/disk0": "vm3", "vm4/sub": "vm4", "a/b": "a/b/vm5"}
    house.dump("vm1")
    for name in ("vm2", "vm3", "vm4"):
        house.dump(name, FOLDER)
    house.dump("a/b/vm5")
    for number, (place, path) in enumerate(cases.items()):
        request = house.request(path)
        hidden = (house.source / place).rename(tmp_path / f"hidden{number}")
        (house.source / place).symlink_to(hidden)
        house.refused(request, Reason.UNSAFE)


def test_a_symbolic_link_or_special_file_that_joined_a_folder_makes_it_unsafe(house: House) -> None:
    dump = house.dump("vm1", FOLDER)
    request = house.request("vm1")
    (dump / "sub/late").symlink_to("/etc/passwd")
    house.refused(request, Reason.UNSAFE)
    (dump / "sub/late").unlink()
    os.mkfifo(dump / "sub/late")
    house.refused(request, Reason.UNSAFE)


@pytest.mark.parametrize("path", ["../vm1", "/vm1/../vm1", "a/../vm1", "a//vm1", ".", "..", "", "a/", "/etc/passwd"])
def test_a_path_that_does_not_lead_straight_down_is_unsafe(house: House, path: str) -> None:
    house.dump("vm1")
    (house.source / "a").mkdir()
    house.refused(house.request(path, "vm1", identity=house.identity("vm1")), Reason.UNSAFE)


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device", "setuid", "setgid", "stranger"])
def test_what_is_no_plain_file_of_an_owner_is_unsafe(house: House, kind: str) -> None:
    """Recorded as it is now, so that nothing else is wrong with it; nor does the look wait for a FIFO."""
    dump = house.dump("vm1")
    if kind in {"FIFO", "socket", "device"}:
        dump.unlink()
    if kind == "FIFO":
        os.mkfifo(dump)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(dump))
    elif kind == "device":
        needs_root("making a device")
        os.mknod(dump, 0o660 | 0o20000, os.makedev(1, 3))
    elif kind == "stranger":
        needs_root("giving files away")
        os.chown(dump, 4711, 4711)
    else:
        dump.chmod(0o4755 if kind == "setuid" else 0o2755)
    status = dump.lstat()
    identity = Identity(False, (Member("", status.st_ino, status.st_size, status.st_mtime_ns),))
    house.refused(house.request("vm1", identity=identity), Reason.UNSAFE)


@pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])
def test_a_second_name_is_unsafe_only_where_the_admin_is_strict(house: House, content: Content) -> None:
    """People rotate by hard link; and whoever can write beside the dumps may plant a name of root's file."""
    dump = house.dump("vm1", content)
    os.link(dump if dump.is_file() else dump / "sub/disk1", house.source / "planted")
    strict = replace(house.request("vm1"), most_names=1)
    assert "has 2 names" in house.not_published(strict, Reason.UNSAFE).detail
    [checked] = check_all([(house.source, "vm1", strict.identity)], {0: 1})
    assert checked is not None
    assert checked.reason is Reason.UNSAFE
    house.released("vm1")


def test_a_file_of_the_folders_owner_may_leave(house: House) -> None:
    needs_root("giving files away")
    dump = house.dump("vm1")
    os.chown(house.source, 4711, 4711)
    os.chown(dump, 4711, 4711)
    house.released("vm1")


@pytest.mark.parametrize("content", [b"dump", FOLDER], ids=["file", "folder"])
def test_a_dump_that_is_open_for_writing_waits(house: House, content: Content) -> None:
    dump = house.dump("vm1", content)
    file = dump if dump.is_file() else dump / "sub/disk1"
    request = house.request("vm1")
    with file.open("r+b"):
        house.refused(request, Reason.OPEN)
    house.released("vm1")


def test_a_dump_that_is_still_mapped_for_writing_waits(house: House) -> None:
    dump = house.dump("vm1")
    request = house.request("vm1")
    with dump.open("r+b") as stream:
        mapped = mmap.mmap(stream.fileno(), 0)
    house.refused(request, Reason.OPEN)
    mapped.close()
    house.released("vm1")


def test_a_dump_that_is_open_for_reading_leaves(house: House) -> None:
    dump = house.dump("vm1")
    with dump.open("rb"):
        house.released("vm1")


def test_looking_and_linking_leave_no_trace_of_reading(house: House) -> None:
    dump = house.dump("vm1")
    os.utime(dump, ns=(1, dump.stat().st_mtime_ns))
    request = house.request("vm1")
    assert check_all([(request.source, request.path, request.identity)])[0] is None
    house.publish(request)
    house.export.presence("vm1", request.identity)
    house.export.entries()
    assert dump.stat().st_atime_ns == 1


def test_a_writer_who_comes_while_the_link_is_made_waits_for_it_and_hurts_nobody(house: House) -> None:
    """The kernel tells the holder of a lease by a signal, and the usual one would end the process."""
    dump = house.dump("vm1")
    writer = "import sys; sys.stdin.readline(); open(sys.argv[1], 'r+b').close()"
    with subprocess.Popen([sys.executable, "-c", writer, str(dump)], stdin=subprocess.PIPE) as process:
        stdin = process.stdin
        assert stdin is not None

        def come() -> None:
            stdin.write(b"now\n")
            stdin.flush()
            wait_until_the_lease_is_broken(dump)

        with at("before link", come):
            house.released("vm1")
    assert process.returncode == 0


def wait_until_the_lease_is_broken(file: Path) -> None:
    for _ in range(2_000):
        leases = [line for line in Path("/proc/locks").read_text().splitlines() if "LEASE" in line]
        if any("BREAKING" in line and f":{inode(file)} " in line for line in leases):
            return
        time.sleep(0.005)
    pytest.fail("the writer never came to wait for the lease")


def test_a_swap_at_the_last_instant_does_not_change_what_is_linked(house: House, tmp_path: Path) -> None:
    """The link is of the descriptor: what took the name in between is never let out."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret")
    dump = house.dump("vm1")
    request = house.request("vm1")

    def swap() -> None:
        dump.rename(tmp_path / "moved")
        dump.symlink_to(secret)

    with at("before link", swap):
        assert isinstance(house.publish(request)[0], Published)
    assert inode(house.tree / "vm1") == request.identity.members[0].inode


def test_a_part_of_the_path_swapped_after_the_check_is_unsafe(house: House, tmp_path: Path) -> None:
    house.dump("a/vm1")
    request = house.request("a/vm1")
    assert check_all([(request.source, request.path, request.identity)])[0] is None
    (house.source / "a").rename(tmp_path / "a")
    (house.source / "a").symlink_to(tmp_path / "a")
    house.refused(request, Reason.UNSAFE)


def test_a_rewrite_at_the_last_instant_is_seen_and_the_link_taken_back(house: House) -> None:
    """Where no lease holds the writer off, what was made is compared once more."""
    dump = house.dump("vm1")
    request = house.request("vm1")
    with at("after link", lambda: os.utime(dump, ns=(1, 1))):
        house.not_published(request, Reason.CHANGED)
    assert dump.stat().st_nlink == 1
