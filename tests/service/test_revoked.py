"""A dump that is written into after it was let out goes from the export tree when that begins, not at the next pass."""

import mmap
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.enums import LinkState
from core.state import ledger
from core.state.database import State
from tests.host import Host, reasons
from tests.service.running import service
from tests.waiting import until

#: Seconds from before the first byte until the link is gone; a machine that does nothing else takes a thirtieth of it.
SOON = 10.0

Write = Callable[[Path], object]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Its scans come once an hour: what is seen sooner is told by an event."""
    return Host(tmp_path / "host", watch={"scan_interval": "1h"})


def states(host: Host) -> dict[str, LinkState]:
    """Export name -> the state of its newest link."""
    state = State(host.state)
    with state.read() as connection:
        day = ledger.open_day(connection)
        assert day is not None
        found = {os.fsdecode(link.export_name): link.state for link in ledger.of_day(connection, day.number)}
    state.close()
    return found


@contextmanager
def guarded(host: Host) -> Iterator[None]:
    """While the service runs and hears the tree: it has taken back something that was written into."""
    canary = host.dump("canary.img", 1)
    host.run("pass")
    with service(host):
        canary.write_bytes(b"changed")
        goes(host, "canary.img")
        yield


def goes(host: Host, name: str) -> None:
    until(lambda: not os.path.lexists(host.tree / name), f"{name} still stands")


def goes_soon(host: Host, name: str, begun: float) -> None:
    goes(host, name)
    assert time.monotonic() - begun < SOON


# --- each way to write


def truncate(path: Path) -> None:
    """As ``>`` does it."""
    path.open("wb").close()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def one_byte_of_many(path: Path) -> subprocess.Popen[bytes]:
    """The writer keeps it open and is far from done."""
    script = "import sys, time; f = open(sys.argv[1], 'r+b', 0); f.write(b'!'); time.sleep(600)"
    return subprocess.Popen(["python3", "-c", script, path])


def through_a_mapping(path: Path) -> None:
    """No event tells of the writing; one tells that the file is closed."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[3:4] = bytes([mapped[3] ^ 1])


def convert(path: Path) -> None:
    """As hypervisors do it: over what stands, with direct writes of their own threads."""
    source = path.parent.parent / "source.raw"
    source.write_bytes(os.urandom(1 << 20))
    command: list[str | Path] = ["qemu-img", "convert", "-n", "-t", "none", "-f", "raw", "-O", "raw", source, path]
    subprocess.run(command, check=True, capture_output=True)


def test_a_link_goes_when_its_dump_begins_to_be_rewritten(host: Host) -> None:
    """Whichever way it is written; its dump waits as ``changed``, and nothing else goes."""
    host.configure(daily=1 << 24, watch={"scan_interval": "1h"})
    ways: list[Write] = [truncate, append, one_byte_of_many, through_a_mapping, convert]
    dumps = [host.dump(f"vm{number}.img", 1 << 20) for number in range(len(ways))]
    host.dump("untouched.img", 1000)
    with guarded(host):
        for write, path in zip(ways, dumps, strict=True):
            begun = time.monotonic()
            writer = write(path)
            try:
                goes_soon(host, path.name, begun)
            finally:
                if isinstance(writer, subprocess.Popen):
                    writer.kill()
                    writer.wait()
            until(lambda name=path.name: states(host)[name] is LinkState.CHANGED)  # type: ignore[misc]
    assert set(host.exported()) == {"untouched.img"}
    decided = reasons(host.json("plan"))
    assert {decided[path.name] for path in dumps} <= {"changed", "verify_failed"}


def test_a_folder_goes_whole_when_any_of_its_files_is_written_into(host: Host) -> None:
    """A half of a VM is no dump."""
    path = host.dump("vm1", {"config": 10, "disks/0": 100, "disks/deep/1": 100})
    with guarded(host):
        begun = time.monotonic()
        append(path / "disks/deep/1")
        goes_soon(host, "vm1", begun)


def test_a_confirmed_link_goes_too_and_the_copy_stays_known(host: Host) -> None:
    """A half-written copy is worse than none; what the storage has is not forgotten."""
    vm1 = host.dump("vm1.img", 100)
    with guarded(host):
        host.run("synced", "--all")
        append(vm1)
        goes(host, "vm1.img")
    [vm] = [one for one in host.json("status")["vms"] if one["vm"] == "vm1"]
    assert vm["offsite_by"] == "report"


# --- which links


def test_what_a_pass_lets_out_while_the_service_runs_is_guarded_at_once(host: Host) -> None:
    """Also where it takes the place of another link."""
    with guarded(host):
        first = host.dump("vm1.img", 100)
        host.run("pass")
        host.run("synced", "--all")
        second = host.dump("vm1.img", 200)
        host.run("pass")
        assert os.path.samefile(second, host.tree / "vm1.img")
        assert first == second, "the same name, another file"
        append(second)
        goes(host, "vm1.img")


def test_a_tree_that_is_made_while_the_service_runs_is_guarded(host: Host) -> None:
    """The first pass ever makes it."""
    vm1 = host.dump("vm1.img", 100)
    with service(host):
        assert not host.tree.exists()
        host.run("pass")
        append(vm1)
        goes(host, "vm1.img")


def test_what_was_rewritten_while_no_service_ran_goes_when_it_starts(host: Host) -> None:
    """No event tells of it."""
    vm1 = host.dump("vm1.img", 100)
    host.dump("vm2.img", 100)
    host.run("pass")
    append(vm1)
    with service(host):
        goes(host, "vm1.img")
    assert set(host.exported()) == {"vm2.img"}


def test_a_polled_folder_is_looked_at_as_often_as_it_is_scanned(host: Host) -> None:
    """Where no event tells of anything."""
    host.configure(watch={"mode": "poll", "scan_interval": "1s"})
    vm1 = host.dump("vm1.img", 100)
    host.run("pass")
    with service(host):
        append(vm1)
        goes(host, "vm1.img")


def test_a_file_that_is_opened_and_not_written_into_stays_and_stays_guarded(host: Host) -> None:
    """One watch is one event: after it the watch is made anew."""
    vm1 = host.dump("vm1.img", 100)
    with guarded(host):
        for _ in range(3):
            vm1.open("r+b").close()
        other = host.dump("vm2.img", 10)
        host.run("pass")
        append(other)
        goes(host, "vm2.img")  # later than the opening: that was looked at by now
        assert "vm1.img" in host.exported()
        append(vm1)
        goes(host, "vm1.img")


def test_a_stranger_in_the_tree_is_left_alone_however_it_is_written(host: Host) -> None:
    """It is no link of ours."""
    with guarded(host):
        unmanaged_entry = host.tree / "stranger"
        for _ in range(5):
            unmanaged_entry.write_bytes(b"strange")
        other = host.dump("vm2.img", 10)
        host.run("pass")
        append(other)
        goes(host, "vm2.img")
        assert unmanaged_entry.exists()


def test_while_a_pass_moves_links_the_taking_back_waits(host: Host) -> None:
    """Only the holder of the pass lock does."""
    vm1 = host.dump("vm1.img", 100)
    state = State(host.state)
    with guarded(host):
        with state.pass_lock(wait=10):
            append(vm1)
            time.sleep(0.5)  # long enough for whoever would not wait
            assert (host.tree / "vm1.img").exists()
        goes(host, "vm1.img")
    state.close()


# --- X.running


def test_a_marker_that_says_running_takes_an_unread_link_back(host: Host) -> None:
    """Before the first byte is written. When the dump is done it has its turn."""
    host.dump("vm1.img", 100)
    with guarded(host):
        host.mark("vm1.img", "running")
        goes(host, "vm1.img")
        assert reasons(host.json("plan"))["vm1.img"] == "running"
        host.dump("vm1.img", 300)
        (host.dumps / "vm1.img.running").unlink()
        host.run("pass")
        assert host.exported()["vm1.img"] == 300


def test_a_dump_that_was_not_dumped_again_after_all_has_its_turn_again(host: Host) -> None:
    """The script has died before it wrote anything, and its marker was removed."""
    host.dump("vm1.img", 100)
    with guarded(host):
        host.mark("vm1.img", "running")
        goes(host, "vm1.img")
        host.run("pass")
        assert "vm1.img" not in host.exported()
        (host.dumps / "vm1.img.running").unlink()
        host.run("pass")
        assert host.exported()["vm1.img"] == 100


def test_a_marker_that_says_running_leaves_alone_what_the_storage_has_or_is_fetching(host: Host) -> None:
    """It is no rewriting yet: a mirror would lose its copy, a running sync its file."""
    host.dump("vm1.img", 100)
    host.dump("vm2.img", 100)
    host.run("pass")
    host.run("synced", "--all")
    host.dump("vm2.img", 200)
    host.run("pass")
    host.run("sync-started")
    for name in ("vm1.img", "vm2.img"):
        host.mark(name, "running")
    host.run("pass")
    assert set(host.exported()) == {"vm1.img", "vm2.img"}
    host.run("synced")
    host.run("pass")
    assert set(host.exported()) == {"vm1.img", "vm2.img"}
