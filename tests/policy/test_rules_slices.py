"""What may go of a dump that is sent in slices, and when it will be whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.enums import Oversize
from core.reasons import Reason, Verdict
from policy.planner.decide import decide
from policy.planner.forecast import Start, run_forward
from policy.planner.model import Day, DayAccount, Rules, Slice, SliceProgress
from policy.planner.oversize import set_aside, slices_of_today
from tests.policy.planner_facts import DAY, GB, LIMIT, NOW, a_day, a_dump, a_vm

RULES = Rules(10 * GB)


def slice_of_today(size: int, sent: int, day: Day, rules: Rules, *, others: int = 0) -> Slice:
    """Of a dump that is alone with others that take so many bytes of what is left of the day."""
    dump = a_dump(1, "huge", bytes=size)._replace(progress=SliceProgress(sent))
    return slices_of_today([dump], {1: 0}, max(0, day.account.left - others), day, rules)[1]


@pytest.mark.parametrize(
    ("sent", "day", "others", "expected"),
    [
        pytest.param(0, a_day(), 5 * GB, Slice(0, 5 * GB, 16), id="half a day, and four more"),
        pytest.param(0, a_day(), 0, Slice(0, 10 * GB, 15), id="a day that nobody else wants"),
        pytest.param(5 * GB, a_day(used=9 * GB), 0, Slice(5 * GB, GB, 16), id="what is left"),
        pytest.param(24 * GB, a_day(), 5 * GB, Slice(24 * GB, GB, 12), id="the last one"),
        pytest.param(25 * GB, a_day(), 5 * GB, Slice(25 * GB, 0, 12), id="all has gone"),
        pytest.param(0, a_day(limit=0), 0, Slice(0, 0, 17), id="a day without a sync"),
    ],
)
def test_a_slice_begins_where_the_last_one_ended(sent: int, day: Day, others: int, expected: Slice) -> None:
    """25 GB at 10 GB a day."""
    assert slice_of_today(25 * GB, sent, day, RULES, others=others) == expected


def test_half_of_the_day_is_set_aside_and_never_more_than_is_needed_or_left() -> None:
    assert set_aside(25 * GB, 0, a_day().account) == 5 * GB
    assert set_aside(25 * GB, 23 * GB, a_day().account) == 2 * GB
    assert set_aside(25 * GB, 0, a_day(used=9 * GB).account) == GB


def test_where_no_day_lets_anything_out_nobody_knows_when() -> None:
    assert slice_of_today(25, 0, a_day(limit=0), Rules(10, coming=(0,))).complete_on is None


@given(
    st.integers(0, 300),
    st.lists(st.integers(0, 30), min_size=1, max_size=7).filter(lambda limits: max(limits) > 1),
    st.lists(st.integers(0, 30), min_size=1, max_size=20),
)
def test_the_slices_are_the_dump_within_every_limit_and_whole_when_it_was_said(
    size: int, limits: list[int], wanted: list[int]
) -> None:
    """Whatever the others want, they leave what is set aside."""
    sent, promised = 0, []
    for number in range(len(limits) * 301):
        rest = number % len(limits) + 1
        rules = Rules(1, coming=(*limits[rest:], *limits[:rest]))
        day = Day(number, NOW, DayAccount(limits[number % len(limits)]))
        aside = set_aside(size, sent, day.account)
        others = min(wanted[number % len(wanted)], day.account.left - aside)
        slice_ = slice_of_today(size, sent, day, rules, others=others)
        assert slice_.first == sent
        assert aside <= slice_.bytes <= day.account.left - others
        assert slice_.complete_on is not None
        promised.append(slice_.complete_on)
        sent += slice_.bytes
        if sent == size:
            break
    assert sent == size
    assert min(promised) == number
    assert promised == sorted(promised, reverse=True)


# --- in the plan


SLICES = Rules(10 * GB, oversize=Oversize.SLICES)


def test_a_dump_heavier_than_a_day_begins_and_the_others_have_half() -> None:
    """It has what they leave."""
    plan = decide(
        [a_vm("huge", bytes=25 * GB), a_vm("vm1", bytes=4 * GB), a_vm("vm2", bytes=4 * GB)],
        [a_dump(1, "huge", bytes=25 * GB), a_dump(2, "vm1", bytes=4 * GB), a_dump(3, "vm2", bytes=4 * GB)],
        a_day(),
        SLICES,
        NOW,
    )
    assert {one.dump.vm: one.charge for one in plan.released} == {"huge": 6 * GB, "vm1": 4 * GB}
    [sliced] = plan.slices
    assert sliced.slice == Slice(0, 6 * GB, 16)
    assert "0 B of 25 GB sent, 6 GB may go today, complete on day 16 at the latest" in sliced.detail
    assert plan.released_bytes == 10 * GB


@pytest.mark.parametrize(
    ("offsite_time", "day"), [pytest.param(NOW - DAY, 20, id="a copy"), pytest.param(None, 19, id="no copy")]
)
def test_one_that_is_not_due_yet_says_when_its_first_slice_goes(offsite_time: float | None, day: int) -> None:
    huge = a_vm("huge", bytes=25 * GB, offsite_time=offsite_time, first_seen=NOW - DAY, target=20 * DAY)
    [held] = decide([huge], [a_dump(1, "huge", bytes=25 * GB)], a_day(), SLICES, NOW).decisions
    assert (held.verdict, held.reason) == (Verdict.WAITING, Reason.LIMIT_REACHED)
    assert held.detail == f"25 GB is more than a whole day's limit; it leaves in slices, the first on day {day}"


def test_one_that_is_under_way_goes_on_and_neither_a_newer_one_nor_another_begins() -> None:
    begun = a_dump(1, "huge", bytes=25 * GB)._replace(outstanding=True, progress=SliceProgress(10 * GB))
    newer = a_dump(2, "huge", bytes=24 * GB, age=60.0)
    plan = decide(
        [
            a_vm("huge", bytes=25 * GB, outstanding_since_day=11),
            a_vm("other", bytes=30 * GB),
            a_vm("vm1", bytes=5 * GB),
        ],
        [begun, newer, a_dump(3, "other", bytes=30 * GB), a_dump(4, "vm1", bytes=5 * GB)],
        a_day(),
        SLICES,
        NOW,
    )
    assert [(one.dump.dump_id, one.slice) for one in plan.slices] == [(1, Slice(10 * GB, 5 * GB, 14))]
    assert [one.dump.vm for one in plan.released] == ["vm1"]
    held = {one.dump.dump_id: (one.reason, one.detail) for one in plan.decisions if one.dump.dump_id != 4}
    assert held[2][0] is Reason.OUTSTANDING
    assert held[3][0] is Reason.LIMIT_REACHED
    assert held[3][1].endswith("it leaves in slices when the dump of huge is complete")


def test_a_later_pass_of_the_day_takes_back_what_has_not_gone_and_leaves_half() -> None:
    """All of the day was set for it; 2 GB of that have gone."""
    begun = a_dump(1, "huge", bytes=25 * GB)._replace(
        outstanding=True, progress=SliceProgress(0, today=10 * GB, committed=2 * GB)
    )
    vms = [a_vm("huge", bytes=25 * GB, outstanding_since_day=12), a_vm("vm1", bytes=5 * GB), a_vm("vm2", bytes=3 * GB)]
    dumps = [begun, a_dump(2, "vm1", bytes=5 * GB), a_dump(3, "vm2", bytes=3 * GB)]
    plan = decide(vms, dumps, Day(12, NOW, DayAccount(LIMIT, sliced=10 * GB)), SLICES, NOW)
    assert sum(one.charge for one in plan.released) + plan.slices[0].charge == 10 * GB
    assert plan.slices[0].charge >= 5 * GB
    pinned = begun._replace(progress=SliceProgress(0, today=10 * GB, committed=10 * GB))
    assert (
        decide(vms, [pinned, *dumps[1:]], Day(12, NOW, DayAccount(LIMIT, sliced=10 * GB)), SLICES, NOW).released == ()
    )


def test_the_rest_of_one_that_a_day_cut_short_has_what_it_needs_first() -> None:
    rest = a_dump(1, "vm1", bytes=4 * GB)._replace(outstanding=True, progress=SliceProgress(3 * GB))
    plan = decide(
        [a_vm("vm1", bytes=4 * GB, outstanding_since_day=11), a_vm("vm2", bytes=9 * GB)],
        [rest, a_dump(2, "vm2", bytes=9 * GB)],
        a_day(),
        SLICES,
        NOW,
    )
    assert [one.charge for one in plan.slices] == [GB]
    assert [one.dump.vm for one in plan.released] == ["vm2"]


def test_it_is_foreseen_when_the_last_slice_goes() -> None:
    """25 GB beside 4 GB a day, at 10 GB a day: six, six, six, six, and one more."""
    vms = (a_vm("huge", bytes=25 * GB, period=30 * DAY), a_vm("vm1", bytes=4 * GB, period=DAY))
    dumps = (a_dump(1, "huge", bytes=25 * GB), a_dump(2, "vm1", bytes=4 * GB))
    seen = {one.vm.vm: one for one in run_forward(Start(vms, dumps, a_day(), SLICES, NOW), 8).vms}
    assert seen["huge"].days_out == (4,)
    assert seen["vm1"].days_out == tuple(range(8))


@given(
    size=st.integers(11, 60),
    sent=st.integers(0, 11),
    used=st.integers(0, 10),
    others=st.lists(st.integers(1, 9), max_size=6),
    is_under_way=st.booleans(),
)
def test_slices_and_whole_dumps_together_never_take_more_than_the_day_has(
    size: int, sent: int, used: int, others: list[int], *, is_under_way: bool
) -> None:
    huge = a_dump(1, "huge", bytes=size)
    if is_under_way:
        huge = huge._replace(outstanding=True, progress=SliceProgress(min(sent, size)))
    vms = [a_vm("huge", bytes=size, outstanding_since_day=11 if is_under_way else None)]
    dumps = [huge]
    for number, weight in enumerate(others, 2):
        vms.append(a_vm(f"vm{number}", bytes=weight))
        dumps.append(a_dump(number, f"vm{number}", bytes=weight))
    plan = decide(vms, dumps, Day(10, NOW, DayAccount(10, used=used)), Rules(10, oversize=Oversize.SLICES), NOW)
    held_slices = sum(one.charge for one in plan.slices if one.verdict is not Verdict.RELEASED)
    assert plan.released_bytes + held_slices <= 10 - used
    assert len({one.dump.dump_id for one in plan.decisions}) == len(plan.decisions) == len(dumps)
