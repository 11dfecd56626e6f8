"""Disks that go and come while the watcher runs, real ones: nothing is lost, and nothing is taken for removed."""

import subprocess
from collections.abc import Callable

import pytest

from core.clock import SystemClock
from core.enums import DumpState
from tests.service.running import service
from tests.waiting import until
from tests.watcher.disks import Disk, Disks
from tests.watcher.site import Site, done
from watcher import folder
from watcher.scanner import scan_and_record


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount is noticed when somebody looks: in a test that is sooner."""
    monkeypatch.setattr(folder, "_ROOT_SECONDS", 0.1)


@pytest.fixture
def disk(site: Site, disks: Disks) -> Disk:
    """The watch folder's own, plugged in, with two finished dumps on it."""
    disk = disks()
    disk.mount(site.dumps)
    for name in ("vm1", "vm2"):
        done(site.dumps, name)
    return disk


def plug_elsewhere(site: Site, disk: Disk, name: str) -> None:
    """A dump is finished on the disk while it is somewhere else."""
    elsewhere = site.host.folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    disk.mount(elsewhere)
    done(elsewhere, name)
    disk.unmount(elsewhere)


def lazily(site: Site, disk: Disk) -> None:
    with (site.dumps / "vm1").open():
        disk.unmount(site.dumps, lazily=True)


WAYS_OUT: dict[str, Callable[[Site, Disk], None]] = {
    "unmounted": lambda site, disk: disk.unmount(site.dumps),
    "lazily unmounted": lazily,
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_an_unmounted_disk_takes_no_dump_with_it_and_comes_back_by_itself(way: str, site: Site, disk: Disk) -> None:
    """No kernel tells of a mount; what was finished on the disk meanwhile is recorded as well."""
    with site.watched():
        assert site.waiting() == {"vm1", "vm2"}
        WAYS_OUT[way](site, disk)
        assert "is its disk mounted?" in site.goes_down()
        assert site.waiting() == {"vm1", "vm2"}
        if way == "unmounted":
            plug_elsewhere(site, disk, "vm3")
        disk.mount(site.dumps)
        site.comes_up()
        done(site.dumps, "vm4")
        site.records("vm4")
        until(lambda: site.waiting() >= {"vm1", "vm2", "vm4"})
        assert (way == "unmounted") == site.is_recorded("vm3")
    assert site.counted("markers", "withdrawn") == 0


def test_a_mount_over_the_folder_hides_it_and_removes_nothing(site: Site, disk: Disk, disks: Disks) -> None:
    """Below it the folder is as it was: no event says that it is hidden, nor that it shows again."""
    over = disks("tmpfs")
    with site.watched():
        over.mount(site.dumps)
        assert "is its disk mounted?" in site.goes_down()
        over.unmount(site.dumps)
        site.comes_up()
        assert site.waiting() == {"vm1", "vm2"}
        done(site.dumps, "vm3")
        site.records("vm3")


def test_a_dump_into_the_empty_mount_point_is_recorded_and_those_of_the_disk_stay(site: Site, disk: Disk) -> None:
    """A script that does not look whether the disk is there has finished its dump too. Nothing leaves from there."""
    with site.watched():
        disk.unmount(site.dumps)
        site.goes_down()
        done(site.dumps, "vm9")
        site.records("vm9")
        until(lambda: "another filesystem" in site.goes_down())
        assert site.waiting() == {"vm1", "vm2", "vm9"}
        disk.mount(site.dumps)
        site.comes_up()
        until(lambda: site.waiting() == {"vm1", "vm2"})
    assert site.states("vm9") == [DumpState.REVOKED]  # its own folder is the one that is hidden now


def test_another_disk_in_its_place_is_believed_when_the_admin_says_so(site: Site, disk: Disk, disks: Disks) -> None:
    """Until then nobody knows whether the old one comes back."""
    other = disks()
    with site.watched():
        disk.unmount(site.dumps)
        other.mount(site.dumps)
        (site.dumps / ".rsync").mkdir()
        done(site.dumps, "vm1", b"another")
        until(lambda: "adopt --moved dumps" in site.goes_down())
        assert site.states("vm2") == [DumpState.PENDING]
        site.host.run("adopt", "--moved", "dumps")
        done(site.dumps, "vm3")  # whatever stirs in a folder that is down has it scanned
        site.comes_up()
        assert site.states("vm2") == [DumpState.REVOKED]
        until(lambda: site.waiting() == {"vm1", "vm3"})


def test_a_disk_that_went_and_came_while_nobody_looked_is_the_same_disk(site: Site, disk: Disk) -> None:
    """What was recorded once is not recorded again, and what was not is."""
    with site.watched():
        pass
    disk.unmount(site.dumps)
    with site.watched():
        assert site.is_down()
        disk.mount(site.dumps)
        site.comes_up()
        done(site.dumps, "vm3")
        until(lambda: site.waiting() == {"vm1", "vm2", "vm3"})
    assert site.counted("markers", "recorded") == 3


def test_the_service_starts_without_the_disk_and_waits_for_it(site: Site, disks: Disks) -> None:
    """A backup disk that is plugged in at night: `check` says that the folder is missing, the service does not mind."""
    site.dumps.rmdir()
    with service(site.host) as running:
        assert site.is_down()
        assert any("the watch folder is down" in line for line in running.log)
        refused = site.host.run("check", code=2)
        assert "does not exist" in refused.stderr
        site.dumps.mkdir()
        disks("tmpfs").mount(site.dumps)
        done(site.dumps, "vm1")
        site.records("vm1")
        site.comes_up()
        assert running.end() == 0


def test_a_mistake_that_no_disk_mends_still_keeps_the_service_from_starting(site: Site) -> None:
    """Only what is away is waited for."""
    site.dumps.rmdir()
    text = site.host.file.read_text()
    site.host.file.write_text(text + '[[watch]]\npath = "second"\n[[watch]]\npath = "./second"\nname = "third"\n')
    (site.host.folder / "second").mkdir()
    refused = site.host.run("watch", code=2)
    assert "is the folder of the watch" in refused.stderr
    assert "does not exist" not in refused.stderr


# --- the pass and the plan


def test_no_link_is_missing_because_its_disk_is_away(site: Site, disk: Disk) -> None:
    """What was let out stays outstanding, counts, and is neither taken back nor made again when the disk is back."""
    site.host.run("pass")
    done(site.dumps, "vm3")
    scan_and_record(site.config, site.state, SystemClock())
    before = site.host.json("plan")["day"]
    disk.unmount(site.dumps)
    for command in ("plan", "pass"):
        shape = site.host.json(command)
        assert shape["day"]["outstanding_bytes"] == before["outstanding_bytes"] - 1  # without what was planned of vm3
        assert {one["reason"] for one in shape["decisions"]} == {"outstanding", "missing"}
        assert any("is down" in one["detail"] for one in shape["decisions"])
    assert list(site.dumps.iterdir()) == []
    disk.mount(site.dumps)
    assert {one["reason"] for one in site.host.json("pass")["decisions"]} == {"outstanding", "released"}
    assert set(site.host.exported()) == {"vm1", "vm2", "vm3"}
    with site.state.read() as connection:
        states = connection.execute("select state, count(*) from link group by state").fetchall()
    assert [tuple(row) for row in states] == [("linked", 3)]


def test_what_the_storage_has_stays_confirmed_while_the_disk_is_away(site: Site, disk: Disk) -> None:
    """All has left, all markers are gone: then only the links tell the disk from its empty mount point."""
    site.host.run("pass")
    site.host.run("synced", "--all")
    site.host.run("pass")
    assert not list(site.dumps.glob("*.done"))
    disk.unmount(site.dumps)
    (site.dumps / ".rsync").mkdir()
    done(site.dumps, "vm9")
    for command in ("pass", "plan"):
        reasons = {one["vm"]: one["reason"] for one in site.host.json(command)["decisions"]}
        assert reasons == {"vm1": "already_offsite", "vm2": "already_offsite", "vm9": "missing"}
    assert site.is_down()
    subprocess.run(["rm", "-r", site.dumps / ".rsync"], check=True)
    disk.mount(site.dumps)
    site.host.run("pass")
    assert set(site.host.exported()) == {"vm1", "vm2"}
    assert site.counted("foreign_files", "") == 0
