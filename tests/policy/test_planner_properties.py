"""What holds for every plan, whatever the facts; and for every VM, however the days go."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from core.reasons import Reason, Verdict
from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Dump, Plan, Rules, Vm
from tests.policy.planner_facts import DAY, HOUR, NOW, a_day, a_dump, a_vm, plan_of, released_ids

NAMES = ("vm1", "vm2", "vm3", "vm4", "vm5", "vm6")
BLOCK_REASONS = (None, None, None, Reason.CHANGED, Reason.DUMP_FAILED, Reason.RUNNING)

ages = st.integers(0, 12).map(lambda days: days * DAY)
sizes = st.integers(0, 14)
vms_of_a_host = st.tuples(
    *(
        st.builds(
            Vm,
            vm=st.just(name),
            backup_set=st.sampled_from((None, "weekly")),
            first_seen=ages.map(lambda age: NOW - age),
            bytes=sizes,
            offsite_time=st.none() | ages.map(lambda age: NOW - age),
            period=st.none() | st.sampled_from((DAY, 7 * DAY)),
            target=st.none() | st.sampled_from((DAY, 7 * DAY)),
            outstanding_since_day=st.sampled_from((None, None, None, 11)),
            on_hold=st.sampled_from((False, False, False, True)),
            backing_off_until=st.sampled_from((None, None, NOW + HOUR, NOW - HOUR)),
            replaces_while_syncing=st.sampled_from((False, False, False, True)),
            forced=st.none(),
            unread_link_bytes=st.just(0),
        )
        for name in NAMES
    )
)
dumps_of_a_host = st.lists(
    st.builds(
        a_dump,
        st.integers(1, 99),
        st.sampled_from(NAMES),
        age=ages,
        bytes=sizes,
        block_reason=st.sampled_from(BLOCK_REASONS),
        outstanding=st.sampled_from((False, False, False, True)),
        offsite=st.sampled_from((False, False, False, True)),
    ),
    max_size=18,
    unique_by=lambda dump: dump.dump_id,
)
days = st.builds(
    a_day,
    limit=st.integers(0, 20),
    reserve=st.integers(0, 4),
    outstanding=st.integers(0, 10),
    used=st.integers(0, 10),
)
max_dump_ages = st.none() | st.just(4 * DAY)


@given(vms_of_a_host, dumps_of_a_host, days, max_dump_ages)
def test_a_plan_is_whole_and_within_the_limit(
    vms: Sequence[Vm], dumps: Sequence[Dump], day: Day, max_dump_age: float | None
) -> None:
    """One decision for each dump, granted or held for one reason; never more bytes than the day has left."""
    plan = plan_of(vms, dumps, day=day, max_dump_age=max_dump_age)

    assert sorted(one.dump.dump_id for one in plan.decisions) == sorted(dump.dump_id for dump in dumps)
    assert all((one.verdict is Verdict.RELEASED) == (one.reason is Reason.RELEASED) for one in plan.decisions)
    assert plan.released_bytes == sum(one.dump.bytes for one in plan.released) <= day.account.left


@given(vms_of_a_host, dumps_of_a_host, days)
def test_what_is_held_for_lack_of_room_would_not_have_fitted_any_more(
    vms: Sequence[Vm], dumps: Sequence[Dump], day: Day
) -> None:
    """So nothing is left of the day that a waiting dump could have used."""
    plan = plan_of(vms, dumps, day=day)

    unused = day.account.left - plan.released_bytes
    without_room = [one for one in plan.decisions if one.reason is Reason.LIMIT_REACHED]
    assert all(one.dump.bytes > unused for one in without_room)
    assert all(one.forecast_day is not None and one.forecast_day > day.number for one in without_room)


@given(vms_of_a_host, dumps_of_a_host, days)
def test_a_vm_has_at_most_one_turn_and_the_turns_are_numbered_from_one(
    vms: Sequence[Vm], dumps: Sequence[Dump], day: Day
) -> None:
    plan = plan_of(vms, dumps, day=day)

    turns = [one for one in plan.decisions if one.position is not None]
    assert sorted(one.position or 0 for one in turns) == list(range(1, len(turns) + 1))
    assert len({one.dump.vm for one in turns}) == len(turns)


@given(vms_of_a_host, dumps_of_a_host, days, st.randoms(use_true_random=False))
def test_the_order_of_the_facts_means_nothing(
    vms: Sequence[Vm], dumps: Sequence[Dump], day: Day, chance: Random
) -> None:
    """Rows come from a database in any order; ties are broken by what is in them."""
    shuffled_vms, shuffled_dumps = list(vms), list(dumps)
    chance.shuffle(shuffled_vms)
    chance.shuffle(shuffled_dumps)

    assert plan_of(shuffled_vms, shuffled_dumps, day=day) == plan_of(vms, dumps, day=day)


@given(vms_of_a_host, dumps_of_a_host, days)
def test_a_second_pass_over_what_the_first_one_did_grants_nothing_more(
    vms: Sequence[Vm], dumps: Sequence[Dump], day: Day
) -> None:
    """Any number of passes a day let out no more than one."""
    first = plan_of(vms, dumps, day=day)

    assert released_ids(plan_of(*_applied(first, vms, dumps), day=_charged(first))) == []


def _applied(plan: Plan, vms: Sequence[Vm], dumps: Sequence[Dump]) -> tuple[list[Vm], list[Dump]]:
    """The facts once what the plan grants has been let out."""
    released = {one.dump.dump_id: one.dump.vm for one in plan.released}
    return (
        [vm._replace(outstanding_since_day=plan.day.number) if vm.vm in released.values() else vm for vm in vms],
        [dump._replace(outstanding=dump.outstanding or dump.dump_id in released) for dump in dumps],
    )


def _charged(plan: Plan) -> Day:
    account = plan.day.account
    return replace(
        plan.day,
        account=replace(account, outstanding=account.outstanding + plan.released_bytes),
    )


@st.composite
def hosts(draw: st.DrawFn) -> tuple[int, dict[str, int]]:
    """A limit, and VMs of which each fits into it alone."""
    limit = draw(st.integers(1, 30))
    return limit, {f"vm{n}": draw(st.integers(1, limit)) for n in range(draw(st.integers(1, 8)))}


@given(hosts())
def test_no_vm_waits_longer_than_the_implied_target(host: tuple[int, dict[str, int]]) -> None:
    """Three times the days that a full set takes: it can always be met, so it is."""
    limit, sizes_by_vm = host
    target = 3 * max(1, -(-sum(sizes_by_vm.values()) // limit))

    turns = _turns_of_days(limit, sizes_by_vm, days=3 * target)

    for own in turns.values():
        waits = [after - before for before, after in zip([-1, *own], [*own, 3 * target], strict=True)]
        assert max(waits) <= target + 1


def _turns_of_days(limit: int, sizes_by_vm: dict[str, int], *, days: int) -> dict[str, list[int]]:
    """On which days each VM leaves when all are dumped daily and every link is fetched in the night."""
    turns: dict[str, list[int]] = {name: [] for name in sizes_by_vm}
    offsite: dict[str, float] = {}
    for number in range(days):
        now = NOW + number * DAY
        vms = [
            a_vm(name, bytes=size, first_seen=NOW, offsite_time=offsite.get(name), target=None)
            for name, size in sizes_by_vm.items()
        ]
        dumps = [
            a_dump(n, name, bytes=size)._replace(dump_time=now) for n, (name, size) in enumerate(sizes_by_vm.items())
        ]
        for one in decide(vms, dumps, Day(number, now, DayAccount(limit)), Rules(limit), now).released:
            turns[one.dump.vm].append(number)
            offsite[one.dump.vm] = now
    return turns


@given(hosts(), st.integers(0, 30))
def test_the_forecast_is_one_that_the_coming_days_can_keep(host: tuple[int, dict[str, int]], used: int) -> None:
    """Nobody is promised room that another has been promised. Who comes first is decided anew each day."""
    limit, sizes_by_vm = host
    vms = [a_vm(name, target=7 * DAY) for name in sizes_by_vm]
    waiting = [a_dump(n, name, bytes=size) for n, (name, size) in enumerate(sizes_by_vm.items())]

    promised: dict[int, int] = {}
    for one in plan_of(vms, waiting, day=a_day(limit=limit, used=used)).decisions:
        day = one.forecast_day or 12
        promised[day] = promised.get(day, 0) + one.dump.bytes

    assert all(size <= limit for size in promised.values())
    assert promised.get(12, 0) <= max(0, limit - used)
