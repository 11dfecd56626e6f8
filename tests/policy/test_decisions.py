"""What was decided stays true until the next pass, whatever happens between."""

from pathlib import Path

import pytest

from core.enums import ReleaseRule
from core.reasons import Reason, Verdict
from core.state import decisions
from core.state.database import State
from core.units import format_time
from tests.acceptance.given_time import AtGivenTime
from tests.clock import GivenClock
from tests.host import Host
from watcher.scanner import scan_and_record

DAY = 86_400.0


@pytest.fixture
def at(tmp_path: Path) -> AtGivenTime:
    """Two days' worth of VMs: vm1 and vm2 fit into a day of 10 kB, vm3 waits, huge never leaves."""
    at = AtGivenTime(Host(tmp_path, offsite={"confirm": "report"}), GivenClock())
    for vm, size in (("vm1", 4000), ("vm2", 5000), ("vm3", 6000), ("huge", 20_000)):
        at.host.dump(vm, size)
    at.run("pass")
    return at


def read(at: AtGivenTime) -> dict[str, tuple[str, str]]:
    """Path -> verdict and reason, as they are now."""
    with State(at.host.state).read() as connection:
        return {row.path: (row.verdict, row.reason) for row in decisions.read(connection, at.clock.wall)}


def scan(at: AtGivenTime) -> None:
    """What the service does all the time."""
    scan_and_record(at.host.config(), State(at.host.state), at.clock)


RELEASED, WAITS = (Verdict.WAITING, Reason.OUTSTANDING), (Verdict.WAITING, Reason.LIMIT_REACHED)
NEXT_PASS = (Verdict.WAITING, Reason.NEXT_PASS)
OVERSIZE = (Verdict.BLOCKED, Reason.OVERSIZE)
AFTER_THE_PASS = {"vm1": RELEASED, "vm2": RELEASED, "vm3": WAITS, "huge": OVERSIZE}


def test_after_a_pass_it_is_as_decided_and_what_was_released_is_outstanding(at: AtGivenTime) -> None:
    assert read(at) == AFTER_THE_PASS
    with State(at.host.state).read() as connection:
        rows = {row.path: row for row in decisions.read(connection, at.clock.wall)}
    assert rows["vm1"].rule in (ReleaseRule.UTILITY, ReleaseRule.DEADLINE)
    assert rows["vm1"].detail.endswith("the storage has not fetched it yet")
    assert (rows["vm3"].position, rows["vm3"].forecast_day, rows["vm3"].rule) == (1, 2, None)
    assert rows["huge"].position is None


def test_a_dump_that_was_recorded_since_waits_for_the_next_pass(at: AtGivenTime) -> None:
    at.host.dump("vm4", 100)
    scan(at)
    assert read(at) == AFTER_THE_PASS | {"vm4": NEXT_PASS}
    at.run("pass")
    assert read(at) == AFTER_THE_PASS | {"vm4": RELEASED}


def test_what_the_watcher_finds_overrides(at: AtGivenTime) -> None:
    at.host.mark("vm3", "running")
    scan(at)
    assert read(at)["vm3"] == (Verdict.WAITING, Reason.RUNNING)
    (at.host.dumps / "vm3.running").unlink()
    at.host.mark("vm3")
    scan(at)
    assert read(at)["vm3"] == WAITS
    at.host.mark("vm3", "failed")
    scan(at)
    assert read(at)["vm3"] == (Verdict.BLOCKED, Reason.DUMP_FAILED)


def test_what_the_last_pass_found_wrong_with_a_dump_is_over_with_the_fault(at: AtGivenTime) -> None:
    at.host.mark("vm3", "running")
    at.run("pass")
    assert read(at)["vm3"] == (Verdict.WAITING, Reason.RUNNING)
    (at.host.dumps / "vm3.running").unlink()
    at.host.mark("vm3")
    scan(at)
    assert read(at)["vm3"] == NEXT_PASS


def test_what_is_confirmed_is_off_site_and_what_waited_for_it_waits_for_the_next_pass(at: AtGivenTime) -> None:
    at.run("sync-started")
    at.clock.advance(DAY / 24)
    at.host.dump("vm1-newer", 4000, vm="vm1", finished=format_time(at.clock.wall))
    at.run("pass")
    assert read(at) == AFTER_THE_PASS | {"vm1-newer": RELEASED}
    at.run("synced")
    assert read(at) == {
        "vm1-newer": NEXT_PASS,
        "vm2": (Verdict.DONE, Reason.ALREADY_OFFSITE),
        "vm3": WAITS,
        "huge": OVERSIZE,
    }


def test_a_vm_on_hold_is_blocked_and_without_the_hold_waits_for_the_next_pass(at: AtGivenTime) -> None:
    """What could not leave anyway says why."""
    for vm in ("vm1", "vm3", "huge"):
        at.run("hold", vm)
    on_hold = (Verdict.BLOCKED, Reason.ON_HOLD)
    assert read(at) == {"vm1": on_hold, "vm2": RELEASED, "vm3": on_hold, "huge": OVERSIZE}
    for vm in ("vm1", "vm3"):
        at.run("unhold", vm)
    assert read(at) == {"vm1": NEXT_PASS, "vm2": RELEASED, "vm3": NEXT_PASS, "huge": OVERSIZE}


def test_a_force_is_decided_by_the_next_pass(at: AtGivenTime) -> None:
    at.run("force", "huge", "--over-limit")
    assert read(at) == AFTER_THE_PASS | {"huge": NEXT_PASS}


def test_a_retired_vm_has_no_decision_and_a_renamed_one_waits_for_the_next_pass(at: AtGivenTime) -> None:
    at.run("retire", "vm2")
    at.run("rename", "vm3", "other")
    assert read(at) == {"vm1": RELEASED, "vm3": NEXT_PASS, "huge": OVERSIZE}
    with State(at.host.state).read() as connection:
        assert [row.vm for row in decisions.read(connection, at.clock.wall, vm="other")] == ["other"]


def test_a_copy_that_left_another_way_leaves_the_rest_to_the_next_pass(at: AtGivenTime) -> None:
    at.run("mark-sent", "huge", "--time", "2020-01-01T00:00:00Z")
    assert read(at) == AFTER_THE_PASS | {"huge": NEXT_PASS}


def test_what_is_left_of_the_day_is_so_at_once(at: AtGivenTime) -> None:
    with State(at.host.state).read() as connection:
        before = decisions.day_status(connection)
    at.run("synced", "--all")
    with State(at.host.state).read() as connection:
        after = decisions.day_status(connection)
    assert before is not None
    assert after is not None
    assert (before.limit, before.outstanding, before.used, before.left) == (10_000, 9000, 0, 1000)
    assert (after.outstanding, after.used, after.left) == (0, 9000, 1000)


def test_the_load_is_that_of_the_last_pass(at: AtGivenTime) -> None:
    with State(at.host.state).read() as connection:
        load = decisions.load(connection)
    assert load is not None
    assert 0 < load.density < 1
    assert load.mean == 10_000


def test_the_forecast_is_that_of_the_last_pass(at: AtGivenTime) -> None:
    with State(at.host.state).read() as connection:
        forecast = decisions.forecast(connection)
    assert forecast is not None
    assert (forecast.decided_at, forecast.days) == (at.clock.wall, 30)
    assert forecast.releases.keys() == {"vm1", "vm2", "vm3"}
    assert forecast.releases["vm1"][0][1:3] == (0, 4000)
    assert forecast.releases["vm3"][0][1:3] == (1, 6000)
