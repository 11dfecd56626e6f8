"""Why a VM leaves or waits: what speaks for it, and who takes its place."""

from collections.abc import Iterable

from policy.planner.decide import decide
from policy.planner.explanations import of_queue
from policy.planner.model import Day, Dump, Rules, Vm
from tests.policy.planner_facts import DAY, GB, LIMIT, NOW, a_day, a_dump, a_vm


def told(vm: Vm, others: Iterable[tuple[Vm, Dump]], *, day: Day | None = None, size: int = GB) -> str:
    """The reasons for ``vm`` beside others, as one line; its own dump has the id 1."""
    vms, dumps = [vm], [a_dump(1, vm.vm, bytes=size)]
    for other, dump in others:
        vms.append(other)
        dumps.append(dump)
    rules = Rules(LIMIT)
    return "; ".join(of_queue(vm, decide(vms, dumps, day or a_day(), rules, NOW), rules))


def heavy(number: int, *, age: float = 20 * DAY, target: float = 60 * DAY) -> tuple[Vm, Dump]:
    """A VM of half a day's limit whose copy is old."""
    name = f"heavy{number}"
    vm = a_vm(name, bytes=5 * GB, offsite_time=NOW - age, period=DAY, target=target)
    return vm, a_dump(100 + number, name, bytes=5 * GB)


def test_what_leaves_with_room_for_all_has_a_turn_with_each_dump() -> None:
    vm = a_vm("vm1", period=7 * DAY)
    assert told(vm, []) == (
        "at 10 GB a day each of its dumps can leave; it is one of the dumps that make the most of today's limit"
    )


def test_what_waits_names_those_that_make_more_of_the_day() -> None:
    vm = a_vm("vm1", bytes=6 * GB, offsite_time=NOW - 1.5 * DAY, period=DAY, target=60 * DAY)
    line = told(vm, [heavy(1), heavy(2)], size=6 * GB)
    assert line == (
        "at 10 GB a day its fair interval is 2d: one of 2 dumps; heavy1 and heavy2 make more of today's limit"
    )


def test_what_waits_for_a_deadline_names_it() -> None:
    vm = a_vm("vm1", bytes=6 * GB, offsite_time=NOW - 2 * DAY, period=DAY, target=60 * DAY)
    late = heavy(1, age=12 * DAY, target=10 * DAY)
    assert "heavy1 must leave now for its target" in told(vm, [late], size=6 * GB)


def test_a_day_that_is_taken_is_said() -> None:
    vm = a_vm("vm1")
    line = told(vm, [], day=a_day(outstanding=8 * GB, used=2 * GB))
    assert line.endswith("10 GB of today's 10 GB was taken before")


def test_only_a_few_are_named() -> None:
    vm = a_vm("vm1", bytes=9 * GB, offsite_time=NOW - 2 * DAY, period=DAY, target=60 * DAY)
    small = [
        (a_vm(f"s{n}", period=DAY, target=60 * DAY, offsite_time=NOW - 9 * DAY), a_dump(50 + n, f"s{n}"))
        for n in range(10)
    ]
    line = told(vm, small, size=9 * GB)
    assert "and 7 more make more of today's limit" in line


def test_a_vm_without_a_candidate_has_no_reasons_of_its_own() -> None:
    vm = a_vm("vm1", on_hold=True)
    assert told(vm, []) == ""
