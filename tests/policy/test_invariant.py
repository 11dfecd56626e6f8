"""Whenever a sync starts, it finds at most ``daily`` bytes that it has not had (DESIGN 6), whatever happened before.

And no VM is held to be off-site by a dump that the storage has not had.
What no pass can prevent is left out of the count and is no hole in the rule: bytes that others put into the tree
themselves, and bytes of a dump that its script rewrote in place after it was let out, until the next pass has looked.
Of both it is asked that nothing more is let out beside them.

``read`` is evidence and not proof: here a sync that breaks off breaks off between two files.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from core.clock import Instant
from core.enums import DayEnd, Evidence, LinkState, Storage
from core.errors import UsageError
from core.state import ledger
from core.state.ledger import LinkRow
from policy.passes.run import PassResult
from policy.sync.report import Report
from tests.clock import DAY, HOUR
from tests.policy.histories import DAILY, Sync, World

VMS = ["vm1", "vm2", "vm3", "vm4"]
SIZES = st.one_of(st.integers(1, 60), st.sampled_from([DAILY - 1, DAILY, DAILY + 1]))
DUMPS = st.lists(st.tuples(st.sampled_from(VMS), SIZES), min_size=1, max_size=4)
PICK = st.integers(0, 5)
SPANS = [60.0, HOUR, 5 * HOUR, 21 * HOUR, 21 * HOUR, DAY, 4 * DAY]
JUMPS = [-30 * DAY, -DAY, -2 * HOUR, 2 * HOUR, 26 * HOUR, 40 * DAY]
TOLD = ["sealed", "sealed", "started", "started", "list", "list", "all", "later", "never"]


class Release(NamedTuple):
    """What one pass has let out."""

    day: int
    at: Instant
    bytes: int


def _more(result: PassResult, given_back: Iterable[LinkRow]) -> dict[str, int]:
    """VM -> bytes that it released, less those of its unread links that made room: these were not released."""
    more: Counter[str] = Counter()
    for one in result.plan.released:
        more[one.dump.vm] += one.dump.bytes
    for link in given_back:
        more[link.vm or ""] -= link.bytes
    return more


class Histories(RuleBasedStateMachine):
    """One host, its storage, and everybody who may touch either."""

    ends: ClassVar[DayEnd]
    confirm: ClassVar[Evidence]

    @initialize(storage=st.sampled_from(list(Storage)))
    def begin(self, storage: Storage) -> None:
        self.world = World(self.ends, self.confirm, storage)
        self.late: list[Report] = []
        self.released: list[Release] = []

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.end()

    # --- every day

    @rule(dumps=DUMPS, dated=st.booleans(), folder=st.booleans(), then_pass=st.booleans())
    def dump(self, dumps: list[tuple[str, int]], dated: bool, folder: bool, then_pass: bool) -> None:
        for vm, size in dumps:
            self.world.dump(vm, size, dated=dated, folder=folder)
        if then_pass:
            self.run_pass()

    @rule(dumps=DUMPS, dated=st.booleans(), announced=st.booleans(), seconds=st.sampled_from(SPANS))
    def an_ordinary_day(self, dumps: list[tuple[str, int]], dated: bool, announced: bool, seconds: float) -> None:
        self.dump(dumps, dated=dated, folder=False, then_pass=True)
        told = "sealed" if announced else "started"
        self.time_passes(60.0, then_pass=False)
        self.sync(announced=announced, before=0, meanwhile="nothing", whole=True, told=told, twice=False)
        self.time_passes(seconds, then_pass=False)

    @rule()
    def run_pass(self) -> None:
        with self.world.state.read() as connection:
            before = [link.id for link in ledger.outstanding(connection)]
        result = self.world.run_pass()
        with self.world.state.read() as connection:
            links = ledger.by_ids(connection, before).values()
        more = _more(result, [link for link in links if link.state is LinkState.VOID])
        self.released.append(Release(result.plan.day.number, self.world.clock.now(), sum(more.values())))
        if any(size > 0 for size in more.values()):
            left = sum(one.size for one in self.world.unseen())
            assert left <= DAILY, f"let something out although {left} bytes then stood in the tree unseen"
        self.the_limit_of_a_day_is_kept(result.plan.day.number)

    def the_limit_of_a_day_is_kept(self, day: int) -> None:
        """What failed to be linked was not let out; all else was, whatever became of it."""
        today = sum(one.bytes for one in self.released if one.day == day)
        assert today <= DAILY, f"let {today} bytes out on day {day}"
        now = self.world.clock.now()  # across a reboot only the wall clock tells what has passed, and that may be wrong
        recent = [
            one for one in self.released if one.at.boot_id == now.boot_id and now.uptime - one.at.uptime < 20 * HOUR
        ]
        days = 1 if self.ends is DayEnd.AT else 2  # a day that a sync ends is at least 20 hours old
        assert sum(one.bytes for one in recent) <= days * DAILY, f"let too much out within 20 hours: {recent}"

    @rule(
        announced=st.booleans(),
        before=st.integers(0, 4),
        meanwhile=st.sampled_from(["nothing", "nothing", "pass", "dumps and pass", "rewrite and pass"]),
        whole=st.sampled_from([True, True, True, False]),
        told=st.sampled_from(TOLD),
        twice=st.booleans(),
    )
    def sync(self, announced: bool, before: int, meanwhile: str, whole: bool, told: str, twice: bool) -> None:
        sync = self.world.start_sync(announced=announced)
        self.a_sync_would_find_at_most_one_limit()
        wanted = self.world.wants(sync)
        self.world.pull(wanted[: len(wanted) * before // 4])
        if meanwhile == "dumps and pass":
            self.dump([(vm, 30) for vm in VMS], dated=False, folder=False, then_pass=False)
        if meanwhile == "rewrite and pass":
            self.a_dump_script_errs("rewrite and mark", before)
        if meanwhile != "nothing":
            self.run_pass()
        if whole:
            self.world.pull(self.world.wants(sync))
        for _ in range(2 if twice else 1):
            self._tell(sync, told, whole=whole)

    def _tell(self, sync: Sync, how: str, *, whole: bool) -> None:
        """Reports what is true. A sync that broke off has only a list to tell."""
        said: dict[str, Callable[[], Report]] = {"list": lambda: self.world.list_of(sync)}
        if whole:
            said["started"] = lambda: Report(started=sync.started)
            if sync.announced:
                said["sealed"] = Report
            if not self.world.unseen():
                said["all"] = lambda: Report(everything=True)
        if how in said:
            self._report(said[how]())
        elif how == "later" and whole:
            self.late.append(Report(started=sync.started))

    def _report(self, said: Report) -> None:
        try:
            self.world.report(said)
        except UsageError:
            return  # refused with a sentence: nothing was done

    @rule(pick=PICK)
    def a_late_report_arrives(self, pick: int) -> None:
        if self.late:
            self._report(self.late[pick % len(self.late)])

    @rule(seconds=st.sampled_from(SPANS), then_pass=st.booleans())
    def time_passes(self, seconds: float, then_pass: bool) -> None:
        self.world.clock.advance(seconds)
        if then_pass:
            self.run_pass()

    # --- and some days

    @rule(what=st.sampled_from(["rewrite", "rewrite and mark", "delete", "mark", "fail"]), pick=PICK)
    def a_dump_script_errs(self, what: str, pick: int) -> None:
        if not (dumps := self.world.dumps()):
            return
        dump = dumps[pick % len(dumps)]
        if what.startswith("rewrite"):
            self.world.rewrite(dump)
        if what == "delete":
            self.world.delete(dump)
        elif what != "rewrite":
            self.world.mark(dump.name, "failed" if what == "fail" else "done")

    @rule(what=st.sampled_from(["put", "link", "remove"]), name=st.sampled_from(["stranger", *VMS]), size=SIZES)
    def somebody_meddles_with_the_tree(self, what: str, name: str, size: int) -> None:
        tops = self.world.tops()
        files = [one for one in self.world.dumps() if one.is_file()]
        if what == "remove" and tops:
            self.world.remove_link(tops[size % len(tops)])
        elif what == "put" and name not in tops:
            self.world.put_stranger(name, size)
        elif what == "link" and name not in tops and files:
            self.world.link_by_hand(files[size % len(files)], name)

    @rule(what=st.sampled_from(["hold", "unhold", "adopt"]), vm=st.sampled_from(VMS))
    def the_admin_speaks(self, what: str, vm: str) -> None:
        try:
            self.world.admin(what, vm)
        except UsageError:
            return  # not known yet

    @rule(what=st.sampled_from([*JUMPS, "reboot"]))
    def the_clock_is_set(self, what: float | str) -> None:
        if isinstance(what, str):
            self.world.clock.reboot()
            return
        self.world.clock.jump_wall(what)
        if what < 0:  # a time from before then names another instant now: nobody can report by it
            self.late.clear()

    # --- what always holds

    @invariant()
    def a_sync_would_find_at_most_one_limit(self) -> None:
        if hasattr(self, "world"):
            found = self.world.ours(self.world.unseen())
            assert found <= DAILY, f"a sync that starts now finds {found} bytes that it has not had"

    @invariant()
    def no_vm_is_fresh_by_a_copy_that_the_storage_has_not_had(self) -> None:
        if hasattr(self, "world"):
            assert self.world.fresh_without_a_copy() == []


@pytest.mark.parametrize("confirm", [Evidence.REPORT, Evidence.READ])
@pytest.mark.parametrize("ends", list(DayEnd))
def test_whenever_a_sync_starts_it_finds_at_most_one_limit_that_it_has_not_had(ends: DayEnd, confirm: Evidence) -> None:
    """Over random histories of dumps, passes, syncs, strangers, wrong clocks and reboots."""
    machine = type("GivenHistories", (Histories,), {"ends": ends, "confirm": confirm})
    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=30))
