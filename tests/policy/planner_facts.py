"""Facts for the tests of the planner: one VM, one dump, one day, with only what a test is about said."""

from collections.abc import Iterable
from typing import TypedDict, Unpack

from core.enums import Force
from core.reasons import Reason
from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Decision, Dump, Plan, Rules, Vm

DAY = 86_400.0
HOUR = 3600.0
NOW = 1_800_000_000.0
GB = 10**9
LIMIT = 10 * GB


class VmFacts(TypedDict, total=False):
    backup_set: str | None
    first_seen: float
    bytes: int
    offsite_time: float | None
    period: float | None
    target: float | None
    outstanding_since_day: int | None
    on_hold: bool
    backing_off_until: float | None
    replaces_while_syncing: bool
    forced: Force | None
    unread_link_bytes: int


class DumpFacts(TypedDict, total=False):
    path: str
    bytes: int
    block_reason: Reason | None
    note: str
    outstanding: bool
    offsite: bool


def a_vm(name: str = "vm1", **facts: Unpack[VmFacts]) -> Vm:
    """A VM seen for ten days, last off-site three days ago, with a target of seven."""
    usual: VmFacts = {
        "backup_set": None,
        "first_seen": NOW - 10 * DAY,
        "bytes": GB,
        "offsite_time": NOW - 3 * DAY,
        "target": 7 * DAY,
    }
    return Vm(vm=name, **(usual | facts))


def a_dump(dump_id: int = 1, vm: str = "vm1", *, age: float = HOUR, **facts: Unpack[DumpFacts]) -> Dump:
    """A finished dump of 1 GB that was made ``age`` seconds ago."""
    usual: DumpFacts = {"path": f"{vm}-{dump_id}", "bytes": GB}
    return Dump(dump_id=dump_id, vm=vm, dump_time=NOW - age, **(usual | facts))


def a_day(*, limit: int = LIMIT, reserve: int = 0, outstanding: int = 0, used: int = 0) -> Day:
    """Day 12, opened an hour ago."""
    return Day(12, NOW - HOUR, DayAccount(limit, reserve, outstanding, used))


def plan_of(
    vms: Iterable[Vm],
    dumps: Iterable[Dump],
    *,
    day: Day | None = None,
    max_dump_age: float | None = None,
    daily: int | None = None,
) -> Plan:
    """What is decided now; the coming days have the open day's limit unless ``daily`` says otherwise."""
    day = day or a_day()
    limit = day.account.limit if daily is None else daily
    return decide(vms, dumps, day, Rules(limit, day.account.reserve, max_dump_age), NOW)


def by_dump(plan: Plan) -> dict[int, Decision]:
    """The decisions by dump id."""
    return {decision.dump.dump_id: decision for decision in plan.decisions}


def reasons(plan: Plan) -> dict[int, Reason]:
    """The reasons by dump id."""
    return {decision.dump.dump_id: decision.reason for decision in plan.decisions}


def released_ids(plan: Plan) -> list[int]:
    """The granted dumps in the order of their turns."""
    return [decision.dump.dump_id for decision in plan.released]
