"""A link that nobody has read makes room for its VM's newer dump."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import failpoints
from core.enums import Force
from core.reasons import Reason
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons
from tests.mounts import Mount, mount
from tests.policy.planner_facts import GB, a_day, a_dump, a_vm, by_dump, plan_of, released_ids
from tests.policy.planner_facts import reasons as reasons_of

__all__ = ["mount"]

DAY = 24 * HOUR


# --- the decision


def test_a_newer_dump_takes_the_place_of_the_link_on_a_day_that_is_full() -> None:
    """What the link held is free for it."""
    vm = a_vm(outstanding_since_day=11, unread_link_bytes=4 * GB)
    plan = plan_of(
        [vm],
        [a_dump(1, age=30 * HOUR, bytes=4 * GB, outstanding=True), a_dump(2, bytes=4 * GB)],
        day=a_day(outstanding=10 * GB),
    )
    assert reasons_of(plan) == {1: Reason.SUPERSEDED, 2: Reason.RELEASED}
    assert "it replaces its VM's link of day 11, which nobody has read" in by_dump(plan)[2].detail
    assert by_dump(plan)[1].detail == "vm1-2 is newer and replaces its link, which nobody has read"


def test_one_that_does_not_fit_into_what_is_left_and_what_the_link_held_waits() -> None:
    vm = a_vm(outstanding_since_day=11, unread_link_bytes=4 * GB)
    dumps = [a_dump(1, age=30 * HOUR, bytes=4 * GB, outstanding=True), a_dump(2, bytes=6 * GB)]
    plan = plan_of([vm], dumps, day=a_day(outstanding=9 * GB))
    assert reasons_of(plan) == {1: Reason.OUTSTANDING, 2: Reason.OUTSTANDING}
    assert by_dump(plan)[2].detail.endswith("6 GB does not fit in place of its 4 GB")
    assert released_ids(plan_of([vm], dumps, day=a_day(outstanding=8 * GB))) == [2]


def test_a_heavier_one_takes_nothing_from_others_unless_it_is_forced() -> None:
    """Whatever is in the queue goes before it."""
    linked = a_vm("linked", outstanding_since_day=11, unread_link_bytes=GB)
    forced = a_vm("linked", outstanding_since_day=11, unread_link_bytes=GB, forced=Force.WITHIN_LIMIT)
    dumps = [
        a_dump(1, "linked", age=30 * HOUR, bytes=GB, outstanding=True),
        a_dump(2, "linked", bytes=5 * GB),
        a_dump(3, "other", bytes=4 * GB),
    ]
    assert released_ids(plan_of([linked, a_vm("other")], dumps, day=a_day(outstanding=6 * GB))) == [3]
    assert released_ids(plan_of([forced, a_vm("other")], dumps, day=a_day(outstanding=6 * GB))) == [2]


def test_a_lighter_one_makes_room_for_others() -> None:
    linked = a_vm("linked", outstanding_since_day=11, unread_link_bytes=5 * GB)
    dumps = [
        a_dump(1, "linked", age=30 * HOUR, bytes=5 * GB, outstanding=True),
        a_dump(2, "linked", bytes=GB),
        a_dump(3, "other", bytes=4 * GB),
    ]
    assert released_ids(plan_of([linked, a_vm("other")], dumps, day=a_day(outstanding=10 * GB))) == [2, 3]


def test_an_older_dump_takes_no_newer_ones_place() -> None:
    vm = a_vm(outstanding_since_day=11, unread_link_bytes=GB)
    plan = plan_of([vm], [a_dump(1, age=HOUR, outstanding=True), a_dump(2, age=5 * HOUR)])
    assert reasons_of(plan) == {1: Reason.OUTSTANDING, 2: Reason.SUPERSEDED}


@given(
    links=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6), st.booleans()), min_size=1, max_size=6),
    others=st.lists(st.integers(1, 6), max_size=4),
    used=st.integers(0, 20),
    limit=st.integers(1, 20),
)
def test_what_is_there_after_any_superseding_is_within_the_limit_or_less_than_before(
    links: list[tuple[int, int, bool]], others: list[int], used: int, limit: int
) -> None:
    """Whatever was released above it before: superseding never adds to that."""
    vms, dumps = [], []
    for number, (old, new, _) in enumerate(links):
        name = f"s{number}"
        vms.append(a_vm(name, unread_link_bytes=old, outstanding_since_day=11 if old else None))
        if old:
            dumps.append(a_dump(2 * number, name, age=30 * HOUR, bytes=old, outstanding=True))
        dumps.append(a_dump(2 * number + 1, name, bytes=new))
    for number, size in enumerate(others, 100):
        vms.append(a_vm(f"o{number}"))
        dumps.append(a_dump(number, f"o{number}", bytes=size))
    before = sum(old for old, *_ in links) + used
    plan = plan_of(vms, dumps, day=a_day(limit=limit, outstanding=before - used, used=used))
    held = {vm.vm: vm.unread_link_bytes for vm in vms}
    after = before + sum(one.dump.bytes - held[one.dump.vm] for one in plan.released)
    assert after <= max(before, limit)
    assert len(plan.decisions) == len(dumps)


# --- on a host


class Killed(BaseException):
    """The process has died at this point, as far as its files tell."""


@pytest.fixture
def clock() -> GivenClock:
    return GivenClock()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host", daily=1000, offsite={"confirm": "report"})


@pytest.fixture
def at(host: Host, clock: GivenClock) -> AtGivenTime:
    return AtGivenTime(host, clock)


def let_out_and_dump_again(at: AtGivenTime, clock: GivenClock, *, name: str = "vm1.img", again: str = "") -> None:
    """A link of 800 bytes that leaves no room for the 900 of the next dump."""
    at.host.dump(name, 800)
    at.run("pass")
    clock.advance(DAY)
    at.host.dump(again or name, 900)


@pytest.mark.parametrize("storage", ["mirror", "collect"])
def test_the_newer_dump_stands_and_the_old_charge_is_given_back(
    at: AtGivenTime, clock: GivenClock, storage: str
) -> None:
    """The same name, or another one, as it is where each dump keeps its own."""
    at.host.configure(daily=1000, offsite={"confirm": "report", "storage": storage})
    let_out_and_dump_again(at, clock, name="vm1-2026-11-01.img", again="vm1-2026-11-02.img")
    planned = at.json("plan")
    assert planned["day"]["outstanding_bytes"] == 900
    done = at.json("pass")
    assert done["decisions"] == planned["decisions"]
    assert reasons(done) == {"vm1-2026-11-01.img": "superseded", "vm1-2026-11-02.img": "released"}
    assert list(at.host.exported().values()) == [900]
    assert (done["day"]["outstanding_bytes"], done["day"]["used_bytes"]) == (900, 0)
    at.run("synced", "--all")
    assert at.status()["vm1"]["freshness"] == "fresh"


def test_the_name_is_never_absent(at: AtGivenTime, clock: GivenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror would delete what it has under it."""
    let_out_and_dump_again(at, clock)
    stood: list[bool] = []
    monkeypatch.setattr(failpoints, "hook", lambda _: stood.append((at.host.tree / "vm1.img").exists()))
    at.run("pass")
    assert len(stood) > 3
    assert all(stood)


@pytest.mark.slow
def test_at_no_instant_more_stands_than_the_limit(
    at: AtGivenTime, clock: GivenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not under two names either."""
    at.host.configure(daily=1000, offsite={"confirm": "report", "storage": "collect"})
    let_out_and_dump_again(at, clock, name="vm1-2026-11-01.img", again="vm1-2026-11-02.img")
    stood: list[int] = []
    monkeypatch.setattr(failpoints, "hook", lambda _: stood.append(sum(at.host.exported().values())))
    at.run("pass")
    assert max(stood) <= 1000
    assert at.host.exported() == {"vm1-2026-11-02.img": 900}


def read(host: Host) -> None:
    """As the storage does."""
    subprocess.run(["cat", host.tree / "vm1.img"], check=True, capture_output=True)


def test_what_was_read_or_is_covered_by_a_seal_is_not_superseded(at: AtGivenTime, clock: GivenClock) -> None:
    """The storage may have it, or be about to."""
    let_out_and_dump_again(at, clock)
    at.run("sync-started")
    assert reasons(at.json("pass"))["vm1.img"] == "outstanding"
    clock.advance(25 * HOUR)  # the seal is forgotten
    assert [one["reason"] for one in at.json("plan")["decisions"]] == ["released", "superseded"]
    read(at.host)
    assert reasons(at.json("pass"))["vm1.img"] == "outstanding"
    assert at.host.exported() == {"vm1.img": 800}


def test_what_is_read_while_a_pass_decides_is_not_superseded(
    at: AtGivenTime, clock: GivenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at once more, right before."""
    from policy.passes.release import Releaser

    let_out_and_dump_again(at, clock)
    check = Releaser.check

    def read_and_check(self: Releaser, *arguments: object) -> set[int]:
        read(at.host)
        return check(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Releaser, "check", read_and_check)
    assert reasons(at.json("pass"))["vm1.img"] == "outstanding"
    assert at.host.exported() == {"vm1.img": 800}


def test_where_the_mount_shows_no_reads_nothing_is_superseded(tmp_path: Path, clock: GivenClock, mount: Mount) -> None:
    """Then nobody can know."""
    host = Host(tmp_path / "host", daily=1000, offsite={"confirm": "report"})
    dumps = mount("tmpfs", "noatime")
    host.configure(daily=1000, offsite={"confirm": "report"}, watch={"path": str(dumps)})
    host.dumps, host.tree = dumps, dumps / ".rsync"
    at = AtGivenTime(host, clock)
    let_out_and_dump_again(at, clock)
    assert reasons(at.json("pass"))["vm1.img"] == "outstanding"


def test_superseding_that_fails_leaves_the_old_link_as_it_was(
    at: AtGivenTime, clock: GivenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer dump goes away at the last instant."""
    at.host.configure(daily=1000, offsite={"confirm": "report"}, watch={"layout": "{vm}"})
    let_out_and_dump_again(at, clock, again="vm1.img.zst")

    def take_away(point: str) -> None:
        with suppress(FileNotFoundError):
            (at.host.dumps / "vm1.img.zst").rename(at.host.dumps / f"elsewhere, at {point}")

    monkeypatch.setattr(failpoints, "hook", lambda name: take_away(name) if name == "released" else None)
    at.run("pass", code=1)
    monkeypatch.undo()
    assert at.host.exported() == {"vm1": 800}
    day = at.json("status")["day"]
    assert (day["outstanding_bytes"], day["used_bytes"]) == (800, 0)
    at.run("synced", "--all")
    assert at.status()["vm1"]["freshness"] == "fresh"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["released", "before rename", "after rename", "before fsync", "after fsync"])
@pytest.mark.parametrize("storage", ["mirror", "collect"])
def test_killed_at_any_instant_no_more_stands_than_is_charged(
    at: AtGivenTime, clock: GivenClock, point: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next passes let the newer dump out after all."""
    at.host.configure(daily=1000, offsite={"confirm": "report", "storage": storage})
    let_out_and_dump_again(at, clock, name="vm1-2026-11-01.img", again="vm1-2026-11-02.img")

    def die(name: str) -> None:
        if name == point:
            raise Killed

    monkeypatch.setattr(failpoints, "hook", die)
    with suppress(Killed):  # a file under a new name is renamed nowhere
        at.run("pass")
    monkeypatch.undo()
    stands = sum(at.host.exported().values())
    assert stands <= 1000
    day = at.json("plan")["day"]
    assert day["outstanding_bytes"] + day["used_bytes"] >= stands
    for _ in range(3):
        at.run("pass")
        assert sum(at.host.exported().values()) <= 1000
    clock.advance(DAY)
    at.run("synced", "--all")
    at.run("pass")
    at.run("synced", "--all")
    assert at.status()["vm1"]["freshness"] == "fresh"
