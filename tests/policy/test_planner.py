"""One rule a test: which dumps leave, in which order, and what the others are told."""

import itertools

import pytest

from core.enums import ReleaseRule
from core.reasons import Reason, Verdict
from policy.planner.model import Dump, Vm
from policy.planner.price import fair_interval
from tests.policy.planner_facts import (
    DAY,
    GB,
    HOUR,
    LIMIT,
    NOW,
    VmFacts,
    a_day,
    a_dump,
    a_vm,
    by_dump,
    plan_of,
    reasons,
    released_ids,
)

# --- what leaves, and in which order


def test_a_finished_dump_that_fits_leaves_and_says_how_old_the_copy_is() -> None:
    """The detail gives the two figures that decide the turn."""
    plan = plan_of([a_vm(backup_set="weekly", offsite_time=NOW - 5 * DAY - 2 * HOUR)], [a_dump()])

    only = plan.decisions[0]
    assert (only.verdict, only.reason, only.position) == (Verdict.RELEASED, Reason.RELEASED, 1)
    assert only.detail == "the off-site copy is 5d 2h old, its target is 7d"
    assert (only.backup_set, only.target, only.offsite_age) == ("weekly", 7 * DAY, 5 * DAY + 2 * HOUR)
    assert only.forecast_day is None


def test_a_vm_that_was_never_off_site_says_so_and_has_no_off_site_age() -> None:
    only = plan_of([a_vm(offsite_time=None)], [a_dump()]).decisions[0]

    assert (only.detail, only.offsite_age) == ("never off-site", None)


def test_a_deadline_comes_first_then_the_copy_that_gains_most() -> None:
    """Not the oldest copy: the target of a day cannot wait."""
    vms = [
        a_vm("old", offsite_time=NOW - 6 * DAY, target=14 * DAY),
        a_vm("important", offsite_time=NOW - 2 * DAY, target=1 * DAY),
        a_vm("fresh", offsite_time=NOW - 1 * DAY, target=14 * DAY),
    ]
    dumps = [a_dump(1, "old"), a_dump(2, "important"), a_dump(3, "fresh")]

    plan = plan_of(vms, dumps)

    assert [(one.dump.dump_id, one.rule) for one in plan.released] == [
        (2, ReleaseRule.DEADLINE),
        (1, ReleaseRule.UTILITY),
        (3, ReleaseRule.UTILITY),
    ]


def test_the_set_that_fills_the_day_goes_before_the_one_that_is_dense() -> None:
    """Two of 5 GB gain more per byte each, but 5 and 6 GB gain as much as 11 GB can."""
    vms = [a_vm(f"vm{n}", bytes=size, target=30 * DAY) for n, size in enumerate((5 * GB, 5 * GB, 6 * GB))]
    dumps = [a_dump(n, vm.vm, bytes=vm.bytes) for n, vm in enumerate(vms)]

    plan = plan_of(vms, dumps, day=a_day(limit=11 * GB))

    assert [(one.dump.dump_id, one.rule) for one in plan.released] == [
        (0, ReleaseRule.UTILITY),
        (2, ReleaseRule.UTILITY),
    ]
    assert by_dump(plan)[1].rule is None


def test_the_plan_tells_each_vms_fair_turn() -> None:
    """Ten equal VMs of a day's limit each, dumped daily, have a turn every ten days."""
    vms = [a_vm(f"vm{n}", bytes=LIMIT, target=60 * DAY) for n in range(10)]

    plan = plan_of(vms, [])

    assert {fair_interval(vm, plan.price) for vm in vms} == {10 * DAY}


@pytest.mark.parametrize(
    ("first_seen_days_ago", "period_days", "goes_first"),
    [
        pytest.param(4, None, "new", id="seen 4 days ago and a day before that: older than 4 days"),
        pytest.param(2, None, "known", id="seen 2 days ago and a day before that: younger than 4 days"),
        pytest.param(2, 7, "new", id="its weekly dump was missed for 9 days"),
    ],
)
def test_a_vm_never_off_site_ages_from_a_period_before_it_was_seen(
    first_seen_days_ago: int, period_days: int | None, goes_first: str
) -> None:
    """It neither jumps the queue for ever nor waits behind all others for ever."""
    period = None if period_days is None else period_days * DAY
    new = a_vm("new", offsite_time=None, first_seen=NOW - first_seen_days_ago * DAY, period=period)
    known = a_vm("known", offsite_time=NOW - 4 * DAY)

    plan = plan_of([known, new], [a_dump(1, "known"), a_dump(2, "new")])

    assert plan.released[0].dump.vm == goes_first


def test_of_equal_turns_the_smaller_dump_goes_first_then_the_name() -> None:
    vms = [a_vm(name) for name in ("c", "b", "a")]
    dumps = [a_dump(1, "c", bytes=GB), a_dump(2, "b", bytes=2 * GB), a_dump(3, "a", bytes=2 * GB)]

    assert released_ids(plan_of(vms, dumps)) == [1, 3, 2]


def test_what_does_not_fit_is_skipped_and_keeps_nobody_back() -> None:
    vms = [a_vm("big", offsite_time=NOW - 9 * DAY), a_vm("small", offsite_time=NOW - DAY)]
    dumps = [a_dump(1, "big", bytes=8 * GB), a_dump(2, "small", bytes=GB)]

    plan = plan_of(vms, dumps, day=a_day(used=5 * GB))

    assert reasons(plan) == {1: Reason.LIMIT_REACHED, 2: Reason.RELEASED}
    assert [by_dump(plan)[1].position, by_dump(plan)[2].position] == [2, 1]


@pytest.mark.parametrize(
    ("size", "reason"),
    [(4 * GB, Reason.RELEASED), (4 * GB + 1, Reason.LIMIT_REACHED)],
    ids=["exact fit", "one byte more"],
)
def test_an_exact_fit_fits(size: int, reason: Reason) -> None:
    """What is left is limit less reserve, outstanding and used: here 4 GB."""
    day = a_day(reserve=GB, outstanding=2 * GB, used=3 * GB)

    assert reasons(plan_of([a_vm()], [a_dump(bytes=size)], day=day)) == {1: reason}


def test_a_dump_without_room_is_told_what_is_missing_and_on_which_day_it_would_leave() -> None:
    day = a_day(used=8_100_000_000)

    only = plan_of([a_vm()], [a_dump(bytes=8_100_000_000)], day=day).decisions[0]

    assert only.detail == "8.1 GB does not fit into the 1.9 GB left today (6.2 GB too much)"
    assert only.forecast_day == 13


def test_what_is_left_counts_from_the_turn_of_the_dump() -> None:
    """2 GB are left of 10 when the second has its turn, though 10 were when the pass began."""
    vms = [a_vm("first", offsite_time=NOW - 5 * DAY), a_vm("second")]
    dumps = [a_dump(1, "first", bytes=8 * GB), a_dump(2, "second", bytes=3 * GB)]

    assert "3 GB does not fit into the 2 GB left today" in by_dump(plan_of(vms, dumps))[2].detail


def test_an_account_that_is_overdrawn_lets_nothing_out() -> None:
    """Outstanding and used can pass a limit that was lowered."""
    assert released_ids(plan_of([a_vm()], [a_dump()], day=a_day(outstanding=9 * GB, used=9 * GB))) == []


# --- which dump of a VM


def test_only_the_newest_dump_of_a_vm_leaves_and_the_older_are_superseded() -> None:
    dumps = [a_dump(1, age=3 * HOUR), a_dump(2, age=HOUR), a_dump(3, age=2 * HOUR)]

    plan = plan_of([a_vm()], dumps)

    assert reasons(plan) == {1: Reason.SUPERSEDED, 2: Reason.RELEASED, 3: Reason.SUPERSEDED}
    assert by_dump(plan)[1].detail == "vm1-2 is newer"


@pytest.mark.parametrize(
    "block_reason",
    [
        Reason.RUNNING,
        Reason.OPEN,
        Reason.CHANGED,
        Reason.MISSING,
        Reason.UNSAFE,
        Reason.AMBIGUOUS,
        Reason.BAD_MARKER,
        Reason.VERIFY_FAILED,
        Reason.DUMP_FAILED,
        Reason.LINK_ERROR,
    ],
)
def test_a_hindered_dump_tells_its_hindrance_and_an_older_one_leaves_instead(block_reason: Reason) -> None:
    """A failed or broken newer dump keeps its VM's older one from nothing."""
    dumps = [a_dump(1, age=2 * HOUR), a_dump(2, age=HOUR, block_reason=block_reason, note="as it was found")]

    plan = plan_of([a_vm()], dumps)

    assert reasons(plan) == {1: Reason.RELEASED, 2: block_reason}
    assert by_dump(plan)[2].detail == "as it was found"


def test_an_older_dump_is_superseded_though_the_newer_one_only_waits_for_room() -> None:
    """To have no room today is not to be unable to leave."""
    dumps = [a_dump(1, age=2 * HOUR, bytes=GB), a_dump(2, age=HOUR, bytes=8 * GB)]

    plan = plan_of([a_vm()], dumps, day=a_day(used=5 * GB))

    assert reasons(plan) == {1: Reason.SUPERSEDED, 2: Reason.LIMIT_REACHED}


def test_a_failed_dump_of_one_vm_keeps_no_other_back() -> None:
    vms = [a_vm("failed"), a_vm("well")]
    dumps = [a_dump(1, "failed", block_reason=Reason.DUMP_FAILED), a_dump(2, "well")]

    assert reasons(plan_of(vms, dumps)) == {1: Reason.DUMP_FAILED, 2: Reason.RELEASED}


@pytest.mark.parametrize(
    ("age_days", "detail"),
    [(4, "1d older than the off-site copy"), (3, "as old as the off-site copy")],
    ids=["older", "as old"],
)
def test_a_dump_no_newer_than_the_off_site_copy_gains_nothing(age_days: int, detail: str) -> None:
    only = plan_of([a_vm()], [a_dump(age=age_days * DAY)]).decisions[0]

    assert (only.reason, only.detail) == (Reason.NO_GAIN, detail)


def test_the_dump_that_the_storage_has_is_already_off_site_and_its_elders_gain_nothing() -> None:
    dumps = [a_dump(1, age=3 * DAY, offsite=True), a_dump(2, age=4 * DAY)]

    plan = plan_of([a_vm()], dumps)

    assert reasons(plan) == {1: Reason.ALREADY_OFFSITE, 2: Reason.NO_GAIN}


def test_a_dump_off_site_stays_so_whatever_became_of_its_file() -> None:
    """Its own rotation may have taken it away: nobody needs to care."""
    dump = a_dump(age=3 * DAY, offsite=True, block_reason=Reason.MISSING)

    assert reasons(plan_of([a_vm()], [dump])) == {1: Reason.ALREADY_OFFSITE}


# --- too heavy


def test_an_oversize_dump_is_held_with_the_choices_and_keeps_nobody_back() -> None:
    vms = [a_vm("huge", offsite_time=None), a_vm("vm1")]
    dumps = [a_dump(1, "huge", bytes=12 * GB), a_dump(2, "vm1", bytes=LIMIT)]

    plan = plan_of(vms, dumps)

    assert reasons(plan) == {1: Reason.OVERSIZE, 2: Reason.RELEASED}
    assert by_dump(plan)[1].detail == (
        "12 GB is more than a whole day's limit (10 GB). Raise [limit] daily, "
        'set [limit] oversize = "slices" or "spread", shrink the dump, run `tidegate force huge --over-limit`, '
        "or copy it yourself and run `tidegate mark-sent huge --time 2027-01-15T07:00:00Z`"
    )
    assert by_dump(plan)[1].forecast_day is None


def test_behind_an_oversize_dump_an_older_one_of_its_vm_leaves() -> None:
    dumps = [a_dump(1, age=2 * HOUR, bytes=9 * GB), a_dump(2, age=HOUR, bytes=12 * GB)]

    assert reasons(plan_of([a_vm()], dumps)) == {1: Reason.RELEASED, 2: Reason.OVERSIZE}


def test_an_older_oversize_dump_is_only_superseded() -> None:
    """Nobody has to do anything about it any more."""
    dumps = [a_dump(1, age=2 * HOUR, bytes=12 * GB), a_dump(2, age=HOUR)]

    assert reasons(plan_of([a_vm()], dumps)) == {1: Reason.SUPERSEDED, 2: Reason.RELEASED}


@pytest.mark.parametrize(
    ("today", "daily", "reason", "forecast_day"),
    [
        pytest.param(10 * GB, 10 * GB, Reason.OVERSIZE, None, id="no day can hold it"),
        pytest.param(10 * GB, 20 * GB, Reason.LIMIT_REACHED, 13, id="the limit was raised for the coming days"),
        pytest.param(20 * GB, 10 * GB, Reason.RELEASED, None, id="the limit was lowered for the coming days"),
    ],
)
def test_oversize_is_what_neither_today_nor_a_coming_day_can_hold(
    today: int, daily: int, reason: Reason, forecast_day: int | None
) -> None:
    only = plan_of([a_vm()], [a_dump(bytes=12 * GB)], day=a_day(limit=today), daily=daily).decisions[0]

    assert (only.reason, only.forecast_day) == (reason, forecast_day)


def test_a_dump_that_only_the_reserve_could_hold_is_oversize() -> None:
    """The reserve is never let out, so such a dump could wait for ever."""
    plan = plan_of([a_vm()], [a_dump(bytes=9 * GB)], day=a_day(reserve=2 * GB))

    assert reasons(plan) == {1: Reason.OVERSIZE}


# --- too old


@pytest.mark.parametrize(
    ("dump_age", "offsite_age", "reason"),
    [
        pytest.param(2 * DAY, 3 * DAY, Reason.RELEASED, id="just young enough"),
        pytest.param(2 * DAY + 1, 3 * DAY, Reason.TOO_OLD, id="a second too old"),
        pytest.param(9 * DAY, 14 * DAY, Reason.TOO_OLD, id="at twice the target"),
        pytest.param(9 * DAY, 14 * DAY + 1, Reason.RELEASED, id="past twice the target"),
        pytest.param(9 * DAY, None, Reason.RELEASED, id="never off-site"),
    ],
)
def test_a_dump_past_its_age_is_held_unless_a_late_copy_beats_none(
    dump_age: float, offsite_age: float | None, reason: Reason
) -> None:
    vm = a_vm(offsite_time=None if offsite_age is None else NOW - offsite_age)

    plan = plan_of([vm], [a_dump(age=dump_age)], max_dump_age=2 * DAY)

    assert reasons(plan) == {1: reason}


def test_a_dump_too_old_says_its_age_and_its_elders_are_superseded() -> None:
    """They are older still."""
    plan = plan_of([a_vm()], [a_dump(1, age=50 * HOUR), a_dump(2, age=60 * HOUR)], max_dump_age=2 * DAY)

    assert reasons(plan) == {1: Reason.TOO_OLD, 2: Reason.SUPERSEDED}
    assert by_dump(plan)[1].detail == "older than max_dump_age (2d)"


def test_a_grant_that_waives_the_dump_age_says_so() -> None:
    only = plan_of([a_vm(offsite_time=None)], [a_dump(age=9 * DAY)], max_dump_age=2 * DAY).decisions[0]

    assert only.detail == "never off-site; made 9d ago, past max_dump_age (2d), but a late copy is better than none"


# --- what makes a VM wait


@pytest.mark.parametrize(
    ("facts", "reason", "detail"),
    [
        pytest.param({"on_hold": True}, Reason.ON_HOLD, "`tidegate unhold vm1` ends that", id="hold"),
        pytest.param(
            {"backing_off_until": NOW + 30 * HOUR},
            Reason.BACKING_OFF,
            "the storage did not fetch the VM's last dump; the VM is left out for a week",
            id="backing off",
        ),
        pytest.param(
            {"backing_off_until": NOW + 1.5 * HOUR},
            Reason.BACKING_OFF,
            "the storage did not fetch the VM's last dump; the VM is left out for a week",
            id="backing off for less than a day",
        ),
        pytest.param({"backing_off_until": NOW}, Reason.RELEASED, None, id="no longer backing off"),
        pytest.param(
            {"replaces_while_syncing": True},
            Reason.OUTSTANDING,
            "a sync is running and may be reading the link that it would replace",
            id="sync",
        ),
        pytest.param(
            {"on_hold": True, "outstanding_since_day": 11, "backing_off_until": NOW + DAY},
            Reason.ON_HOLD,
            "`tidegate unhold vm1` ends that",
            id="the admin's word comes first",
        ),
    ],
)
def test_a_vm_can_make_its_candidate_wait(facts: VmFacts, reason: Reason, detail: str | None) -> None:
    only = plan_of([a_vm(**facts)], [a_dump()]).decisions[0]

    assert only.reason == reason
    assert detail is None or only.detail == detail


def test_what_waits_for_its_vm_lets_no_older_dump_out() -> None:
    dumps = [a_dump(1, age=HOUR), a_dump(2, age=2 * HOUR)]

    assert reasons(plan_of([a_vm(on_hold=True)], dumps)) == {1: Reason.ON_HOLD, 2: Reason.SUPERSEDED}


def test_while_a_link_is_outstanding_newer_dumps_of_its_vm_wait() -> None:
    """One link outstanding per VM; its elders are superseded, and of two newer ones the newest waits."""
    dumps = [
        a_dump(1, age=DAY, outstanding=True),
        a_dump(2, age=2 * DAY),
        a_dump(3, age=HOUR),
        a_dump(4, age=2 * HOUR),
    ]

    plan = plan_of([a_vm(outstanding_since_day=11)], dumps)

    assert reasons(plan) == {
        1: Reason.OUTSTANDING,
        2: Reason.SUPERSEDED,
        3: Reason.OUTSTANDING,
        4: Reason.SUPERSEDED,
    }
    assert by_dump(plan)[1].detail == "released on day 11; the storage has not fetched it yet"
    assert by_dump(plan)[3].detail == "waits until its VM's link of day 11 is confirmed"
    assert by_dump(plan)[2].detail == "vm1-3 is newer"
    assert by_dump(plan)[3].forecast_day is None


def test_a_dump_older_than_the_one_let_out_is_superseded_by_it() -> None:
    dumps = [a_dump(1, age=HOUR, outstanding=True), a_dump(2, age=2 * HOUR)]

    plan = plan_of([a_vm(outstanding_since_day=11)], dumps)

    assert reasons(plan) == {1: Reason.OUTSTANDING, 2: Reason.SUPERSEDED}


@pytest.mark.parametrize(
    ("vm", "dumps"),
    [
        pytest.param(a_vm(outstanding_since_day=11), [a_dump()], id="the ledger knows, the dump has its end"),
        pytest.param(a_vm(), [a_dump(2, age=DAY, outstanding=True), a_dump()], id="only the dump knows"),
        pytest.param(
            a_vm(outstanding_since_day=11),
            [a_dump(2, age=DAY, outstanding=True, block_reason=Reason.CHANGED), a_dump()],
            id="the dump let out was rewritten",
        ),
    ],
)
def test_a_link_is_outstanding_whoever_says_so(vm: Vm, dumps: list[Dump]) -> None:
    """Two links of one VM at once would cost its traffic twice."""
    assert reasons(plan_of([vm], dumps))[1] == Reason.OUTSTANDING


def test_a_dump_let_out_and_rewritten_tells_both() -> None:
    dump = a_dump(outstanding=True, block_reason=Reason.CHANGED, note="written at 03:00")

    only = plan_of([a_vm(outstanding_since_day=11)], [dump]).decisions[0]

    assert (only.reason, only.detail) == (
        Reason.CHANGED,
        "written at 03:00; released on day 11; the storage has not fetched it yet",
    )


# --- the forecast


def test_the_forecast_gives_turns_day_by_day_and_skips_what_does_not_fit() -> None:
    """Coming days hold limit less reserve: 9 GB. The third still fits beside the first."""
    vms = [a_vm(f"vm{n}", offsite_time=NOW - (9 - n) * DAY) for n in (1, 2, 3, 4)]
    sizes = {1: 6, 2: 5, 3: 3, 4: 4}
    dumps = [a_dump(n, f"vm{n}", bytes=size * GB) for n, size in sizes.items()]

    plan = plan_of(vms, dumps, day=a_day(reserve=GB, used=9 * GB))

    assert {n: decision.forecast_day for n, decision in by_dump(plan).items()} == {1: 13, 2: 14, 3: 13, 4: 14}


# --- the plan as a whole


def test_the_granted_come_first_then_what_lacks_room_then_the_rest_by_vm_newest_first() -> None:
    vms = [
        a_vm("a", on_hold=True),
        a_vm("b", offsite_time=NOW - 9 * DAY),
        a_vm("c", offsite_time=NOW - 8 * DAY),
        a_vm("d"),
    ]
    dumps = [
        a_dump(1, "a", age=2 * HOUR),
        a_dump(2, "a", age=HOUR),
        a_dump(3, "b", bytes=9 * GB),
        a_dump(4, "c", bytes=9 * GB),
        a_dump(5, "d"),
    ]

    plan = plan_of(vms, dumps)

    assert [decision.dump.dump_id for decision in plan.decisions] == [3, 5, 4, 2, 1]
    assert plan.released_bytes == 10 * GB


def test_dumps_of_one_time_are_told_apart_by_path_then_by_id_in_whatever_order_they_come() -> None:
    dumps = [a_dump(3, path="b"), a_dump(2, path="a"), a_dump(1, path="b")]

    for shuffled in itertools.permutations(dumps):
        assert [one.dump.dump_id for one in plan_of([a_vm()], shuffled).decisions] == [2, 1, 3]


def test_no_dumps_give_an_empty_plan() -> None:
    assert plan_of([a_vm()], []).decisions == ()


def test_a_dump_of_an_unknown_vm_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="dump 7 is of 'ghost', which is not among the VMs"):
        plan_of([a_vm()], [a_dump(7, "ghost")])
