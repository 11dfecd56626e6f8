"""Histories that once broke the invariant or another rule of a sync, each reduced to what it needs."""

from collections.abc import Iterator

import pytest

from core import failpoints
from core.enums import DayEnd, Evidence, Storage
from core.reasons import Verdict
from core.state import ledger, vms
from policy.operations import vms as admin
from policy.sync.report import Report
from tests.clock import DAY, HOUR
from tests.policy.histories import DAILY, Sync, World


@pytest.fixture
def world() -> Iterator[World]:
    world = World(DayEnd.SYNC, Evidence.REPORT, Storage.MIRROR)
    yield world
    world.end()


def test_what_takes_the_name_of_a_link_is_charged_by_the_pass_that_first_sees_it(world: World) -> None:
    """Somebody puts a file of his own where a link stood: nothing more leaves beside it than still fits."""
    world.dump("vm1", 40, dated=False, folder=False)
    world.run_pass()
    world.remove_link("vm1")
    world.put_stranger("vm1", 60)
    world.dump("vm2", 50, dated=False, folder=False)
    world.run_pass()
    assert sum(one.size for one in world.unseen()) <= DAILY


def test_a_sync_that_starts_while_a_pass_links_is_not_held_to_have_the_links_made_after(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--started`` speaks of what stood then: a link is dated when it stands, not when the pass set off to make it."""
    found: list[Sync] = []

    def sync_starts(point: str) -> None:
        if point == "after link" and not found:
            world.clock.advance(HOUR)
            found.append(world.start_sync(announced=False))

    world.dump("vm1", 40, dated=False, folder=False)
    world.dump("vm2", 40, dated=False, folder=False)
    monkeypatch.setattr(failpoints, "hook", sync_starts)
    world.run_pass()
    monkeypatch.setattr(failpoints, "hook", None)
    [sync] = found
    world.pull(sync.found)
    assert len(world.had) == 1
    world.clock.advance(DAY)
    world.report(Report(started=sync.started))
    world.dump("vm3", 70, dated=False, folder=False)
    world.run_pass()
    assert sum(one.size for one in world.unseen()) <= DAILY


def test_a_list_speaks_of_what_the_sync_found_and_not_of_what_has_the_name_since(world: World) -> None:
    """A dump is rewritten while it is pulled, marked anew and let out anew: the list's name means the old one."""
    world.dump("vm1", 40, dated=False, folder=False)
    world.run_pass()
    sync = world.start_sync(announced=True)
    world.pull(sync.found)
    world.rewrite(world.host.dumps / "vm1")
    world.mark("vm1")
    world.run_pass()
    assert world.tops() == ["vm1"]
    world.report(world.list_of(sync))
    world.clock.advance(DAY)
    world.dump("vm2", 61, dated=False, folder=False)
    world.run_pass()
    assert sum(one.size for one in world.unseen()) <= DAILY


def test_a_list_that_is_told_twice_speaks_of_its_own_sync_both_times(world: World) -> None:
    """The dump was rewritten after it was pulled, and let out anew under its name: the storage has not had that."""
    world.dump("vm1", 40, dated=False, folder=False)
    world.run_pass()
    sync = world.start_sync(announced=True)
    world.pull(sync.found)
    told = world.list_of(sync)
    world.report(told)
    world.clock.advance(DAY)
    world.rewrite(world.host.dumps / "vm1")
    world.mark("vm1")
    world.run_pass()
    world.clock.jump_wall(-HOUR)
    world.report(told)
    assert world.fresh_without_a_copy() == []


def test_a_report_that_comes_late_does_not_unseal_the_sync_that_runs_meanwhile(world: World) -> None:
    """The second sync reads the link of the first dump: nothing replaces it until that sync is reported."""
    world.dump("vm1", 40, dated=False, folder=False)
    world.run_pass()
    world.clock.advance(HOUR)
    first = world.start_sync(announced=False)
    world.pull(first.found)
    world.clock.advance(HOUR)
    second = world.start_sync(announced=True)
    world.report(Report(started=first.started))
    world.clock.advance(DAY - HOUR)
    world.dump("vm1", 40, dated=False, folder=False)
    world.run_pass()
    assert world.standing() == second.found


def test_a_clock_that_jumps_ahead_day_after_day_gives_no_second_limit_within_20_hours() -> None:
    """With ``ends = "at"`` each jump over midnight ends a day; what left an hour ago counts in all of them."""
    world = World(DayEnd.AT, Evidence.REPORT, Storage.MIRROR)
    try:
        released = 0
        for _ in range(8):
            world.dump("vm1", 60, dated=True, folder=False)
            result = world.run_pass()
            released += sum(one.dump.bytes for one in result.plan.decisions if one.verdict is Verdict.RELEASED)
            world.pull(world.standing())
            world.report(Report(everything=True))
            world.clock.advance(HOUR)
            world.clock.jump_wall(DAY)
        assert released <= DAILY
    finally:
        world.end()


def test_a_file_linked_by_hand_and_rewritten_is_not_read_by_what_was_read_of_it_while_the_clock_was_wrong() -> None:
    """The clock runs ahead, the link is fetched; set right, its dump is rewritten in place: nobody has read that."""
    world = World(DayEnd.AT, Evidence.READ, Storage.MIRROR)
    try:
        world.dump("vm1", 21, dated=False, folder=False)
        world.run_pass()
        world.link_by_hand(world.host.dumps / "vm1", "stranger")
        world.run_pass()
        world.clock.jump_wall(2 * HOUR)
        world.pull(world.standing())
        world.clock.jump_wall(-2 * HOUR)
        world.rewrite(world.host.dumps / "vm1")
        world.mark("vm1")
        for _ in range(2):  # the first makes the stranger the link of the rewritten dump
            world.run_pass()
        assert world.fresh_without_a_copy() == []
        world.clock.advance(DAY)
        world.pull(world.standing())
        world.run_pass()
        assert world.unseen() == []
    finally:
        world.end()


def test_what_was_recorded_while_the_clock_ran_ahead_keeps_no_vm_here_once_it_is_right() -> None:
    """A copy, a retirement and a link that was left out, each from a time that is still to come."""
    world = World(DayEnd.AT, Evidence.READ, Storage.MIRROR)
    try:
        for vm in ("vm1", "vm2"):
            world.dump(vm, 10, dated=True, folder=False)
        world.run_pass()
        world.clock.jump_wall(30 * DAY)
        world.dump("vm1", 10, dated=True, folder=False)
        world.run_pass()
        world.pull(world.standing())
        world.run_pass()
        admin.retire(world.config, world.state, world.clock, "vm2", wait=0)
        with world.state.write() as connection:
            vms.change(connection, "vm1", backing_off_until=world.clock.wall + 7 * DAY)
        world.clock.jump_wall(-30 * DAY)
        world.clock.advance(HOUR)
        world.run_pass()
        for _ in range(9):
            world.clock.advance(DAY)
            for vm in ("vm1", "vm2"):
                world.dump(vm, 10, dated=True, folder=False)
            world.run_pass()
            world.pull(world.standing())
        world.run_pass()
        assert world.unseen() == []
        with world.state.read() as connection:
            known = vms.all_vms(connection)
        assert {name: one.offsite_time for name, one in known.items()} == dict.fromkeys(
            ("vm1", "vm2"), world.clock.wall
        )
    finally:
        world.end()


@pytest.mark.parametrize("seen_while_ahead", [True, False])
def test_a_read_of_a_clock_that_ran_ahead_holds_no_sync_to_be_running_once_it_is_right(seen_while_ahead: bool) -> None:
    """Else nothing was replaced or removed until the time came that the clock showed."""
    world = World(DayEnd.AT, Evidence.READ, Storage.COLLECT)
    try:
        world.dump("vm1", 20, dated=False, folder=False)
        world.run_pass()
        world.clock.jump_wall(30 * DAY)
        world.pull(world.standing())
        if seen_while_ahead:
            world.run_pass()
        world.clock.jump_wall(-30 * DAY)
        world.run_pass()
        assert world.fresh_without_a_copy() == []
        world.clock.advance(2 * HOUR)
        world.run_pass()
        assert world.standing() == []
    finally:
        world.end()


@pytest.mark.parametrize("fetched", [True, False])
@pytest.mark.parametrize("name", ["vm1", "by-hand"])
def test_a_dump_linked_by_hand_before_its_marker_is_charged_once_and_stops_no_pass(name: str, fetched: bool) -> None:
    """It became a foreign file of the ledger first. Each pass then failed, or linked the dump a second time."""
    world = World(DayEnd.AT, Evidence.READ, Storage.MIRROR)
    try:
        world.dump("vm1", 40, dated=False, folder=False)
        (world.host.dumps / "vm1.done").unlink()
        world.link_by_hand(world.host.dumps / "vm1", name)
        world.run_pass()
        if fetched:
            world.clock.advance(HOUR)
            world.pull(world.standing())
            world.run_pass()
        world.mark("vm1")
        for _ in range(2):
            world.run_pass()
        assert world.tops() == [name]
        with world.state.read() as connection:
            assert (vms.all_vms(connection)["vm1"].offsite_dump_id is not None) is fetched
            assert ledger.outstanding_total(connection).bytes == (0 if fetched else 40)
    finally:
        world.end()


def test_a_dump_linked_by_hand_twice_keeps_its_second_link_when_the_first_is_removed() -> None:
    """The second was a foreign file under the name that the dump's own link would have: each pass failed."""
    world = World(DayEnd.SYNC, Evidence.READ, Storage.MIRROR)
    try:
        world.dump("vm4", 26, dated=False, folder=False)
        world.link_by_hand(world.host.dumps / "vm4", "vm2")
        world.link_by_hand(world.host.dumps / "vm4", "vm4")
        world.run_pass()
        world.remove_link("vm2")
        for _ in range(2):
            world.run_pass()
        assert world.tops() == ["vm4"]
    finally:
        world.end()
