"""The first hour of someone who configures nothing but paths, limit and storage, and whose rsync knows nothing of it.

The kernel notes real reads of a real rsync. Where days pass, the stamp of each read is moved to the given time, since
the kernel's clock is not the test's.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, HOUR, GivenClock
from tests.host import Host

LIMIT = 10_000
VMS = ("vm1", "vm2.qcow2", "vm3.img")

DUMP_SCRIPT = """
cd "$1" || exit 2
for X in vm1 vm2.qcow2 vm3.img; do
    head -c 3000 /dev/urandom > $X.part && mv $X.part $X && touch $X.done
done
"""


class Puller:
    """A crontab on the storage: ``rsync -a --delete`` of the export tree, and not a word to anybody."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.storage = host.folder / "storage"
        self.storage.mkdir()

    def pull(self) -> int:
        """One sync. Returns the bytes of the files that it brought over."""
        before = {path.name: path.stat().st_mtime_ns for path in self.has()}
        # A day passes in less than a second here, and rsync takes equal seconds for an equal file.
        exact = "--modify-window=-1"
        command = ["rsync", "-a", "--delete", exact, "--partial-dir=.part", f"{self.host.tree}/", f"{self.storage}/"]
        subprocess.run(command, check=True)
        arrived = [one for one in self.has() if before.get(one.name) != one.stat().st_mtime_ns]
        return sum(path.stat().st_size for path in arrived)

    def has(self) -> list[Path]:
        """The dumps at the storage; what Tidegate tells of them comes along and is charged to nobody."""
        return [path for path in self.storage.iterdir() if path.name != ".tidegate"]

    def pull_at(self, clock: GivenClock) -> int:
        """One sync at the given time: whatever read the kernel noted gets that time's stamp."""
        before = {path: path.stat().st_atime_ns for path in self.host.tree.iterdir()}
        arrived = self.pull()
        for path, atime in before.items():
            if path.stat().st_atime_ns != atime:
                os.utime(path, ns=(int(clock.wall * 1e9), path.stat().st_mtime_ns))
        return arrived


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, daily=LIMIT)


@pytest.fixture
def puller(host: Host) -> Puller:
    return Puller(host)


def dump_all(host: Host, clock: GivenClock) -> dict[str, bytes]:
    """The dump script of someone who read ten lines of README. Returns what it wrote."""
    subprocess.run(["sh", "-c", DUMP_SCRIPT, "dumps", host.dumps], check=True)
    for name in VMS:
        os.utime(host.dumps / f"{name}.done", (clock.wall, clock.wall))
    return {name: (host.dumps / name).read_bytes() for name in VMS}


def test_every_days_dumps_leave_within_the_limit_and_are_known_by_their_reads(host: Host, puller: Puller) -> None:
    """``touch X.done``, a daily pass and a cron rsync: five days, and each day all three VMs are off-site."""
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    for day in range(1, 6):
        written = dump_all(host, clock)
        shape = admin.json("pass")
        assert shape["day"]["number"] == day
        assert {one["reason"] for one in shape["decisions"]} == {"released"}
        clock.advance(HOUR)
        assert puller.pull_at(clock) == 9_000 <= LIMIT
        assert {path.name: path.read_bytes() for path in puller.has()} == written
        clock.advance(2 * HOUR)
        admin.json("pass")
        assert {(one["freshness"], one["offsite_by"]) for one in admin.status().values()} == {("fresh", "read")}
        clock.advance(DAY - 3 * HOUR)


def test_with_the_puller_dead_nothing_becomes_fresh_and_no_more_leaves_than_one_limit(
    host: Host, puller: Puller
) -> None:
    """Ten days of dumps and passes and no sync: the day stays open, and one limit stands in the tree."""
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    for _ in range(10):
        dump_all(host, clock)
        host.dump("another", 2_000)
        shape = admin.json("pass")
        assert shape["day"]["number"] == 1
        assert sum(host.exported().values()) <= LIMIT
        assert {one["freshness"] for one in admin.status().values()} <= {"new", "never"}
        clock.advance(DAY)
    assert host.exported() == {"another": 2_000, "vm1": 3_000, "vm2.qcow2": 3_000}
    assert puller.pull_at(clock) == 8_000


def test_the_puller_that_comes_back_finds_one_limit_and_then_all_goes_on(host: Host, puller: Puller) -> None:
    """After three days without a sync the first one brings the newest, one limit of it; the next day has its own."""
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    written = {}
    for _ in range(3):
        written = dump_all(host, clock)
        admin.run("pass")
        clock.advance(DAY)
    assert puller.pull_at(clock) == 9_000
    assert {path.name: path.read_bytes() for path in puller.has()} == written
    clock.advance(2 * HOUR)
    written = dump_all(host, clock)
    assert admin.json("pass")["day"]["number"] == 2
    assert puller.pull_at(clock) == 9_000
    assert {path.name: path.read_bytes() for path in puller.has()} == written


def test_a_look_at_the_dumps_by_tidegate_itself_is_no_read(host: Host) -> None:
    """Scans, plans, passes and checks leave no trace that would make a VM fresh."""
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    dump_all(host, clock)
    for command in (["pass"], ["plan"], ["check"], ["check", "--names"], ["pass"], ["explain", "vm1"], ["pass"]):
        clock.advance(2 * HOUR)
        admin.run(*command)
    assert {one["freshness"] for one in admin.status().values()} == {"new"}


def test_with_the_kernels_own_stamps_and_the_hosts_own_clock_three_days_pass(tmp_path: Path) -> None:
    """Nothing is given here: real commands, real reads, days that may be as short as they like."""
    host = Host(tmp_path, daily=LIMIT, day={"at_least": "0s", "quiet": "0s"})
    puller = Puller(host)
    for day in range(1, 4):
        written = dump_all(host, GivenClock())
        assert host.json("pass")["day"]["number"] == day
        assert puller.pull() == 9_000
        assert {path.name: path.read_bytes() for path in puller.has()} == written
    host.run("pass")
    assert {one["offsite_by"] for one in host.json("status")["vms"]} == {"read"}
