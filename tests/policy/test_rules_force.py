"""The admin's word that a VM's next dump comes first: within the limit, or above it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import failpoints
from core.enums import Force
from core.errors import UsageError
from core.reasons import Reason
from policy.passes.release import Releaser
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons
from tests.policy.planner_facts import DAY, GB, NOW, a_day, a_dump, a_vm, by_dump, plan_of, released_ids

WITHIN, OVER = Force.WITHIN_LIMIT, Force.OVER_LIMIT


def test_a_forced_dump_is_the_first_in_line() -> None:
    """Before one that is far staler; the other no longer fits."""
    vms = [a_vm("stale", offsite_time=None), a_vm("urgent", forced=WITHIN, offsite_time=NOW - 2 * HOUR)]
    plan = plan_of(vms, [a_dump(1, "stale", bytes=6 * GB), a_dump(2, "urgent", bytes=5 * GB)])

    assert released_ids(plan) == [2]
    assert by_dump(plan)[2].detail == "forced by the admin"


def test_a_forced_dump_that_does_not_fit_waits_and_keeps_nobody_back() -> None:
    plan = plan_of(
        [a_vm("a", forced=WITHIN), a_vm("b")], [a_dump(1, "a", bytes=8 * GB), a_dump(2, "b")], day=a_day(used=5 * GB)
    )

    assert released_ids(plan) == [2]
    assert by_dump(plan)[1].reason is Reason.LIMIT_REACHED


def test_a_dump_forced_above_the_limit_leaves_whatever_is_left() -> None:
    """It says by how much; nobody else leaves beside it."""
    plan = plan_of(
        [a_vm("a", forced=OVER), a_vm("b")], [a_dump(1, "a", bytes=8 * GB), a_dump(2, "b")], day=a_day(used=5 * GB)
    )

    assert released_ids(plan) == [1]
    assert by_dump(plan)[1].over_limit == 3 * GB
    assert by_dump(plan)[1].detail == "forced by the admin, 3 GB above the limit"
    assert plan.over_limit == plan.released


def test_forced_above_the_limit_an_oversize_dump_leaves_too() -> None:
    dump = [a_dump(bytes=25 * GB)]

    assert [one.over_limit for one in plan_of([a_vm(forced=OVER)], dump).released] == [15 * GB]
    assert by_dump(plan_of([a_vm(forced=WITHIN)], dump))[1].reason is Reason.OVERSIZE


@pytest.mark.parametrize("how", [WITHIN, OVER])
def test_force_comes_before_backing_off_and_an_age_that_is_not_worth_it(how: Force) -> None:
    vms = [a_vm("a", forced=how, backing_off_until=NOW + DAY), a_vm("b", forced=how)]
    plan = plan_of(vms, [a_dump(1, "a"), a_dump(2, "b", age=2 * DAY)], max_dump_age=DAY)

    assert released_ids(plan) == [1, 2]


@pytest.mark.parametrize(
    ("vm", "dump", "reason"),
    [
        (a_vm(forced=OVER, outstanding_since_day=11), a_dump(), Reason.OUTSTANDING),
        (a_vm(forced=OVER, replaces_while_syncing=True), a_dump(), Reason.OUTSTANDING),
        (a_vm(forced=OVER), a_dump(block_reason=Reason.CHANGED), Reason.CHANGED),
        (a_vm(forced=OVER), a_dump(age=4 * DAY), Reason.NO_GAIN),
    ],
)
def test_force_lets_out_nothing_that_must_not_leave(vm: object, dump: object, reason: Reason) -> None:
    assert by_dump(plan_of([vm], [dump]))[1].reason is reason  # type: ignore[list-item]


@given(
    st.lists(st.tuples(st.integers(1, 25), st.sampled_from([None, None, WITHIN, OVER])), max_size=12),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_only_what_is_forced_above_the_limit_exceeds_it_and_by_no_more_than_it_must(
    dumps: list[tuple[int, Force | None]], used: int, limit: int
) -> None:
    """Σ let out is at most what was left and what was forced above; and to the byte what the decisions say."""
    vms = [a_vm(f"vm{n}", forced=how) for n, (_, how) in enumerate(dumps)]
    day = a_day(limit=limit, used=used)
    plan = plan_of(vms, [a_dump(n, f"vm{n}", bytes=size) for n, (size, _) in enumerate(dumps)], day=day, daily=20)
    forced_over = {n for n, (_, how) in enumerate(dumps) if how is OVER}
    within = sum(one.dump.bytes for one in plan.released if one.dump.dump_id not in forced_over)

    assert forced_over <= set(released_ids(plan))
    assert {one.dump.dump_id for one in plan.over_limit} <= forced_over
    assert within <= day.account.left
    assert sum(one.over_limit for one in plan.released) == max(0, plan.released_bytes - day.account.left)


# --- through the real commands


@pytest.fixture
def at(tmp_path: Path) -> AtGivenTime:
    """1000 bytes a day; a report ends it."""
    host = Host(tmp_path, daily=1000, offsite={"confirm": "report"}, day={"at_least": "0s"})
    return AtGivenTime(host, GivenClock())


def next_day(at: AtGivenTime) -> None:
    at.clock.advance(HOUR)
    at.run("synced", "--all")
    at.clock.advance(HOUR)


def forced(at: AtGivenTime) -> list[str]:
    return [vm for vm, one in at.status().items() if one["forced"]]


def test_a_force_is_spent_when_its_dump_has_left(at: AtGivenTime) -> None:
    """First in line once: the next dump of that VM takes its turn like any other's."""
    for vm in ("vm1", "vm2", "vm3"):
        at.host.dump(f"{vm}-2026-11-01", 900)
    at.run("pass")
    at.run("force", "vm3")
    assert forced(at) == ["vm3"]
    assert "Its next dump is forced (within-limit)" in at.run("explain", "vm3")
    next_day(at)
    assert reasons(at.json("pass"))["vm3-2026-11-01"] == "released"
    assert forced(at) == []
    at.host.dump("vm3-2026-11-02", 900)
    next_day(at)
    assert reasons(at.json("pass"))["vm2-2026-11-01"] == "released"


def test_above_the_limit_is_told_loudly_charged_in_full_and_counted(at: AtGivenTime) -> None:
    for vm in ("vm1", "vm2"):
        at.host.dump(vm, 900)
    at.run("pass")
    assert "ABOVE THE LIMIT" in at.run("force", "vm2", "--over-limit")
    told = at.host.run("pass")

    assert "vm2: 800 B released above the limit: forced" in told.stderr
    assert "vm2: released 800 B above the limit" in told.stderr
    shape = at.json("pass")
    assert (shape["day"]["outstanding_bytes"], shape["day"]["left_bytes"]) == (1800, 0)
    assert "tidegate_limit_exceeded_bytes_total 800" in at.run("export-metrics", "--output", "-")
    assert forced(at) == []


def test_a_dry_run_counts_and_logs_nothing(at: AtGivenTime) -> None:
    at.host.dump("vm1", 5000)
    at.run("pass")
    at.run("force", "vm1", "--over-limit")
    told = at.host.run("plan")

    assert "vm1: 4 kB would be released above the limit: forced" in told.stderr
    assert forced(at) == ["vm1"]
    assert "tidegate_limit_exceeded_bytes_total 0" in at.run("export-metrics", "--output", "-")


@pytest.mark.parametrize("words", [("force", "vm1", "--cancel"), ("unhold", "vm1"), ("hold", "vm1"), ("retire", "vm1")])
def test_a_force_is_taken_back(at: AtGivenTime, words: tuple[str, ...]) -> None:
    at.host.dump("vm1", 5000)
    at.run("pass")
    at.run("force", "vm1", "--over-limit")
    at.run(*words)

    assert forced(at) == []
    assert "released" not in reasons(at.json("pass")).values()


def test_what_cannot_be_forced_gets_a_sentence(at: AtGivenTime) -> None:
    at.host.dump("vm1", 500)
    with pytest.raises(UsageError, match="Unknown VM 'vm9'"):
        at.run("force", "vm9")
    at.run("pass")
    at.run("hold", "vm1")
    with pytest.raises(UsageError, match="vm1 is on hold; run `tidegate unhold vm1` first"):
        at.run("force", "vm1", "--over-limit")
    with pytest.raises(UsageError, match="exclude each other"):
        at.run("force", "vm1", "--over-limit", "--cancel")
    at.run("force", "vm1", "--cancel")


class KilledError(BaseException):
    """As far as the files show, the pass was killed here."""


def killed_at(point: str) -> Callable[[str], None]:
    def hook(name: str) -> None:
        if name == point:
            raise KilledError

    return hook


@pytest.mark.parametrize("point", ["released", "after link", "after fsync"])
def test_a_pass_killed_while_it_lets_a_forced_dump_out_spends_the_force_once(
    at: AtGivenTime, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the link stood or not: afterwards the dump is out, charged once, and the force spent."""
    at.host.dump("vm1", 5000)
    at.run("pass")
    at.run("force", "vm1", "--over-limit")
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "hook", killed_at(point))
        with pytest.raises(KilledError):
            at.run("pass")
    assert forced(at) == ["vm1"]
    assert at.json("pass")["day"]["outstanding_bytes"] == 5000
    assert forced(at) == []


def test_a_force_that_is_taken_back_while_a_pass_decides_does_not_exceed_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The admin was told that it is taken back: the decision that went by it is made again."""
    at = AtGivenTime(Host(tmp_path, daily=10_000), GivenClock())
    at.host.dump("vm1", 20_000)
    at.run("pass")
    at.run("force", "vm1", "--over-limit")
    check = Releaser.check
    looks: list[int] = []

    def check_and_cancel(releaser: Releaser, *arguments: Any) -> set[int]:
        if not looks:
            looks.append(1)
            at.run("force", "vm1", "--cancel")
        return check(releaser, *arguments)

    monkeypatch.setattr(Releaser, "check", check_and_cancel)
    assert reasons(at.json("pass")) == {"vm1": "oversize"}
    assert at.host.exported() == {}
