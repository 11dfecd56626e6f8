"""``confirm = "removal"``, with a real rsync that removes what it has fetched."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from core.config.load import load
from core.config.messages import ConfigError
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons

DAY = 24 * HOUR
OFFSITE = {"confirm": "removal", "storage": "collect"}


@pytest.fixture
def clock() -> GivenClock:
    return GivenClock()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host", daily=1000, offsite=OFFSITE)


@pytest.fixture
def at(host: Host, clock: GivenClock) -> AtGivenTime:
    return AtGivenTime(host, clock)


def pull(host: Host, *options: str) -> None:
    """As the storage does."""
    storage = host.folder / "storage"
    command = ["rsync", "-a", "--remove-source-files", *options, f"{host.tree}/", f"{storage}/"]
    subprocess.run(command, check=True, capture_output=True)


def by(at: AtGivenTime) -> dict[str, str | None]:
    return {name: one["offsite_by"] for name, one in at.status().items()}


def test_what_was_fetched_and_removed_is_off_site(at: AtGivenTime, clock: GivenClock) -> None:
    """A file, and a folder of which rsync leaves the folders."""
    at.host.dump("vm1.img", 100)
    at.host.dump("vm2", {"config": 10, "empty": 0, "disks/0": 100, "disks/deep/1": 100})
    at.run("pass")
    pull(at.host)
    assert (at.host.tree / "vm2" / "disks" / "deep").is_dir()
    clock.advance(HOUR)
    day = at.json("pass")["day"]
    assert by(at) == {"vm1": "removal", "vm2": "removal"}
    assert list(at.host.tree.iterdir()) == []
    assert (day["outstanding_bytes"], day["used_bytes"]) == (0, 310)
    assert (at.host.dumps / "vm1.img").exists(), "the dump itself is its owner's"


def test_the_day_ends_when_nothing_more_was_fetched_for_a_while(at: AtGivenTime, clock: GivenClock) -> None:
    """And is as old as it must be."""
    at.host.dump("vm1.img", 100)
    at.run("pass")
    clock.advance(21 * HOUR)
    pull(at.host)
    os.utime(at.host.tree, (clock.wall, clock.wall))  # the kernel's clock is not the given one
    assert at.json("pass")["day"]["number"] == 1
    clock.advance(HOUR + 60)
    assert at.json("pass")["day"]["number"] == 2


def test_a_day_without_any_fetching_stays_open(at: AtGivenTime, clock: GivenClock) -> None:
    at.host.dump("vm1.img", 100)
    at.run("pass")
    clock.advance(3 * DAY)
    assert at.json("pass")["day"]["number"] == 1


def test_what_is_removed_by_others_is_no_delivery(at: AtGivenTime, clock: GivenClock) -> None:
    """Nobody has read it: it is missing, counts as let out, and has its turn again."""
    at.host.dump("vm1.img", 600)
    at.run("pass")
    (at.host.tree / "vm1.img").unlink()
    clock.advance(HOUR)
    decided = at.json("pass")
    assert by(at) == {"vm1": None}
    assert decided["day"]["used_bytes"] == 600
    assert reasons(decided) == {"vm1.img": "limit_reached"}


def test_while_files_of_a_folder_are_removed_it_is_outstanding(at: AtGivenTime, clock: GivenClock) -> None:
    """Half of it is fetched: nothing takes its place, and the day goes on."""
    at.host.dump("vm1", {"a": 100, "b": 100})
    at.run("pass")
    pull(at.host, "--exclude=b")
    clock.advance(HOUR)
    assert by(at) == {"vm1": None}
    at.host.dump("vm1-2026-11-22", {"a": 100, "b": 150})
    decided = at.json("pass")
    assert decided["day"]["outstanding_bytes"] == 200
    assert "released" not in {one["reason"] for one in decided["decisions"]}
    pull(at.host)
    clock.advance(HOUR)
    at.run("pass")
    assert by(at) == {"vm1": "removal"}


def test_a_folder_that_is_rewritten_while_it_is_fetched_is_taken_back(at: AtGivenTime, clock: GivenClock) -> None:
    """What is left of it goes."""
    path = at.host.dump("vm1", {"a": 100, "b": 100})
    at.run("pass")
    pull(at.host, "--exclude=b")
    (path / "b").write_bytes(b"rewritten")
    at.run("pass")
    assert by(at) == {"vm1": None}
    assert at.host.exported() == {}


def test_a_tree_that_is_gone_proves_nothing(at: AtGivenTime, clock: GivenClock) -> None:
    """As long as its root stands a file that is gone is gone."""
    at.host.dump("vm1.img", 100)
    at.run("pass")
    subprocess.run(["cat", at.host.tree / "vm1.img"], check=True, capture_output=True)
    shutil.move(at.host.tree, at.host.folder / "elsewhere")
    clock.advance(HOUR)
    at.run("pass")
    assert by(at) == {"vm1": None}
    shutil.move(at.host.folder / "elsewhere", at.host.tree)
    (at.host.tree / "vm1.img").unlink()
    at.run("pass")
    assert by(at) == {"vm1": "removal"}


def test_what_was_seen_read_is_delivered_though_its_dump_is_gone_by_then(at: AtGivenTime, clock: GivenClock) -> None:
    """A pass looked in between; the dump's owner has cleaned up since."""
    path = at.host.dump("vm1.img", 100)
    at.run("pass")
    subprocess.run(["cat", at.host.tree / "vm1.img"], check=True, capture_output=True)
    at.run("pass")
    assert by(at) == {"vm1": None}
    pull(at.host)
    path.unlink()
    at.run("pass")
    assert by(at) == {"vm1": "removal"}


def test_while_something_is_read_and_not_removed_nothing_else_is_removed(at: AtGivenTime, clock: GivenClock) -> None:
    """A transfer runs; one that broke off is forgotten after a day."""
    at.host.dump("vm1.img", 100)
    at.host.dump("vm2.img", 100)
    at.run("pass")
    subprocess.run(["cat", at.host.tree / "vm1.img"], check=True, capture_output=True)
    clock.advance(HOUR)
    at.host.dump("vm2.img", 200)
    at.run("pass")
    assert at.host.exported() == {"vm1.img": 100, "vm2.img": 100}
    clock.advance(25 * HOUR)
    at.run("pass")
    assert at.host.exported() == {"vm1.img": 100, "vm2.img": 200}


def test_where_the_link_is_a_copy_it_is_refused(host: Host) -> None:
    """The dump would tell nothing of reads."""
    host.configure(offsite=OFFSITE, watch={"publish": "reflink"})
    with pytest.raises(ConfigError, match='"reflink" makes a copy that is no file of the dump'):
        load(host.file)
