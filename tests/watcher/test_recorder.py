"""What a look changes in the state: one row for each dump, at most one row of a path with a marker. As tables."""

import json
import os
from typing import Any

import pytest

from core.enums import DumpState, MarkerResult
from core.reasons import Reason
from core.state import dumps, vms
from tests.mounts import Mount
from tests.watcher.place import Place

# --- the rows of one dump, vm1
#
# A case is what is done before each scan, what its rows are in the end, and what was news in each scan.
#
#   dump TEXT             a file of this content, another inode     mark [KIND] [BODY]  its marker, made anew
#   done TEXT             both                                      unmark [KIND]       the marker is removed
#   newer, old            it is written to after its marker; long before
#   move_away, move_back  to another name, and back
#   decide STATE          as the policy does                        link_error          it could not be linked
#   event                 a look at this dump alone                 retry               this scan is before a pass
#
# A row is STATE, :REASON if it has one, and * if the marker is about it.

CASES: dict[str, tuple[list[str], str, str]] = {
    "a finished dump": (["done x"], "pending*", "recorded"),
    "nothing new": (["done x", ""], "pending*", "recorded, -"),
    "marked anew": (["done x", "mark"], "pending*", "recorded, repeated"),
    "a new dump of that name": (["done x", "done y"], "superseded pending*", "recorded, recorded"),
    "one that was away and comes back to its name": (
        ["done x", "move_away; done y", "move_back; mark"], "pending* superseded", "recorded, recorded, recorded"),
    # what is released or decided on
    **{f"{state}, then a new dump of that name": (
        ["done x; event; decide " + state, "done y"], f"{state} pending*", "-, recorded")
       for state in ("released", "linked", "confirmed")},
    **{f"{state}, then marked anew": (["done x; event; decide " + state, "mark"], f"{state}*", "-, repeated")
       for state in ("released", "linked", "confirmed", "superseded", "expired")},
    **{f"{state}, then its marker is removed": (["done x; event; decide " + state, "unmark"], state, "-, -")
       for state in ("released", "linked", "confirmed", "superseded")},
    **{f"{state}, then marked {kind or 'badly'}, then done": (
        ["done x; event; decide " + state, f"mark {kind or 'done {'}", f"unmark {kind or 'failed'}; mark"],
        f"{state}* superseded", f"-, {news}, repeated")
       for state in ("linked", "confirmed")
       for kind, news in (("failed", "failed"), ("running", "running"), ("", "bad"))},
    "linked, then rewritten under the same marker": (["done x; event; decide linked", "newer"], "linked*", "-, -"),
    "confirmed, then another file comes to the name that is marked": (
        ["done x; event; decide confirmed", "dump y; old; event"], "confirmed pending*", "-, -"),
    "... and is rewritten": (
        ["done x; event; decide confirmed; dump y; old; event", "newer; event"], "confirmed changed:changed*", "-, -"),
    # what may not leave
    "running, then done again": (
        ["done x", "mark running; unmark", "unmark running; mark"], "pending*", "recorded, running, recorded"),
    "... while it runs": (["done x", "mark running; unmark"], "pending:running*", "recorded, running"),
    "failed, then done again": (
        ["done x", "mark failed; unmark", "unmark failed; mark"], "pending*", "recorded, failed, recorded"),
    "... while it counts as failed": (["done x", "mark failed; unmark"], "failed:dump_failed*", "recorded, failed"),
    "a failure without a dump": (["mark failed"], "failed:dump_failed*", "failed"),
    "... ends with the next good dump": (
        ["mark failed", "unmark failed; done x"], "superseded pending*", "failed, recorded"),
    "... which fails every night fills no table": (
        ["dump x; mark failed", "unmark failed", "mark failed", "unmark failed", "mark failed"],
        "failed:dump_failed*", "failed, withdrawn, failed, withdrawn, failed"),
    "missing, looked for at each scan": (["mark", "dump x; old"], "superseded pending*", "rejected, recorded"),
    "a bad marker, then a good one": (["dump x; mark done {", "mark"], "superseded pending*", "bad, recorded"),
    "rewritten, not marked anew": (["done x", "newer; decide changed"], "changed:changed*", "recorded, rejected"),
    "rewritten and marked anew": (
        ["done x", "newer; decide changed", "mark"], "superseded pending*", "recorded, rejected, recorded"),
    "it could not be linked": (["done x", "link_error"], "pending:link_error*", "recorded, -"),
    "... and is tried again by the next pass": (["done x", "link_error", "retry"], "pending*", "recorded, -, -"),
    # markers that go
    "its marker is removed": (["done x", "unmark"], "revoked", "recorded, withdrawn"),
    "... and made again": (["done x", "unmark", "mark"], "pending*", "recorded, withdrawn, recorded"),
}  # fmt: skip


class Script:
    """Does what a case says to the dump vm1 of a place. Its methods are the acts."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._file = place.dumps / "vm1"
        place.dump("something-else")  # a watch folder without any entry counts as unmounted

    def scan_after(self, steps: str) -> str:
        """Does the steps and scans. Returns what was news in the scan."""
        self._retry = False
        for step in filter(None, steps.split("; ")):
            act, *words = step.split()
            getattr(self, act)(*words)
        before = self._place.results()
        self._place.scan(retry=self._retry)
        return " ".join((self._place.results() - before).keys()) or "-"

    def rows(self) -> str:
        """All rows of vm1, oldest first."""
        return " ".join(
            f"{row.state}{f':{row.reason}' if row.reason else ''}{'*' * row.has_marker}"
            for row in self._place.rows("vm1")
        )

    def dump(self, content: str) -> None:
        self._place.dump("vm1", content.encode())

    def done(self, content: str) -> None:
        self.dump(content)
        self.mark()

    def mark(self, kind: str = "done", body: str = "") -> None:
        self._place.mark("vm1", kind, body)

    def unmark(self, kind: str = "done") -> None:
        self._file.with_name(f"vm1.{kind}").unlink(missing_ok=True)

    def newer(self) -> None:
        later = self._file.with_name("vm1.done").stat().st_ctime_ns + 1
        os.utime(self._file, ns=(later, later))

    def old(self) -> None:
        os.utime(self._file, (0, 0))

    def move_away(self) -> None:
        self._file.rename(self._file.with_name("away"))

    def move_back(self) -> None:
        self._file.with_name("away").rename(self._file)

    def decide(self, state: str) -> None:
        self._place.decide("vm1", DumpState(state))

    def link_error(self) -> None:
        with self._place.state.write() as connection:
            [row] = self._place.rows("vm1")
            dumps.change(connection, row.id, reason=Reason.LINK_ERROR, detail="EMLINK")

    def event(self) -> None:
        self._place.record(["vm1"])

    def retry(self) -> None:
        self._retry = True


@pytest.mark.parametrize(("scans", "rows", "news"), CASES.values(), ids=list(CASES))
def test_the_rows_of_a_dump(scans: list[str], rows: str, news: str, place: Place) -> None:
    """Scanned once more, as after a restart, nothing changes."""
    script = Script(place)
    assert (", ".join(script.scan_after(steps) for steps in scans), script.rows()) == (news, rows)
    before = place.everything(), place.results()
    place.scan()
    assert (place.everything(), place.results()) == before


DETAILS = {
    "a failure": (["mark failed {\"error\":\"full\"}"], "full"),
    "rewritten": (["done x", "newer; decide changed"], "vm1 is newer than its marker"),
    "its marker is gone": (["done x", "unmark"], "its marker was removed"),
    "its name is taken": (["done x", "done y"], "its name was taken by a newer dump"),
}  # fmt: skip


@pytest.mark.parametrize(("scans", "detail"), DETAILS.values(), ids=list(DETAILS))
def test_why_it_does_not_leave(scans: list[str], detail: str, place: Place) -> None:
    """A sentence for people."""
    script = Script(place)
    for steps in scans:
        script.scan_after(steps)
    assert place.rows("vm1")[0].detail == detail


def test_a_finished_dump_is_known_whole(place: Place) -> None:
    """Its files, its size, its VM, its set."""
    place.dump("vm1/disk0", b"zero")
    place.dump("vm1/disk1", b"one")
    place.mark("vm1", text='{"backup_set": "weekly"}')
    place.scan()
    row = place.row("vm1")
    assert (row.vm, row.backup_set, row.state, row.reason, row.bytes) == ("vm1", "weekly", DumpState.PENDING, None, 7)
    with place.state.read() as connection:
        assert dumps.identity_of(connection, row) == place.look("vm1").identity


def test_a_marker_made_anew_makes_the_data_no_newer_unless_it_says_when_that_was(place: Place) -> None:
    """And what it says besides is known from then on."""
    place.done("vm1")
    place.scan()
    before = place.row("vm1")
    place.mark("vm1")
    place.scan()
    assert place.row("vm1").dump_time == before.dump_time
    place.mark("vm1", text=json.dumps({"started": "2026-11-20T03:00:00Z", "sha256": "a" * 64}))
    place.scan()
    assert (place.row("vm1").dump_time, place.row("vm1").sha256) == (1795143600.0, "a" * 64)


def test_a_failure_that_comes_again_is_as_new_as_its_marker(place: Place) -> None:
    """Though it opens the row of the one before."""
    script = Script(place)
    for steps in ("mark failed", "unmark failed", "mark failed"):
        script.scan_after(steps)
    assert place.row("vm1").recorded_at == place.clock.wall


def test_markers_inside_what_turns_out_to_be_a_dump_are_withdrawn(place: Place) -> None:
    """While it was written nobody could know that the folder is one dump."""
    place.done("vm1/inner")
    place.scan()
    assert place.standing() == {"vm1/inner"}
    place.mark("vm1")
    place.scan()
    assert place.standing() == {"vm1"}
    assert place.states("vm1/inner") == [(DumpState.REVOKED, False)]


def test_a_size_that_the_state_cannot_hold_is_cut_and_no_crash(mount: Mount) -> None:
    """Two sparse files of 4 EiB each, on a filesystem that lets one make them."""
    place = Place(mount("tmpfs"))
    for name in ("vm1/disk0", "vm1/disk1"):
        os.truncate(place.dump(name), 4 << 60)
    place.mark("vm1")
    place.scan()
    assert place.row("vm1").bytes == (1 << 63) - 1


# --- VMs
#
# A case is the markers in the order in which they are found, each "NAME KIND BODY", and what is known of vm1 then.


def _started(time: str) -> str:
    return f'{{"vm":"vm1","started":"2026-10-{time}:00Z"}}'


def _finished(day: int) -> str:
    return f'{{"finished":"2026-11-{day}T03:00:00Z"}}'


FOUND: dict[str, tuple[list[str], dict[str, Any] | None]] = {
    "a dump": (["vm1 done"], {"last_dump_bytes": 1, "last_dump_failed": False}),
    "a failure": (["vm1 failed"], {"last_dump_bytes": 0, "last_dump_failed": True}),
    "a dump being made": (["vm1 running"], {"last_dump_bytes": 0, "last_dump_failed": False, "last_dump_time": None}),
    "a bad marker makes no VM": (["vm1 done {"], None),
    "its period, from the times of its dumps; an older one found late changes nothing": (
        [f"{time}.img done {_started(time)}" for time in ("01T03:00", "08T03:00", "08T03:30", "15T03:00", "02T03:00")],
        {"period": pytest.approx(7 * 86400, abs=1800), "last_dump_time": 1792033200.0}),
    "the last result is the latest in time, however late it is seen": (
        [f"vm1.img done {_finished(20)}", f"vm1-2026-11-21.img failed {_finished(21)}",
         f"vm1-2026-11-19.img done {_finished(19)}"],
        {"last_dump_failed": True, "last_result_at": 1795230000.0, "last_dump_time": 1795143600.0, "failures": 1}),
    "failures are counted once each, however often they are seen, and one of before says nothing": (
        [f"vm1-2026-11-{day}.img failed {_finished(day)}" for day in (20, 21, 21, 19)], {"failures": 2}),
    "... until a dump finishes": (
        [f"vm1-2026-11-20.img failed {_finished(20)}", f"vm1-2026-11-22.img done {_finished(22)}"], {"failures": 0}),
    "the backup set is that of the newest dump; a running one that says none does not take it away": (
        ['vm1 done {"backup_set":"weekly"}', "vm1 running"], {"backup_set": "weekly"}),
    "a name that was a mistake is forgotten with it": (["vm1.img done", 'vm1.img done {"vm":"web"}'], None),
    "... unless it has another dump": (
        ["vm1.img done", "vm1-2026-11-22.img done", 'vm1.img done {"vm":"web"}'], {"name": "vm1"}),
}  # fmt: skip


@pytest.mark.parametrize(("found", "known"), FOUND.values(), ids=list(FOUND))
def test_what_is_known_of_a_vm(found: list[str], known: dict[str, Any] | None, place: Place) -> None:
    """After each marker there is a scan."""
    for marker in found:
        name, kind, *body = marker.split(" ", 2)
        if kind == "done" and not (place.dumps / name).exists():
            place.dump(name)
        place.mark(name, kind, "".join(body))
        place.scan()
    vm = place.vm("vm1")
    assert known == (None if vm is None else {key: getattr(vm, key) for key in known or {}})


def test_a_bad_marker_is_shown_with_the_vm_of_its_name_where_that_is_known(place: Place) -> None:
    """Else with none."""
    place.done("vm1.img")
    place.mark("vm2.img", text="{")
    place.scan()
    place.mark("vm1-2026-11-22.img", text="{")
    place.scan()
    assert (place.row("vm1-2026-11-22.img").vm, place.row("vm2.img").vm) == ("vm1", None)


def test_a_retired_vm_that_is_dumped_again_is_back(place: Place) -> None:
    """Its old markers, seen once more, do not bring it back."""
    place.done("vm1")
    place.scan()
    with place.state.write() as connection:
        vms.change(connection, "vm1", retired_at=place.clock.wall)
    place.scan(retry=True)
    assert (vm := place.vm("vm1")) is not None
    assert vm.retired_at is not None
    place.clock.advance(60)
    place.done("vm1", b"new", '{"finished": "2999-01-01T00:00:00Z"}')
    place.scan()
    assert (vm := place.vm("vm1")) is not None
    assert vm.retired_at is None
    assert place.results() == {MarkerResult.RECORDED: 2}
