"""What an observation changes in the state: one row for each dump, one standing marker for each path."""

import json
import os

import pytest

from core.enums import DumpState, MarkerResult, Reason
from core.state import dumps, vms
from tests.mounts import Mount, mount
from tests.watcher.place import Place

__all__ = ["mount"]

PENDING, LINKED, CONFIRMED = DumpState.PENDING, DumpState.LINKED, DumpState.CONFIRMED
SUPERSEDED, EXPIRED, REVOKED = DumpState.SUPERSEDED, DumpState.EXPIRED, DumpState.REVOKED
FAILED, MISSING, CHANGED, RELEASED = DumpState.FAILED, DumpState.MISSING, DumpState.CHANGED, DumpState.RELEASED


def test_a_finished_dump_is_pending_and_known_whole(place: Place) -> None:
    """Its files, its size, its VM, its times."""
    place.dump("vm1/disk0", b"zero")
    place.dump("vm1/disk1", b"one")
    place.mark("vm1", text='{"backup_set": "weekly"}')
    place.scan()
    row = place.row("vm1")
    assert (row.vm, row.backup_set, row.state, row.reason, row.bytes) == ("vm1", "weekly", PENDING, None, 7)
    with place.state.read() as connection:
        assert dumps.identity_of(connection, row) == place.look("vm1").identity


def test_seen_again_nothing_changes(place: Place) -> None:
    """A restart, a repeated pass, a second event: the same rows, the same counts."""
    place.done("vm1")
    place.done("vm2/disk0")
    place.mark("vm2")
    place.mark("vm3", "failed")
    place.mark("vm4")
    place.mark("vm5", text="no")
    place.scan()
    before = place.everything(), place.results()
    place.scan()
    assert (place.everything(), place.results()) == before


def test_a_marker_made_anew_over_the_same_dump_is_the_same_dump(place: Place) -> None:
    """And makes the data in it no newer, unless it says when that was."""
    place.done("vm1")
    place.scan()
    before = place.row("vm1")
    place.mark("vm1")
    place.scan()
    assert place.row("vm1").dump_time == before.dump_time
    assert place.results() == {MarkerResult.RECORDED: 1, MarkerResult.REPEATED: 1}
    place.mark("vm1", text=json.dumps({"started": "2026-11-20T03:00:00Z", "sha256": "a" * 64}))
    place.scan()
    assert (place.row("vm1").dump_time, place.row("vm1").sha256) == (1795143600.0, "a" * 64)


def test_a_new_dump_of_the_same_name_takes_its_place(place: Place) -> None:
    """The one before waits no more: its file is gone."""
    place.done("vm1", b"old")
    place.scan()
    place.done("vm1", b"new")
    place.scan()
    assert place.states("vm1") == [(SUPERSEDED, False), (PENDING, True)]
    assert place.rows("vm1")[0].detail == "its name was taken by a newer dump"


@pytest.mark.parametrize("state", [RELEASED, LINKED, CONFIRMED])
def test_what_was_let_out_keeps_its_row_when_its_name_is_taken(state: DumpState, place: Place) -> None:
    """But the marker speaks of the new dump: nobody removes it for the old one's sake."""
    place.done("vm1", b"old")
    place.scan()
    place.decide("vm1", state)
    place.done("vm1", b"new")
    place.scan()
    assert place.states("vm1") == [(state, False), (PENDING, True)]


@pytest.mark.parametrize("state", [RELEASED, LINKED, CONFIRMED, SUPERSEDED, EXPIRED])
def test_a_marker_made_anew_undoes_no_decision(state: DumpState, place: Place) -> None:
    """The dump was sent, or had its end."""
    place.done("vm1")
    place.scan()
    place.decide("vm1", state)
    place.mark("vm1")
    place.scan()
    assert place.states("vm1") == [(state, True)]


def test_a_dump_that_comes_back_to_its_name_waits_again(place: Place) -> None:
    """The newer one was moved away, and the older one back."""
    place.done("vm1", b"old")
    place.scan()
    (place.dumps / "vm1").rename(place.dumps / "kept")
    place.done("vm1", b"new")
    place.scan()
    (place.dumps / "kept").rename(place.dumps / "vm1")
    place.mark("vm1")
    place.scan()
    assert place.states("vm1") == [(PENDING, True), (SUPERSEDED, False)]


def test_a_marker_speaks_of_the_dump_that_came_to_its_name(place: Place) -> None:
    """Without a word anew: what becomes of that dump is its own, and not that of the one that was sent."""
    place.dump("older", b"another dump")
    place.done("vm1", b"a dump")
    place.scan()
    place.decide("vm1", CONFIRMED)
    (place.dumps / "older").replace(place.dumps / "vm1")
    place.record(["vm1"])
    assert place.states("vm1") == [(CONFIRMED, False), (PENDING, True)]
    later = place.look("vm1").finished_at + 3600
    os.utime(place.dumps / "vm1", (later, later))
    place.record(["vm1"])
    assert place.states("vm1") == [(CONFIRMED, False), (CHANGED, True)]


# --- hindered


@pytest.mark.parametrize(
    ("kind", "state", "reason"),
    [("failed", FAILED, Reason.DUMP_FAILED), ("running", PENDING, Reason.RUNNING)],
)
def test_a_dump_that_fails_or_runs_again_holds_the_one_that_waits(
    kind: str, state: DumpState, reason: Reason, place: Place
) -> None:
    """Its file is being written, or is half of one; marked as done again it is another dump, or the same."""
    place.done("vm1")
    place.scan()
    place.mark("vm1", kind)
    (place.dumps / "vm1.done").unlink()
    place.scan()
    row = place.row("vm1")
    assert (row.state, row.reason, row.bytes) == (state, reason, 1)
    (place.dumps / f"vm1.{kind}").unlink()
    place.mark("vm1")
    place.scan()
    assert (place.row("vm1").state, place.row("vm1").reason) == (PENDING, None)


def test_a_failed_dump_is_recorded_and_ends_with_the_next_good_one(place: Place) -> None:
    """It never had a file that could leave."""
    place.mark("vm1", "failed", '{"error": "no space"}')
    place.scan()
    row = place.row("vm1")
    assert (row.state, row.reason, row.detail, row.fingerprint) == (FAILED, Reason.DUMP_FAILED, "no space", "")
    (place.dumps / "vm1.failed").unlink()
    place.done("vm1")
    place.scan()
    assert place.states("vm1") == [(SUPERSEDED, False), (PENDING, True)]


def test_the_next_failure_at_the_same_name_opens_the_same_row(place: Place) -> None:
    """A VM that fails every night fills no table."""
    place.dump("vm1")
    for _ in range(3):
        place.mark("vm1", "failed")
        place.scan()
        (place.dumps / "vm1.failed").unlink()
        place.scan()
    assert place.states("vm1") == [(REVOKED, False)]
    place.mark("vm1", "failed")
    place.scan()
    assert place.states("vm1") == [(FAILED, True)]
    assert place.row("vm1").recorded_at == place.clock.wall


@pytest.mark.parametrize("state", [LINKED, CONFIRMED])
@pytest.mark.parametrize(("kind", "text"), [("failed", ""), ("running", ""), ("done", "no")])
def test_a_new_marker_over_a_dump_let_out_gets_a_row_of_its_own(
    state: DumpState, kind: str, text: str, place: Place
) -> None:
    """What was let out stays let out; what is wrong now is told beside it."""
    place.done("vm1")
    place.scan()
    place.decide("vm1", state)
    place.mark("vm1", kind, text)
    place.scan()
    (kept, told) = place.rows("vm1")
    assert (kept.state, kept.has_marker, told.has_marker, told.fingerprint) == (state, False, True, "")
    for other in ("failed", "running"):
        (place.dumps / f"vm1.{other}").unlink(missing_ok=True)
    place.mark("vm1")
    place.scan()
    assert place.states("vm1") == [(state, True), (SUPERSEDED, False)]


def test_a_dump_let_out_whose_marker_says_nothing_new_is_left_to_the_pass(place: Place) -> None:
    """Its file was rewritten in place: the pass looks at the link itself."""
    place.done("vm1")
    place.scan()
    place.decide("vm1", LINKED)
    (place.dumps / "vm1").write_bytes(b"half")
    place.scan()
    assert place.states("vm1") == [(LINKED, True)]


def test_a_missing_dump_is_looked_for_at_each_scan(place: Place) -> None:
    """The marker came before the dump, by mistake or over a slow disk."""
    place.mark("vm1")
    place.scan()
    assert place.row("vm1").state is MISSING
    place.dump("vm1")
    os.utime(place.dumps / "vm1", ns=(0, 0))
    place.scan()
    assert place.states("vm1") == [(SUPERSEDED, False), (PENDING, True)]


def test_a_waiting_dump_that_is_rewritten_and_marked_anew_is_a_new_dump(place: Place) -> None:
    """Between the two it is refused."""
    place.done("vm1")
    place.scan()
    later = (place.dumps / "vm1.done").stat().st_ctime_ns + 1
    os.utime(place.dumps / "vm1", ns=(later, later))
    place.decide("vm1", CHANGED)
    place.scan()
    assert (place.row("vm1").state, place.row("vm1").detail) == (CHANGED, "vm1 is newer than its marker")
    place.mark("vm1")
    place.scan()
    assert place.states("vm1") == [(SUPERSEDED, False), (PENDING, True)]


def test_what_the_policy_could_not_link_is_tried_again_by_the_next_pass_and_shown_until_then(place: Place) -> None:
    """The scans of the service leave the reason; the scan before a pass takes it away."""
    place.done("vm1")
    place.scan()
    with place.state.write() as connection:
        dumps.change(connection, place.row("vm1").id, reason=Reason.LINK_ERROR, detail="EMLINK")
    place.scan()
    assert place.row("vm1").reason is Reason.LINK_ERROR
    place.scan(retry=True)
    assert place.row("vm1").reason is None
    assert place.results() == {MarkerResult.RECORDED: 1}


# --- markers that go


def test_a_marker_removed_withdraws_a_dump_that_waits(place: Place) -> None:
    """The admin's way to say no; and the way back is to mark it again."""
    place.done("vm1")
    place.scan()
    (place.dumps / "vm1.done").unlink()
    place.scan()
    assert place.states("vm1") == [(REVOKED, False)]
    assert place.row("vm1").detail == "its marker was removed"
    place.mark("vm1")
    place.scan()
    assert place.states("vm1") == [(PENDING, True)]
    assert place.row("vm1").ended_at is None


@pytest.mark.parametrize("state", [RELEASED, LINKED, CONFIRMED, SUPERSEDED])
def test_a_marker_removed_takes_nothing_back(state: DumpState, place: Place) -> None:
    """Also the pass removes markers, of dumps that have their end."""
    place.done("vm1")
    place.scan()
    place.decide("vm1", state)
    (place.dumps / "vm1.done").unlink()
    place.scan()
    assert place.states("vm1") == [(state, False)]
    assert MarkerResult.WITHDRAWN not in place.results()


def test_markers_inside_what_turns_out_to_be_a_dump_are_withdrawn(place: Place) -> None:
    """While it was written nobody could know that the folder is one dump."""
    place.done("vm1/inner")
    place.scan()
    assert place.standing() == {"vm1/inner"}
    place.mark("vm1")
    place.scan()
    assert place.standing() == {"vm1"}
    assert place.states("vm1/inner") == [(REVOKED, False)]


# --- VMs


def test_a_vm_is_known_from_its_first_marker_on(place: Place) -> None:
    """Also from a failed, a running and a missing dump, but not from a marker that is none."""
    place.done("vm1", b"12345")
    place.mark("vm2", "failed")
    place.mark("vm3", "running")
    place.mark("vm4")
    place.mark("vm5", text="no")
    place.scan()
    known = [place.vm(f"vm{number}") for number in range(1, 6)]
    assert [(vm.last_dump_bytes, vm.last_dump_failed) if vm else None for vm in known] == [
        (5, False),
        (0, True),
        (0, False),
        (0, False),
        None,
    ]
    assert place.row("vm5").vm is None


def test_a_bad_marker_is_told_with_the_vm_that_its_name_suggests_where_that_is_known(place: Place) -> None:
    """It makes no VM that would be stale for ever."""
    place.done("vm1.img")
    place.scan()
    place.mark("vm1-2026-11-22.img", text="no")
    place.scan()
    assert place.row("vm1-2026-11-22.img").vm == "vm1"


def test_a_vm_learns_its_period_from_the_times_of_its_dumps(place: Place) -> None:
    """One turn made twice is no shorter period, and an older dump found late changes nothing."""
    for started in ("01T03:00", "08T03:00", "08T03:30", "15T03:00", "02T03:00"):
        place.done(f"{started}.img", text=f'{{"vm": "vm1", "started": "2026-10-{started}:00Z"}}')
        place.scan()
    vm = place.vm("vm1")
    assert vm is not None
    assert vm.period == pytest.approx(7 * 86400, abs=1800)
    assert vm.last_dump_time == 1792033200.0


def test_the_last_result_of_a_vm_is_the_latest_in_time_however_late_it_is_seen(place: Place) -> None:
    """Two schedules end in any order."""
    place.done("vm1.img", text='{"finished": "2026-11-20T03:00:00Z"}')
    place.scan()
    place.mark("vm1-2026-11-21.img", "failed", '{"finished": "2026-11-21T03:00:00Z"}')
    place.scan()
    place.done("vm1-2026-11-19.img", text='{"finished": "2026-11-19T03:00:00Z"}')
    place.scan()
    vm = place.vm("vm1")
    assert vm is not None
    assert (vm.last_dump_failed, vm.last_result_at, vm.last_dump_time) == (True, 1795230000.0, 1795143600.0)


def test_failures_are_counted_until_a_dump_finishes(place: Place) -> None:
    """Each once, however often it is seen; one of before the last result says nothing."""
    counted = []
    for day, kind in (("20", "failed"), ("21", "failed"), ("21", "failed"), ("19", "failed"), ("22", "done")):
        text = f'{{"finished": "2026-11-{day}T03:00:00Z"}}'
        if kind == "done":
            place.done(f"vm1-2026-11-{day}.img", text=text)
        else:
            place.mark(f"vm1-2026-11-{day}.img", kind, text)
        place.scan()
        vm = place.vm("vm1")
        assert vm is not None
        counted.append(vm.failures)
    assert counted == [1, 2, 2, 2, 0]


def test_a_retired_vm_that_is_dumped_again_is_back(place: Place) -> None:
    """Its old markers, seen once more, do not bring it back."""
    place.done("vm1")
    place.scan()
    with place.state.write() as connection:
        vms.change(connection, "vm1", retired_at=place.clock.wall)
    place.scan(retry=True)
    vm = place.vm("vm1")
    assert vm is not None
    assert vm.retired_at is not None
    place.clock.advance(60)
    place.done("vm1", b"new", '{"finished": "2999-01-01T00:00:00Z"}')
    place.scan()
    vm = place.vm("vm1")
    assert vm is not None
    assert vm.retired_at is None


def test_a_vm_whose_name_was_a_mistake_is_forgotten_with_it(place: Place) -> None:
    """The marker was read before it was written to its end: nobody must wait for a VM that never was."""
    place.done("a8f3.img")
    place.scan()
    assert place.vm("a8f3") is not None
    place.mark("a8f3.img", text='{"vm": "web"}')
    place.scan()
    assert (place.row("a8f3.img").vm, place.vm("a8f3")) == ("web", None)


def test_a_vm_with_a_history_is_not_forgotten(place: Place) -> None:
    """It has another dump, and so goes on alerting until it is retired."""
    place.done("vm1.img")
    place.done("vm1-2026-11-22.img")
    place.scan()
    place.mark("vm1.img", text='{"vm": "web"}')
    place.scan()
    assert place.vm("vm1") is not None


def test_the_backup_set_follows_the_newest_dump(place: Place) -> None:
    """A running one that says none does not take it away."""
    place.done("vm1", text='{"backup_set": "weekly"}')
    place.scan()
    place.mark("vm1", "running")
    place.scan()
    vm = place.vm("vm1")
    assert vm is not None
    assert vm.backup_set == "weekly"


def test_a_size_that_the_state_cannot_hold_is_cut_and_no_crash(mount: Mount) -> None:
    """Two sparse files of 4 EiB each, on a filesystem that lets one make them."""
    place = Place(mount("tmpfs"))
    for name in ("vm1/disk0", "vm1/disk1"):
        os.truncate(place.dump(name), 4 << 60)
    place.mark("vm1")
    place.scan()
    assert place.row("vm1").bytes == (1 << 63) - 1
