"""``[offsite] retention``: the storage drops a copy after its time, and the next one must be there before."""

from pathlib import Path
from typing import Any

import pytest

from core.enums import Storage
from policy.planner.decide import decide
from policy.planner.model import Rules
from policy.planner.staleness import target_of
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons
from tests.policy.planner_facts import DAY, LIMIT, NOW, a_day, a_dump, a_vm, by_dump


@pytest.mark.parametrize(
    ("target", "retention", "expected"),
    [
        pytest.param(30 * DAY, None, 30 * DAY, id="for ever"),
        pytest.param(30 * DAY, 14 * DAY, 12 * DAY, id="a copy is on its way for two days"),
        pytest.param(7 * DAY, 14 * DAY, 7 * DAY, id="a target that is met before"),
        pytest.param(None, 14 * DAY, 12 * DAY, id="the implied one too"),
        pytest.param(30 * DAY, 2 * DAY, DAY, id="at least half of a short one is left"),
    ],
)
def test_the_next_copy_must_be_there_before_the_storage_drops_the_last(
    target: float | None, retention: float | None, expected: float
) -> None:
    assert target_of(a_vm(target=target, period=7 * DAY), 5, retention) == expected


def test_a_vm_whose_copy_would_go_has_a_nearer_target_in_every_decision() -> None:
    """It is by the target that the order of turns knows who must leave."""
    vms, dumps = [a_vm(target=60 * DAY, offsite_time=NOW - 9 * DAY)], [a_dump()]

    assert by_dump(decide(vms, dumps, a_day(), Rules(LIMIT), NOW))[1].target == 60 * DAY
    assert by_dump(decide(vms, dumps, a_day(), Rules(LIMIT, retention=10 * DAY), NOW))[1].target == 8 * DAY


# --- through the real commands


def host(folder: Path, storage: Storage) -> AtGivenTime:
    """A storage that keeps each copy for ten days."""
    offsite: dict[str, Any] = {"confirm": "report", "retention": "10d", "storage": storage}
    return AtGivenTime(Host(folder, offsite=offsite, day={"at_least": "0s"}), GivenClock())


def next_day(at: AtGivenTime) -> None:
    at.clock.advance(12 * HOUR)
    at.run("synced", "--all")
    at.clock.advance(12 * HOUR)


def offsite_series(at: AtGivenTime) -> list[str]:
    metrics = at.run("export-metrics", "--output", "-").splitlines()
    return [line for line in metrics if line.startswith("tidegate_vm_offsite_timestamp_seconds{")]


@pytest.mark.parametrize("storage", list(Storage))
def test_a_copy_counts_as_gone_after_its_time_and_the_dump_leaves_again(tmp_path: Path, storage: Storage) -> None:
    """No other dump was made since: the one that stands here is the only one that there is."""
    at = host(tmp_path, storage)
    at.host.dump("vm1", 400)
    at.run("pass")
    next_day(at)
    at.run("pass")
    assert at.status()["vm1"]["target_seconds"] == 3 * DAY
    assert len(offsite_series(at)) == 1
    at.clock.advance(9 * DAY)
    assert at.status()["vm1"]["freshness"] == "stale"
    at.clock.advance(DAY)
    gone = at.status()["vm1"]
    assert (gone["freshness"], gone["offsite_time"], gone["offsite_by"], gone["offsite_age_seconds"]) == (
        "never",
        None,
        None,
        None,
    )
    assert "it counts as gone" in at.run("explain", "vm1")
    assert reasons(at.json("pass")) == {"vm1": "released"}
    assert offsite_series(at) == []
    next_day(at)
    assert at.json("pass")["decisions"][0]["reason"] == "already_offsite"
    assert at.status()["vm1"]["offsite_time"] is not None
    assert len(offsite_series(at)) == 1
    assert list(at.host.exported()) == (["vm1"] if storage is Storage.MIRROR else [])


def test_a_dump_that_is_no_longer_here_cannot_leave_again(tmp_path: Path) -> None:
    at = host(tmp_path, Storage.COLLECT)
    at.host.dump("vm1", 400).rename(tmp_path / "kept")
    (tmp_path / "kept").rename(at.host.dumps / "vm1")
    at.run("pass")
    next_day(at)
    (at.host.dumps / "vm1").unlink()
    at.clock.advance(11 * DAY)

    assert reasons(at.json("pass")) == {"vm1": "missing"}
    assert at.status()["vm1"]["freshness"] == "never"


def test_a_copy_that_was_told_counts_from_its_dump(tmp_path: Path) -> None:
    """When it came to the storage nobody knows."""
    at = host(tmp_path, Storage.COLLECT)
    at.run("mark-sent", "vm1", "--time", "2026-01-01T00:00:00Z")

    assert at.status()["vm1"]["freshness"] == "never"
