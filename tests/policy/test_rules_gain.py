"""Which dumps are worth the traffic, and whose target counts."""

from pathlib import Path

import pytest

from core.enums import Force
from core.reasons import Reason
from policy.planner.decide import decide
from policy.planner.model import Rules
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons
from tests.policy.planner_facts import DAY, LIMIT, NOW, a_day, a_dump, a_vm, by_dump


@pytest.mark.parametrize(
    ("vm", "reason"),
    [
        (a_vm(offsite_time=NOW - 12 * HOUR), Reason.RELEASED),
        (a_vm(offsite_time=NOW - 12 * HOUR + 1), Reason.NO_GAIN),
        (a_vm(offsite_time=None), Reason.RELEASED),
        (a_vm(offsite_time=NOW - HOUR, forced=Force.WITHIN_LIMIT), Reason.RELEASED),
    ],
    ids=["just enough", "a second too little", "never off-site", "forced"],
)
def test_a_dump_must_gain_as_much_as_the_admin_says(vm: object, reason: Reason) -> None:
    plan = decide([vm], [a_dump(age=0)], a_day(), Rules(LIMIT, min_gain=12 * HOUR), NOW)  # type: ignore[list-item]

    assert by_dump(plan)[1].reason is reason


def test_unset_any_gain_will_do() -> None:
    plan = decide([a_vm(offsite_time=NOW - 1)], [a_dump(age=0)], a_day(), Rules(LIMIT), NOW)

    assert by_dump(plan)[1].reason is Reason.RELEASED


def test_a_dump_that_gains_too_little_says_by_how_much() -> None:
    plan = decide([a_vm(offsite_time=NOW - 2 * HOUR)], [a_dump(age=0)], a_day(), Rules(LIMIT, min_gain=DAY), NOW)

    assert by_dump(plan)[1].detail == "only 2h newer than the off-site copy; min_gain is 1d"


def test_a_vms_own_target_comes_before_its_sets_and_that_before_all(tmp_path: Path) -> None:
    """Each through the real commands, as is the least gain."""
    host = Host(
        tmp_path,
        offsite={"confirm": "report"},
        day={"at_least": "0s"},
        staleness={"target": "9d", "min_gain": "6h"},
        backup_sets={"weekly": {"target": "8d", "vms": ["vm1", "vm2"]}},
        vms={"vm1": {"target": "2d"}, "vm2": {}},
    )
    at = AtGivenTime(host, GivenClock())
    for vm in ("vm1", "vm2", "vm3"):
        host.dump(f"{vm}-2026-01-01.img", 100)
    at.run("pass")
    assert {vm: one["target_seconds"] / DAY for vm, one in at.status().items()} == {"vm1": 2, "vm2": 8, "vm3": 9}
    at.clock.advance(HOUR)
    at.run("synced", "--all")
    host.dump("vm1-2026-01-02.img", 100)
    assert reasons(at.json("pass"))["vm1-2026-01-02.img"] == "no_gain"
