"""One pass of the policy, from the look at the export trees to the links.

Order: look at the trees and believe them; close the day if it is over; decide; charge the day; link; record;
take out of the trees what has had its use; remove the markers of dumps that have their end; tell in the trees what
stands there. Whatever instant it is killed at, the next pass begins with the look and goes on.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from core import failpoints
from core.clock import Clock, Instant
from core.config.settings import Config
from core.state import counters, dumps, late_links, vms
from core.state.database import Connection, DryRunState, State
from core.units import format_size
from policy.passes import budget, cleanup, disk_space, facts, slices
from policy.passes.facts import Facts
from policy.passes.outcome import Expected, Outcome
from policy.passes.release import Failed, Release, Releaser, Verify, end_superseded
from policy.passes.trees import remove_unneeded
from policy.planner.decide import decide
from policy.planner.model import Day, Decision, Plan, Rules
from policy.reconcile import manifest, unfetched
from policy.reconcile.confirm_modes import is_syncing
from policy.reconcile.link_check import still_unread
from policy.reconcile.revoke import revoke_being_dumped_again
from policy.reconcile.settle import settle
from policy.reconcile.tree_scan import remove_emptied, scan_trees
from policy.reconcile.withdrawal import record_withdrawn, withdraw_and_record

log = logging.getLogger("tidegate.policy")


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass decided and did. ``day`` is as it is after the pass."""

    day: Day
    plan: Plan
    rules: Rules
    failed: tuple[Failed, ...] = ()
    down: tuple[str, ...] = ()
    facts: Facts = field(default_factory=lambda: Facts((), (), {}, {}))
    short: tuple[disk_space.LowDiskSpace, ...] = ()


def run(config: Config, state: State, clock: Clock, *, wait: float, verify: Verify | None = None) -> PassResult:
    """One whole pass. Raises BusyError when another pass holds the lock longer than ``wait`` seconds.

    ``verify`` is asked of each dump before it is released for the first time.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        with state.write() as connection:
            pass_id = counters.start_pass(connection, now.wall)
            counters.count(connection, "passes")
        try:
            return _Pass(config, state, now, pass_id, verify).run(clock)
        except BaseException:
            with state.write() as connection:
                counters.count(connection, "pass_failures")
            raise


def preview(config: Config, state: DryRunState, clock: Clock, *, ignore_trees: bool = False) -> PassResult:
    """What a pass would decide now; writes only into the scratch copy and moves no file.

    ``ignore_trees`` plans as if the export trees held nothing that Tidegate did not put there.
    """
    return _Pass(config, state, clock.now(), 0).preview(ignore_trees=ignore_trees)


class _Pass:
    def __init__(self, config: Config, state: State, now: Instant, pass_id: int, verify: Verify | None = None) -> None:
        self._config = config
        self._state = state
        self._now = now
        self._pass_id = pass_id
        self._releaser = Releaser(config, state, verify)
        self._down: frozenset[str] = frozenset()
        self._short: tuple[disk_space.LowDiskSpace, ...] = ()
        self._unread: frozenset[int] = frozenset()

    def run(self, clock: Clock) -> PassResult:
        self._settle_trees()
        plan, failed, known = self._release_all(clock)
        remove_unneeded(self._config, self._state, self._now)
        rules = facts.rules_of(self._config, plan.day, self._now.wall)
        expected = Expected.of(facts.forecast_start(known, plan.day, rules, self._now.wall), None if failed else plan)
        with self._state.write() as connection:
            cleanup.end_displaced(connection, self._now.wall)
            day = self._account(connection)
            expected.store(connection, self._pass_id)
            self._finish(connection, plan, failed, clock.now().wall)
        unfetched.log_unfetched(known.late)
        cleanup.remove_markers(self._config, self._state)
        manifest.write(self._config, self._state, self._now, unmounted=self._down)
        return PassResult(day, plan, rules, tuple(failed), tuple(sorted(self._down)), known, self._short)

    def _release_all(self, clock: Clock) -> tuple[Plan, list[Failed], Facts]:
        """Decides and links, and decides again as long as links fail: what they gave back is left for others."""
        done: list[Decision] = []
        failed: list[Failed] = []
        while True:
            plan, known, releases = self._release()
            failpoints.point("released")
            failures = self._releaser.link(releases, clock) if releases else []
            failed += failures
            lost = {one.dump_id for one in failures}
            done += [one for one in plan.released if one.dump.dump_id not in lost]
            if not failures:
                return _joined(plan, done) if failed else plan, failed, known

    def _release(self) -> tuple[Plan, Facts, list[Release]]:
        """Decides without a lock, then charges the day in one short transaction.

        Nobody else moves links meanwhile; but the watcher goes on recording, and the admin may take a force back. Where
        there is news of what was released, the decision is made again.
        """
        while True:
            plan, known = self._decide()
            rules = facts.rules_of(self._config, plan.day, self._now.wall)
            outcome = Outcome.of(plan, known, rules)
            with self._state.write() as connection:
                if not _is_still_so(connection, plan, known):
                    continue
                releases = self._releaser.charge(connection, known, plan.released, plan.day.number, self._now)
                slices.put(connection, plan, {one.dump_id: one.link_id for one in releases}, self._now)
                _warn_over_limit(connection, plan)
                outcome.store(connection, self._pass_id)
            return plan, known, releases

    def preview(self, *, ignore_trees: bool) -> PassResult:
        self._settle_trees(ignore_strangers=ignore_trees, act=False)
        plan, known = self._decide()
        with self._state.write() as connection:
            releases = self._releaser.charge(connection, known, plan.released, plan.day.number, self._now)
            end_superseded(connection, releases, self._now.wall)
            slices.put(connection, plan, {one.dump_id: one.link_id for one in releases}, self._now)
            rules = facts.rules_of(self._config, plan.day, self._now.wall)
            day = self._account(connection)
            return PassResult(day, plan, rules, (), tuple(sorted(self._down)), known, self._short)

    def _settle_trees(self, *, ignore_strangers: bool = False, act: bool = True) -> None:
        with self._state.read() as connection:
            scan = scan_trees(connection, self._config)
            spaces = disk_space.measure(connection, self._config, scan)
        self._down = scan.unmounted
        self._unread = frozenset(check.link.id for check in scan.checks if check.is_unread)
        if act:
            for watch in self._config.watches:
                if watch.name not in scan.unmounted:
                    self._releaser.tree(watch.name).sweep()
        if ignore_strangers:
            scan.unmanaged.clear()
        with self._state.write() as connection:
            disk_space.record(connection, spaces)
            self._short = disk_space.short(connection, self._config)
            day = budget.current(connection, self._config, self._now)
            gone = settle(connection, self._config, day.number, scan, now=self._now)
            if not is_syncing(connection, self._config, self._now.wall):
                gone += revoke_being_dumped_again(connection, self._now.wall)
                gone += unfetched.revoke_left_out(connection, self._now)
            if not act:
                record_withdrawn(connection, gone, self._now)
        if act:
            withdraw_and_record(self._config, self._state, gone, self._now)
            remove_emptied(self._config, scan)

    def _decide(self) -> tuple[Plan, Facts]:
        """Decides, looks at what would leave, and decides again without what cannot be taken after all."""
        checked: set[int] = set()
        with self._state.write() as connection:
            day = self._account(connection)
        rules = facts.rules_of(self._config, day, self._now.wall)
        while True:
            with self._state.read() as connection:
                known = facts.gather(
                    connection,
                    self._config,
                    now=self._now.wall,
                    down=self._down,
                    unread=self._unread,
                    late=self._late(connection),
                )
            plan = decide(known.vms, known.dumps, day, rules, self._now.wall)
            unchecked = [one for one in plan.released if one.dump.dump_id not in checked]
            failing = self._releaser.check(known, unchecked)
            was_read = self._read_meanwhile(plan, known)
            self._unread -= was_read
            if not failing and not was_read:
                return plan, known
            checked.update({one.dump.dump_id for one in unchecked} - failing)

    def _late(self, connection: Connection) -> list[late_links.Unfetched]:
        return late_links.suspects(connection, self._now)

    def _read_meanwhile(self, plan: Plan, known: Facts) -> frozenset[int]:
        """Links that were to be superseded, and that somebody has begun to read since the look at the trees."""
        superseded = [known.unread_links[one.dump.vm] for one in plan.released if one.dump.vm in known.unread_links]
        if not superseded:
            return frozenset()
        with self._state.read() as connection:
            return frozenset(link.id for link in superseded) - still_unread(connection, self._config, superseded)

    def _account(self, connection: Connection) -> Day:
        row = budget.current(connection, self._config, self._now)
        return Day(row.number, row.opened.wall, budget.account(connection, self._config, row, self._now))

    def _finish(
        self,
        connection: Connection,
        plan: Plan,
        failed: Sequence[Failed],
        finished_at: float,
    ) -> None:
        counters.finish_pass(
            connection,
            self._pass_id,
            finished_at=finished_at,
            day=plan.day.number,
            released=len(plan.released),
            released_bytes=plan.released_bytes,
            held=len(plan.decisions) - len(plan.released),
            failures=len(failed),
        )


def _is_still_so(connection: Connection, plan: Plan, known: Facts) -> bool:
    """Whether the released dumps, and what the admin has said of their VMs, are what was decided about."""
    rows = [known.rows[one.dump.dump_id] for one in plan.released]
    forced = {row.vm: known.known[row.vm].forced for row in rows if row.vm is not None and known.known[row.vm].forced}
    now = vms.by_names(connection, forced)
    return len(dumps.unchanged(connection, rows)) == len(rows) and all(
        now[name].forced is how for name, how in forced.items()
    )


def _warn_over_limit(connection: Connection, plan: Plan) -> None:
    """What exceeds the limit does so by the admin's order alone."""
    for one in plan.over_limit:
        log.warning("%s: released %s above the limit: forced by the admin", one.dump.path, format_size(one.over_limit))
        counters.count(connection, "limit_exceeded_bytes", one.over_limit)


def _joined(last: Plan, done: Sequence[Decision]) -> Plan:
    """The last plan of a pass, with all that was released on the way to it."""
    out = {one.dump.dump_id for one in done}
    positions = count(1)
    together = (*done, *(one for one in last.decisions if one.dump.dump_id not in out))
    numbered = (one if one.position is None else one._replace(position=next(positions)) for one in together)
    return Plan(last.day, tuple(numbered))
