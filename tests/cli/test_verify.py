"""``tidegate state verify``: every difference between what is recorded and what stands."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.host import Host, host_with_papers

REPORT: dict[str, Any] = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = host_with_papers(tmp_path / "host", **REPORT)
    host.dump("vm1", 100)
    host.dump("vm2", {"a": 10, "b": 20})
    host.dump("vm3", 20_000)
    host.run("pass")
    host.run("synced", "--all")
    host.dump("vm1", 200)
    host.run("pass")
    return host


def test_after_a_pass_all_tells_the_same_and_nothing_is_written(host: Host) -> None:
    before = {path: path.stat().st_mtime_ns for path in host.dumps.rglob("*")}
    assert "tell the same" in host.run("state", "verify").stdout
    assert {path: path.stat().st_mtime_ns for path in host.dumps.rglob("*")} == before
    host.run("sync-started")
    host.dump("vm4", 100)
    host.run("pass")
    assert host.json("state", "verify")["differences"] == []


@pytest.mark.parametrize(
    ("damage", "where", "means"),
    [
        pytest.param(lambda host: host.dump("vm9", 10), "dumps: vm9", "not recorded yet", id="a new marker"),
        pytest.param(
            lambda host: (host.dumps / "vm3.done").unlink(), "dumps: vm3", "its marker is gone", id="a marker"
        ),
        pytest.param(lambda host: (host.tree / "vm1").unlink(), ".rsync/vm1", "it is gone", id="a link is gone"),
        pytest.param(
            lambda host: (host.tree / "other").write_bytes(b"x"), ".rsync/other", "not in the ledger", id="foreign"
        ),
        pytest.param(lambda host: os.truncate(host.tree / "vm1", 1), ".rsync/vm1", "was rewritten", id="rewritten"),
        pytest.param(
            lambda host: (host.tree / ".tidegate" / "manifest.json").unlink(), "manifest.json", "none", id="manifest"
        ),
        pytest.param(
            lambda host: (host.tree / ".tidegate" / "state.json.gz").write_bytes(b"x"),
            "state.json.gz",
            "no export",
            id="export",
        ),
    ],
)
def test_each_difference_is_a_line_and_the_next_pass_settles_it(
    host: Host, damage: Callable[[Host], Any], where: str, means: str
) -> None:
    damage(host)
    found = host.json("state", "verify", code=1)["differences"]
    assert [one for one in found if where in one["where"] and means in one["means"]], found
    assert all(one["advice"] for one in found)
    host.run("pass")
    assert host.json("state", "verify")["differences"] == []


def test_a_dump_that_waits_and_is_gone_is_told_before_its_turn(host: Host) -> None:
    (host.dumps / "vm3").unlink()
    [one] = host.json("state", "verify", code=1)["differences"]
    assert (one["where"], one["means"]) == ("dumps: vm3", "it waits, and is missing")


def test_without_a_state_file_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    assert "tidegate state rebuild" in host_with_papers(tmp_path / "host").run("state", "verify", code=2).stderr
