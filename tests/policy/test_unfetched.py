"""Links that nobody fetches: the puller is down, or it leaves one of them out."""

from pathlib import Path

import pytest

from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons

DAY = 24 * HOUR


@pytest.fixture
def clock() -> GivenClock:
    return GivenClock()


@pytest.fixture
def at(tmp_path: Path, clock: GivenClock) -> AtGivenTime:
    return AtGivenTime(Host(tmp_path / "host", daily=1000, offsite={"confirm": "report"}), clock)


def arrived(at: AtGivenTime, *names: str) -> None:
    """A report of a sync that brought these names and nothing else."""
    listing = at.host.folder / "arrived"
    listing.write_text("".join(f"{name}\n" for name in names))
    at.run("synced", "--arrived", str(listing))


def left_out(at: AtGivenTime, clock: GivenClock) -> None:
    """Of two dumps that were let out together ``stuck.img`` is still to be fetched, three days after the other one."""
    at.host.dump("stuck.img", 700)
    at.host.dump("vm1.img", 100)
    at.run("pass")
    clock.advance(DAY)
    arrived(at, "vm1.img")
    clock.advance(3 * DAY)


def decision(at: AtGivenTime, dump: str) -> dict[str, object]:
    [found] = [one for one in at.json("plan")["decisions"] if one["dump"] == dump]
    return dict(found)


def test_when_nothing_is_fetched_it_is_said_and_nothing_is_taken_back(at: AtGivenTime, clock: GivenClock) -> None:
    """However long: the puller is down, and no dump of a VM is to blame."""
    for name in ("vm1.img", "vm2.img"):
        at.host.dump(name, 100)
    at.run("pass")
    clock.advance(3 * DAY - HOUR)
    assert "the storage has fetched nothing" not in at.run("status")
    clock.advance(2 * HOUR)
    assert "the storage has fetched nothing for 3d 1h" in at.run("status")
    assert decision(at, "vm1.img")["detail"] == (
        "released on day 1; the storage has not fetched it yet; not fetched for 3d 1h, and neither is anything else"
    )
    clock.advance(30 * DAY)
    at.run("pass")
    assert set(at.host.exported()) == {"vm1.img", "vm2.img"}


def test_one_that_is_left_out_is_taken_back_and_has_its_turn_again_a_week_later(
    at: AtGivenTime, clock: GivenClock
) -> None:
    """What keeps the storage from it keeps nobody else here."""
    at.host.dump("stuck.img", 700)
    at.host.dump("vm1.img", 300)
    at.run("pass")
    clock.advance(DAY)
    arrived(at, "vm1.img")
    clock.advance(2 * DAY - HOUR)
    at.run("pass")
    assert "stuck.img" in at.host.exported()
    clock.advance(2 * HOUR)
    assert decision(at, "stuck.img")["reason"] == "backing_off"
    assert "stuck.img" in at.host.exported(), "a plan moves nothing"
    at.run("pass")
    assert set(at.host.exported()) == {"vm1.img"}
    assert reasons(at.json("plan"))["stuck.img"] == "backing_off"
    clock.advance(7 * DAY - HOUR)
    at.run("pass")
    assert "stuck.img" not in at.host.exported()
    clock.advance(2 * HOUR)
    at.run("pass")
    assert "stuck.img" in at.host.exported()
    arrived(at, "stuck.img")
    assert at.status()["stuck"]["offsite_by"] == "report"


def test_its_newer_dump_waits_too_unless_it_is_forced(at: AtGivenTime, clock: GivenClock) -> None:
    """It is the VM whose turn comes later."""
    left_out(at, clock)
    at.run("pass")
    at.host.dump("stuck.img", 600)
    assert decision(at, "stuck.img")["reason"] == "backing_off"
    at.run("force", "stuck")
    assert decision(at, "stuck.img")["reason"] == "released"


def test_a_puller_that_comes_back_has_a_day_for_what_it_has_not_fetched_yet(at: AtGivenTime, clock: GivenClock) -> None:
    """It begins somewhere."""
    at.host.dump("vm1.img", 100)
    at.host.dump("vm2.img", 100)
    at.run("pass")
    clock.advance(10 * DAY)
    arrived(at, "vm1.img")
    at.run("pass")
    assert "vm2.img" in at.host.exported()
    clock.advance(DAY + HOUR)
    at.run("pass")
    assert "vm2.img" not in at.host.exported()


def test_what_was_fetched_before_it_was_let_out_proves_nothing(at: AtGivenTime, clock: GivenClock) -> None:
    """The puller may be down since."""
    at.host.dump("vm1.img", 100)
    at.run("pass")
    clock.advance(HOUR)
    at.host.dump("vm2.img", 100)
    at.run("pass")
    arrived(at, "vm1.img")
    clock.advance(9 * DAY)
    at.run("pass")
    assert "vm2.img" in at.host.exported()
    assert "the storage has fetched nothing" in at.run("status")


def test_nothing_is_taken_back_while_a_sync_runs(at: AtGivenTime, clock: GivenClock) -> None:
    """It may be fetching that very one."""
    left_out(at, clock)
    at.run("sync-started")
    at.run("pass")
    assert "stuck.img" in at.host.exported()


def test_a_link_that_takes_an_unread_ones_place_waits_as_long_as_that_one(at: AtGivenTime, clock: GivenClock) -> None:
    """Dumped and swapped every day, it would be young for ever."""
    at.host.dump("stuck.img", 500)
    at.host.dump("vm1.img", 100)
    at.run("pass")
    clock.advance(DAY)
    arrived(at, "vm1.img")
    for size in (501, 502):
        clock.advance(DAY - HOUR)
        at.host.dump("stuck.img", size)
        at.run("pass")
        assert at.host.exported()["stuck.img"] == size
    clock.advance(3 * HOUR)
    at.run("pass")
    assert "stuck.img" not in at.host.exported()
    assert "backing_off" in {one["reason"] for one in at.json("plan")["decisions"]}


def test_a_clock_that_jumps_makes_no_link_suspect(at: AtGivenTime, clock: GivenClock) -> None:
    """The time since the boot tells how long it was."""
    at.host.dump("stuck.img", 700)
    at.host.dump("vm1.img", 100)
    at.run("pass")
    clock.advance(HOUR)
    arrived(at, "vm1.img")
    clock.jump_wall(30 * DAY)
    at.run("pass")
    assert "stuck.img" in at.host.exported()
