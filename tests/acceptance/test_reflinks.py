"""`publish = "reflink"` by the real commands: what is let out stands by itself, and is known after whatever happens."""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.warm import Warm
from tests.host import Host, host_with_papers
from tests.mounts import Mount, mount

pytestmark = pytest.mark.slow

__all__ = ["mount"]  # the fixture

REPORT = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}
REFLINK: dict[str, Any] = {"watch": {"publish": "reflink"}}
FOLDER = {"disk0": 100, "sub/disk1": 200}


@pytest.fixture
def host(mount: Mount) -> Host:
    """On xfs, whose inodes are numbered anew for each file as on others; a file and a folder wait."""
    host = host_with_papers(mount("xfs") / "host", **REPORT, **REFLINK)
    host.dump("vm1", 300)
    host.dump("vm2", FOLDER)
    return host


def stands(host: Host) -> dict[str, bytes]:
    return {name: (host.tree / name).read_bytes() for name in host.exported()}


def outstanding(host: Host) -> int:
    return int(host.json("status")["day"]["outstanding_bytes"])


def test_a_dump_that_is_rewritten_after_it_was_let_out_leaves_as_it_was(host: Host) -> None:
    """Where a hard link would be taken back. The rewritten one is a dump of its own, once it is marked."""
    host.run("pass")
    before = stands(host)
    with (host.dumps / "vm1").open("r+b") as file:
        file.write(b"rewritten in place")
    host.run("pass")
    assert stands(host) == before
    assert outstanding(host) == 600
    host.run("synced", "--all")
    assert {vm["vm"]: vm["offsite_by"] for vm in host.json("status")["vms"]} == {"vm1": "report", "vm2": "report"}
    host.dump("vm1", 400)
    host.run("pass")
    assert host.exported() == {"vm1": 400, "vm2/disk0": 100, "vm2/sub/disk1": 200}


def test_a_copy_is_known_to_whoever_asks(host: Host) -> None:
    host.run("pass")
    host.run("sync-started")
    places = host.json("locate", "vm2")["copies"]
    assert [(one["place"], one["unchanged"]) for one in places] == [("dumps", True), ("export", True)]
    host.run("state", "verify")


@pytest.mark.parametrize("point", ["released", "before rename", "after rename", "before fsync"])
def test_killed_at_any_point_the_next_pass_knows_its_copies(host: Host, tmp_path: Path, point: str) -> None:
    """Nothing is charged twice, nothing is taken for a stranger's."""
    with Warm(tmp_path / "warm") as warm:
        assert warm.run("--config", str(host.file), "pass", kill_at=point).was_killed
    host.run("pass")
    assert set(host.exported()) == {"vm1", "vm2/disk0", "vm2/sub/disk1"}
    assert outstanding(host) == 600
    assert host.json("status")["day"]["used_bytes"] == 0
    host.run("state", "verify", code=0)
    host.run("hold", "vm2")
    assert set(host.exported()) == {"vm1"}


def test_a_copy_that_somebody_wrote_into_is_taken_back_and_its_dump_leaves_again(host: Host) -> None:
    host.run("pass")
    content = (host.dumps / "vm1").read_bytes()
    (host.tree / "vm1").write_bytes(b"somebody's")
    host.run("pass")
    assert (host.tree / "vm1").read_bytes() == content
    assert (outstanding(host), host.json("status")["day"]["used_bytes"]) == (600, 300)


@pytest.mark.parametrize("papers", [True, False])
def test_copies_are_known_again_when_the_state_was_lost(host: Host, papers: bool) -> None:
    host.run("pass")
    if papers:
        host.run("sync-started")
    else:
        (host.tree / ".tidegate").rename(host.folder / "gone")
    for file in host.folder.glob("state.db*"):
        file.unlink()
    host.run("state", "rebuild", "--replace")
    host.run("synced", "--all")
    status = host.json("status")
    assert {vm["vm"]: (vm["offsite_by"], vm["newest_dump"]["state"]) for vm in status["vms"]} == {
        "vm1": ("report", "confirmed"),
        "vm2": ("report", "confirmed"),
    }
    host.run("pass")
    assert set(host.exported()) == {"vm1", "vm2/disk0", "vm2/sub/disk1"}


def test_a_filesystem_without_reflinks_is_a_mistake_of_the_configuration(mount: Mount) -> None:
    host = Host(mount("ext4") / "host", **REFLINK)
    said = host.run("check", code=2).stderr
    assert "config.toml:3: [[watch]] publish: the filesystem of" in said
    assert "supports no reflinks (operation not supported)" in said
    assert host.exported() == {}


@pytest.mark.parametrize("filesystem", ["xfs", "btrfs"])
def test_a_filesystem_with_reflinks_is_tried_and_nothing_is_left_there(mount: Mount, filesystem: str) -> None:
    host = Host(mount(filesystem) / "host", **REFLINK)
    host.run("check")
    assert list(host.dumps.iterdir()) == []
