"""Rules that meet: a timetable, a debt and a force in the order of turns and in the forecast."""

from core.enums import Force, Oversize
from policy.planner.decide import decide
from policy.planner.forecast import Start, run_forward
from policy.planner.model import Day, DayAccount, Rules
from policy.planner.price import shadow_price
from tests.policy.planner_facts import DAY, GB, LIMIT, NOW, a_day, a_dump, a_vm, released_ids


def test_a_byte_costs_what_the_average_day_makes_it_cost() -> None:
    """Five days of 10 GB and a weekend without a sync are 7 days of 50/7 GB."""
    vms = [a_vm(f"vm{n}", bytes=3 * GB, period=DAY) for n in range(10)]
    weekend = Rules(LIMIT, coming=(*[10 * GB] * 5, 0, 0))

    assert shadow_price(vms, weekend) == shadow_price(vms, Rules(weekend.mean_day))


def test_what_leaves_alone_has_its_part_in_the_price() -> None:
    vms = [a_vm("light", bytes=5 * GB, period=DAY), a_vm("heavy", bytes=35 * GB, period=7 * DAY)]

    assert shadow_price(vms, Rules(LIMIT)) == 0
    assert shadow_price([*vms, vms[1]._replace(vm="other")], Rules(LIMIT, oversize=Oversize.SPREAD)) > 0


def test_days_that_pay_a_debt_are_not_relied_on_for_a_deadline() -> None:
    """The one due in two days leaves today, before one that is worth more, if the coming days have other duties."""
    vms = [a_vm("due", target=4 * DAY, bytes=6 * GB), a_vm("worth", target=30 * DAY, offsite_time=NOW - 20 * DAY)]
    dumps = [a_dump(1, "due", bytes=6 * GB), a_dump(2, "worth", bytes=6 * GB)]
    vms[1] = vms[1]._replace(bytes=6 * GB)
    free = Day(12, NOW, DayAccount(LIMIT))
    owing = Day(12, NOW, DayAccount(LIMIT, owed=30 * GB))

    assert released_ids(decide(vms, dumps, free, Rules(LIMIT), NOW)) == [2]
    assert released_ids(decide(vms, dumps, owing, Rules(LIMIT), NOW)) == [1]


def test_a_forced_dump_that_does_not_fit_takes_no_room_from_the_best_set() -> None:
    vms = [a_vm("forced", forced=Force.WITHIN_LIMIT), a_vm("a", bytes=4 * GB), a_vm("b", bytes=5 * GB)]
    dumps = [a_dump(1, "forced", bytes=9 * GB), a_dump(2, "a", bytes=4 * GB), a_dump(3, "b", bytes=5 * GB)]
    without = decide(vms[1:], dumps[1:], a_day(used=5 * GB), Rules(LIMIT), NOW)
    beside = decide(vms, dumps, a_day(used=5 * GB), Rules(LIMIT), NOW)

    assert released_ids(beside) == released_ids(without)


def test_a_forecast_pays_a_debt_and_owes_nothing_for_what_was_forced() -> None:
    """25 GB in debt take two and a half days; 25 GB forced above the limit one."""
    light = [a_vm(f"vm{n}", bytes=2 * GB, period=DAY, target=30 * DAY) for n in range(5)]
    heavy = a_vm("heavy", bytes=25 * GB, period=60 * DAY, offsite_time=NOW - 6 * DAY)
    forced = heavy._replace(forced=Force.OVER_LIMIT)
    dump = (a_dump(1, "heavy", bytes=25 * GB),)
    rules = Rules(LIMIT, oversize=Oversize.SPREAD)
    spread = run_forward(Start((*light, heavy), dump, a_day(), rules, NOW), 6)
    over = run_forward(Start((*light, forced), dump, a_day(), rules, NOW), 6)

    assert [day.left for day in spread.days] == [10 * GB, 0, 5 * GB, 10 * GB, 10 * GB, 10 * GB]
    assert [day.left for day in over.days] == [10 * GB] * 6
