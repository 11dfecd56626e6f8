"""Limits that differ from weekday to weekday, and what the planner makes of them."""

import datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.reasons import Reason
from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Rules
from policy.planner.staleness import density, full_set_days
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, HOUR, GivenClock
from tests.host import Host, reasons
from tests.policy.planner_facts import GB, NOW, a_day, a_dump, a_vm, by_dump

WEEK = (GB, 2 * GB, 0, 4 * GB, 5 * GB, 0, 9 * GB)


def test_without_a_timetable_each_coming_day_is_alike() -> None:
    rules = Rules(10 * GB, reserve=GB)

    assert list(islice(rules.coming_days(), 3)) == [9 * GB] * 3
    assert (rules.mean_day, rules.largest_day) == (9 * GB, 9 * GB)


def test_the_days_of_a_timetable_come_in_their_order_and_again() -> None:
    rules = Rules(10 * GB, coming=WEEK)

    assert list(islice(rules.coming_days(), 9)) == [*WEEK, *WEEK[:2]]
    assert (rules.mean_day, rules.largest_day) == (3 * GB, 9 * GB)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7).filter(any), st.integers(0, 40))
def test_the_coming_days_pay_a_debt_first_and_to_the_byte(coming: list[int], debt: int) -> None:
    """What they give less is the debt, and none of them gives anything while a later one still pays."""
    rules = Rules(1, coming=tuple(coming))
    days = 7 * (debt + 1)
    paid = [
        whole - given for whole, given in zip(islice(rules.coming_days(), days), rules.coming_days(debt), strict=False)
    ]

    assert sum(paid) == debt
    assert all(given == 0 or not any(paid[n + 1 :]) for n, given in enumerate(islice(rules.coming_days(debt), days)))


def test_a_full_set_and_the_density_take_the_average_day() -> None:
    """6 GB every 4 days are half of the 3 GB of an average day; what fits the largest day has its part in it."""
    rules = Rules(10 * GB, coming=WEEK)

    assert full_set_days([a_vm("a", bytes=9 * GB), a_vm("b", bytes=GB), a_vm("c", bytes=10 * GB)], rules) == 4
    assert density([a_vm(bytes=6 * GB, target=4 * DAY)], rules) == (0.5, 3 * GB // 2)


def test_a_dump_is_oversize_only_above_the_largest_day() -> None:
    """On another day it waits."""
    vms = [a_vm("a"), a_vm("b")]
    dumps = [a_dump(1, "a", bytes=9 * GB), a_dump(2, "b", bytes=9 * GB + 1)]
    plan = decide(vms, dumps, a_day(limit=GB), Rules(10 * GB, coming=WEEK), NOW)

    assert by_dump(plan)[1].reason is Reason.LIMIT_REACHED
    assert by_dump(plan)[2].reason is Reason.OVERSIZE


def test_a_day_without_a_sync_lets_nothing_out() -> None:
    day = Day(12, NOW, DayAccount(0))

    assert not decide([a_vm()], [a_dump()], day, Rules(10 * GB, coming=WEEK), NOW).released


# --- through the real commands


def at_weekday(clock: GivenClock, weekday: int, hour: int) -> None:
    """Moves the clock to the next such weekday and hour, in UTC."""
    now = datetime.datetime.fromtimestamp(clock.wall, datetime.UTC)
    then = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    then += datetime.timedelta((weekday - now.weekday()) % 7)
    clock.advance((then + datetime.timedelta(7 * (then <= now)) - now).total_seconds())


@pytest.fixture
def weekly(tmp_path: Path) -> AtGivenTime:
    """1000 bytes a day, 5000 on a Saturday, none on a Sunday; the sync is at two in the night and reports itself."""
    limit = {"weekdays": {"saturday": "5000 B", "sunday": "0 B"}}
    return AtGivenTime(
        Host(tmp_path, daily=1000, limit=limit, day={"timezone": "UTC"}, offsite={"confirm": "report"}), GivenClock()
    )


def limits(weekly: AtGivenTime, days: int) -> list[int]:
    """The limit at the noon of each day; the sync of the night in between runs only if there was one."""
    seen = []
    for _ in range(days):
        day = weekly.json("pass")["day"]
        seen.append(day["limit_bytes"])
        weekly.clock.advance(14 * HOUR)
        if day["limit_bytes"]:
            weekly.run("synced", "--all")
        weekly.clock.advance(10 * HOUR)
    return seen


def test_each_day_has_the_limit_of_the_weekday_on_which_it_opens(weekly: AtGivenTime) -> None:
    """From a Thursday noon on; the day that opened in the night to Monday has Monday's, although no sync came."""
    at_weekday(weekly.clock, 3, 12)

    assert limits(weekly, 7) == [1000, 1000, 5000, 0, 1000, 1000, 1000]


def test_a_dump_that_only_saturday_holds_waits_for_it(weekly: AtGivenTime) -> None:
    at_weekday(weekly.clock, 4, 12)
    weekly.host.dump("vm1.img", 4000)
    weekly.host.dump("vm2.img", 6000)

    assert reasons(weekly.json("pass")) == {"vm1.img": "limit_reached", "vm2.img": "oversize"}
    weekly.clock.advance(14 * HOUR)
    weekly.run("synced", "--all")
    weekly.clock.advance(10 * HOUR)
    assert reasons(weekly.json("pass")) == {"vm1.img": "released", "vm2.img": "oversize"}


def test_with_a_day_that_ends_at_a_time_the_weekday_is_that_of_the_boundary(tmp_path: Path) -> None:
    """The day of Friday evening, first looked at on Saturday, is Friday's."""
    limit = {"weekdays": {"friday": "500 B"}}
    day = {"ends": "at", "at": "22:00", "timezone": "UTC"}
    weekly = AtGivenTime(Host(tmp_path, daily=1000, limit=limit, day=day), GivenClock())
    at_weekday(weekly.clock, 4, 12)

    assert limits(weekly, 4) == [1000, 500, 1000, 1000]
