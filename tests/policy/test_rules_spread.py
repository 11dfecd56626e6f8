"""``oversize = "spread"``: a dump heavier than any day leaves alone, and the days after it pay."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import failpoints
from core.enums import Force, Oversize
from core.reasons import Reason
from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Dump, Plan, Rules, Vm
from policy.planner.staleness import density, full_set_days
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons
from tests.policy.planner_facts import DAY, GB, NOW, a_day, a_dump, a_vm, by_dump, released_ids

SPREAD = Rules(10 * GB, oversize=Oversize.SPREAD)
#: With a target of seven days it is due at an age of 4 d 16 h.
DUE, EARLY = NOW - 5 * DAY, NOW - 4 * DAY


def planned(vms: Iterable[Vm], dumps: Iterable[Dump], day: Day | None = None, rules: Rules = SPREAD) -> Plan:
    return decide(vms, dumps, day or a_day(), rules, NOW)


def heavy_beside(name: str = "light", **facts: object) -> tuple[list[Vm], list[Dump]]:
    """A due VM of 25 GB, and a light one beside it."""
    vms = [a_vm("heavy", offsite_time=DUE, bytes=25 * GB), a_vm(name)._replace(**facts)]  # type: ignore[arg-type]
    return vms, [a_dump(1, "heavy", bytes=25 * GB), a_dump(2, name)]


def test_a_due_one_leaves_alone_and_leaves_a_debt() -> None:
    plan = planned(*heavy_beside())

    assert released_ids(plan) == [1]
    assert (by_dump(plan)[1].debt, by_dump(plan)[1].over_limit, plan.over_limit) == (15 * GB, 0, ())
    assert by_dump(plan)[2].reason is Reason.LIMIT_REACHED
    assert by_dump(plan)[1].detail == (
        "the off-site copy is 5d old, its target is 7d; 25 GB has the day for itself, and the coming days pay 15 GB"
    )


@pytest.mark.parametrize(
    ("account", "detail", "forecast_day"),
    [
        (DayAccount(10 * GB, used=1), "on the next day of which nothing is taken yet", 13),
        (DayAccount(10 * GB, outstanding=1), "on the next day of which nothing is taken yet", 13),
        (DayAccount(10 * GB, debt=1), "when the debt of 1 B is paid", 13),
        (DayAccount(10 * GB, debt=15 * GB, owed=5 * GB), "when the debt of 15 GB is paid", 14),
        (DayAccount(10 * GB, outstanding=25 * GB, owed=15 * GB), "when the debt of 15 GB is paid", 15),
        (DayAccount(0), "on the next day of which nothing is taken yet", 13),
    ],
)
def test_it_waits_for_a_day_of_which_nothing_is_taken(account: DayAccount, detail: str, forecast_day: int) -> None:
    vms, dumps = heavy_beside()
    plan = planned(vms, dumps, Day(12, NOW, account))

    assert by_dump(plan)[1].reason is Reason.LIMIT_REACHED
    assert by_dump(plan)[1].detail == f"25 GB is more than a whole day's limit; it leaves alone {detail}"
    assert by_dump(plan)[1].forecast_day == forecast_day


def test_it_waits_until_it_is_due_and_says_when() -> None:
    vm = a_vm("heavy", offsite_time=EARLY, bytes=25 * GB)
    decision = by_dump(planned([vm], [a_dump(1, "heavy", bytes=25 * GB)]))[1]

    assert decision.reason is Reason.LIMIT_REACHED
    assert decision.detail == (
        "25 GB is more than a whole day's limit; it leaves alone when the off-site copy is 4d 16h old"
    )
    assert decision.forecast_day == 13


def test_it_leaves_the_day_to_whoever_is_later() -> None:
    """Each counted from two thirds of its target: the light one is 2 d 8 h late, the heavy one 8 h."""
    vms, dumps = heavy_beside(offsite_time=NOW - 7 * DAY)
    plan = planned(vms, dumps)

    assert released_ids(plan) == [2]
    assert by_dump(plan)[1].detail.endswith("it leaves alone when no other dump is later than it")


def test_forced_it_need_not_be_due_nor_the_latest() -> None:
    vms, dumps = heavy_beside(offsite_time=NOW - 30 * DAY)
    vms[0] = vms[0]._replace(offsite_time=EARLY, forced=Force.WITHIN_LIMIT)

    assert released_ids(planned(vms, dumps)) == [1]


def test_never_two_at_once() -> None:
    vms = [a_vm(name, offsite_time=None, bytes=25 * GB) for name in ("a", "b")]

    assert released_ids(planned(vms, [a_dump(1, "a", bytes=25 * GB), a_dump(2, "b", bytes=26 * GB)])) == [1]


def test_a_dump_that_the_largest_day_holds_is_not_spread() -> None:
    vms, dumps = heavy_beside()
    plan = planned(vms, dumps, rules=replace(SPREAD, coming=(10 * GB, 25 * GB)))

    assert released_ids(plan) == [2]
    assert by_dump(plan)[1].detail.startswith("25 GB does not fit into the ")


def test_what_leaves_alone_has_its_part_in_a_full_set_and_in_the_density() -> None:
    vms = [a_vm("a", bytes=25 * GB, target=5 * DAY), a_vm("b", bytes=5 * GB, target=DAY)]

    assert full_set_days(vms, SPREAD) == 3
    assert density(vms, SPREAD) == (1.0, 10 * GB)


# --- over many days

sizes = st.lists(st.integers(1, 45), min_size=1, max_size=6)


class Days:
    """A storage that fetches everything each night, and VMs that are dumped each day."""

    def __init__(self, sizes: list[int], limits: list[int], target: float | None = None) -> None:
        self.rules = Rules(10, oversize=Oversize.SPREAD, coming=tuple(limits))
        self.limits = limits
        self.vms = [
            Vm(f"vm{n}", None, first_seen=NOW, bytes=size, period=DAY, target=target) for n, size in enumerate(sizes)
        ]
        self.debt = 0
        self.out: list[int] = []
        self.oldest = 0.0

    def live(self, days: int) -> None:
        for number in range(days):
            self.live_on(number)

    def live_on(self, number: int) -> None:
        now = NOW + number * DAY
        limit = self.limits[number % len(self.limits)]
        rest = number % len(self.limits) + 1
        rules = replace(self.rules, coming=(*self.limits[rest:], *self.limits[:rest]))
        dumps = [Dump(n, vm.vm, vm.vm, vm.bytes, now - HOUR) for n, vm in enumerate(self.vms)]
        day = Day(number, now, DayAccount(limit, debt=self.debt, owed=max(0, self.debt - limit)))
        released = decide(self.vms, dumps, day, rules, now).released
        out = {one.dump.vm for one in released}
        self.vms = [vm._replace(offsite_time=now - HOUR) if vm.vm in out else vm for vm in self.vms]
        self.debt = max(0, self.debt - limit) + sum(one.debt for one in released)
        self.out.append(sum(one.dump.bytes for one in released))
        self.oldest = max(now - (NOW if vm.offsite_time is None else vm.offsite_time) for vm in self.vms)


@given(sizes, st.lists(st.integers(0, 20), min_size=1, max_size=7).filter(any))
def test_over_any_run_of_days_no_more_leaves_than_their_limits_debt_included(
    sizes: list[int], limits: list[int]
) -> None:
    """Σ let out + debt at its begin ≤ Σ limits + debt at its end; so from any debt-free day to any other one."""
    days = Days(sizes, limits)
    owed = [0]
    for number in range(40):
        days.live_on(number)
        owed.append(days.debt)
    given_ = [limits[number % len(limits)] for number in range(40)]
    for first in range(40):
        for last in range(first + 1, 41):
            assert sum(days.out[first:last]) + owed[first] <= sum(given_[first:last]) + owed[last]


@example([1, 10], HOUR)
@given(sizes, st.sampled_from([None, HOUR, DAY, 5 * DAY, 60 * DAY]))
def test_nobody_starves_however_heavy_and_whatever_the_targets(sizes: list[int], target: float | None) -> None:
    """Not the heavy ones, and not those beside them: after 200 days nobody is older than the whole set needs."""
    days = Days(sizes, [10], target)
    days.live(200)
    whole_set = 2 * sum(-(-size // 10) for size in sizes)

    assert days.oldest <= max(61, 4 * whole_set) * DAY


# --- through the real commands


@pytest.fixture
def at(tmp_path: Path) -> AtGivenTime:
    """1000 bytes a day; a report ends it; a target of three days makes a heavy VM due after two."""
    host = Host(
        tmp_path,
        daily=1000,
        limit={"oversize": "spread"},
        offsite={"confirm": "report"},
        day={"at_least": "0s"},
        staleness={"target": "3d"},
    )
    return AtGivenTime(host, GivenClock())


def next_day(at: AtGivenTime) -> None:
    at.clock.advance(12 * HOUR)
    at.run("synced", "--all")
    at.clock.advance(12 * HOUR)


def account(at: AtGivenTime) -> tuple[int, int, int]:
    """Left, used and debt, as `status` tells them; the metrics say the same."""
    day = at.json("status")["day"]
    assert day["left_bytes"] == max(0, day["limit_bytes"] - day["outstanding_bytes"] - day["used_bytes"])
    metrics = at.run("export-metrics", "--output", "-").splitlines()
    for name in ("debt", "used", "left"):
        (value,) = [float(line.split()[1]) for line in metrics if line.startswith(f"tidegate_day_{name}_bytes ")]
        assert value == day.get(f"{name}_bytes", 0), name
    return day["left_bytes"], day["used_bytes"], day.get("debt_bytes", 0)


def test_the_days_after_pay_a_limit_each_and_then_all_is_as_before(at: AtGivenTime) -> None:
    at.host.dump("heavy", 2500)
    at.run("pass")
    at.clock.advance(48 * HOUR)
    assert reasons(at.json("pass")) == {"heavy": "released"}
    assert account(at) == (0, 0, 1500)
    at.host.dump("light", 400)
    assert reasons(at.json("pass")) == {"heavy": "outstanding", "light": "limit_reached"}
    next_day(at)
    assert reasons(at.json("pass"))["light"] == "limit_reached"
    assert account(at) == (0, 1500, 1500)
    next_day(at)
    assert reasons(at.json("pass"))["light"] == "released"
    assert account(at) == (100, 500, 500)
    next_day(at)
    at.run("pass")
    assert account(at) == (1000, 0, 0)


def test_status_tells_the_debt(at: AtGivenTime) -> None:
    at.host.dump("heavy", 2500)
    at.run("pass")
    at.clock.advance(48 * HOUR)
    at.run("pass")

    assert "1.5 kB in debt" in at.run("status")


class KilledError(BaseException):
    """As far as the files show, the pass was killed here."""


def killed_at(point: str) -> Callable[[str], None]:
    def hook(name: str) -> None:
        if name == point:
            raise KilledError

    return hook


@pytest.mark.parametrize("point", ["released", "after link", "after fsync"])
def test_a_pass_killed_at_any_instant_leaves_the_debt_right(
    at: AtGivenTime, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the day is over when the next pass comes: a link that never stood leaves none."""
    at.host.dump("heavy", 2500)
    at.run("pass")
    at.clock.advance(48 * HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "hook", killed_at(point))
        with pytest.raises(KilledError):
            at.run("pass")
    assert at.json("status")["day"]["left_bytes"] == 0
    at.run("synced", "--all")
    at.run("pass")
    stood = point != "released"
    assert account(at) == ((0, 1500, 1500) if stood else (0, 0, 1500))
