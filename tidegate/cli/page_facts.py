"""From the state to what the page shows: the same review, plan and forecast that the commands print."""

import heapq
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from core.clock import Clock
from core.config.settings import Config
from core.enums import LinkState, Verdict
from core.state import dumps, history, ledger
from core.state.database import Connection, DryRunState
from core.state.dumps import DumpRow
from core.version import __version__
from exporters.page import shown
from policy.passes import run
from policy.passes.run import PassResult
from policy.planner.forecast import Forecast, VmForecast, run_forward
from policy.planner.model import Decision, Vm
from policy.planner.staleness import freshness, offsite_age, targets
from tidegate import health as judge
from tidegate import verdict
from tidegate.cli import explain, page_grid, page_health, shapes
from tidegate.cli.forecast import beginning
from tidegate.worries import worries

_DAY = 86_400.0
#: Of what takes of the day so many are named, the heaviest.
_NAMED = 24
_LINKS = 10


class Look:
    """One look at everything: the recorded state, and the plan and the forecast that follow from it.

    The export trees are looked at, as `plan` does; the dump folders are not: the service that shows this watches them.
    ``books`` are a copy of the state that goes on being read; ``close`` ends it. Raises TidegateError.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._now = clock.now().wall
        began = clock.now()
        self.books = DryRunState(config.state.path)
        dry_run = DryRunState(config.state.path)
        try:
            self._review = run.review(config, dry_run, clock)
            with dry_run.read() as connection:
                self._newest = dumps.newest_of_each(connection)
            self._status = shapes.status(self._review, self._newest, self._review.rules, self._now)
            self._plan = run.preview(config, dry_run, clock)
        finally:
            dry_run.close()
        self._start = beginning(self._plan, self._now)
        self._forecast = {one.vm.vm: one for one in self._run_forward().vms}
        self.shown = self._shown(clock.now().elapsed_since(began))

    def close(self) -> None:
        """Ends the books."""
        self.books.close()

    def _run_forward(self) -> Forecast:
        return run_forward(self._start, shown.COMING_DAYS)

    def _shown(self, took: float) -> shown.Shown:
        zone = self._config.day.timezone
        with self.books.read() as connection:
            happened = page_grid.marks(connection, page_grid.midnights(self._now, zone))
            health = page_health.health(connection, self._config, self._review.facts.known.values(), self._now)
            today = _today(connection, self._review)
            advice = tuple(worries(connection, self._config, self._review))
            found = verdict.findings(judge.on_host(connection, self._config, self._review, self._now))
        vms = tuple(sorted(self._vms(happened), key=_worst_first(found)))
        return shown.Shown(
            as_of=self._now,
            took=took,
            host=platform.node(),
            version=__version__,
            zone=zone,
            troubles=tuple(_troubles(found, vms)),
            advice=advice,
            today=today,
            queue=tuple(map(self._turn, self._plan.plan.decisions)),
            vms=vms,
            health=health,
            story=self._story,
            json={
                "status": lambda: self._status,
                "plan": lambda: shapes.plan(self._plan),
            },
        )

    # --- VMs

    def _vms(self, happened: Mapping[str, bytes]) -> Iterator[shown.VmShown]:
        facts = self._review.facts
        target_of = targets(facts.vms, self._review.rules)
        reasons = {
            one.dump.dump_id: None if one.verdict is Verdict.RELEASED else one.reason
            for one in self._review.plan.decisions
        }
        nothing = bytes(shown.PAST_DAYS)
        for vm in facts.vms:
            row = facts.known.get(vm.vm)
            if row is None:  # a marker too bad to name a VM stands in the queue, and is no VM
                continue
            target = target_of[vm.vm]
            coming = self._forecast.get(vm.vm)
            yield shown.VmShown(
                name=vm.vm,
                backup_set=row.backup_set,
                verdict=freshness(vm, target, self._now),
                age=offsite_age(vm, self._now),
                target=target,
                offsite_time=vm.offsite_time,
                offsite_by=None if vm.offsite_time is None else row.offsite_by,
                lateness=_lateness(vm, target, self._now),
                last_dump_failed=row.last_dump_failed,
                on_hold=row.on_hold,
                forced=row.forced is not None,
                dump=_dump(self._newest.get(vm.vm), reasons),
                past=happened.get(vm.vm, nothing),
                coming=() if coming is None else coming.days_out,
            )

    def _story(self, vm: str) -> shown.Story:
        with self.books.read() as connection:
            links = ledger.of_vm(connection, vm, _LINKS)
            found = history.of_vm(connection, vm, 0.0)
        sentences = explain.told(self._plan, vm, links, self._config, expected=self._expected(vm), now=self._now)
        return shown.Story(tuple(sentences), tuple(_past(found)))

    def _expected(self, vm: str) -> float | None:
        """As `explain` tells it, as far as the forecast of the grid goes."""
        coming = self._forecast.get(vm)
        if coming is None or not explain.waits(one for one in self._plan.plan.decisions if one.dump.vm == vm):
            return None
        return self._leaves(coming) if coming.days_out and coming.days_out[0] else None

    def _leaves(self, coming: VmForecast) -> float:
        return self._now + coming.days_out[0] * _DAY

    # --- the queue

    def _turn(self, one: Decision) -> shown.Turn:
        return shown.Turn(
            one.position,
            one.dump.vm,
            one.backup_set,
            one.dump.path,
            one.dump.bytes,
            one.dump.dump_time,
            one.verdict,
            one.reason,
            one.detail,
            self._leaves_on(one),
        )

    def _leaves_on(self, one: Decision) -> float | None:
        if one.verdict is Verdict.RELEASED:
            return self._now
        if one.position is None:
            return None
        coming = self._forecast.get(one.dump.vm)
        if coming is not None and coming.days_out:
            return self._leaves(coming)
        if one.forecast_day is None:
            return None
        return self._now + (one.forecast_day - self._plan.plan.day.number) * _DAY


def _worst_first(found: Sequence[verdict.Finding]) -> Callable[[shown.VmShown], tuple[Any, ...]]:
    """The order of `status`: by the worst that was found of each, then by how much of its target its age has used."""
    bad = {vm: place for place, one in reversed([*enumerate(found)]) for vm in one.subjects}
    return lambda vm: (bad.get(vm.name, len(found)), vm.age is not None, -vm.lateness, vm.name)


def _troubles(found: Sequence[verdict.Finding], vms: Sequence[shown.VmShown]) -> Iterator[shown.Trouble]:
    for one in found:
        level = shown.Level.NOW if one.level is judge.Level.CRITICAL else shown.Level.LATER
        bad = frozenset(one.subjects)
        told = f"{len(bad):,} {'VM' if len(bad) == 1 else 'VMs'} {one.many}" if one.many else one.named
        yield shown.Trouble(level, told, tuple(vm.name for vm in vms if vm.name in bad))


def _lateness(vm: Vm, target: float, now: float) -> float:
    """The share of its target that its age has used, or without a copy the time since it was first seen."""
    age = offsite_age(vm, now)
    return (max(0.0, now - vm.first_seen) if age is None else age) / target


def _dump(row: DumpRow | None, reasons: Mapping[int, Any]) -> shown.NewestDump | None:
    if row is None:
        return None
    return shown.NewestDump(row.path, row.bytes, row.dump_time, row.state, reasons.get(row.id))


def _past(found: list[history.PastDump]) -> Iterator[shown.PastDump]:
    for one in found:
        row = one.dump
        if not one.released:
            yield shown.PastDump(row.path, row.bytes, row.dump_time, row.state, None, None, None, None, None)
        for link, crossed in ((each.link, each.crossed) for each in reversed(one.released)):
            yield shown.PastDump(
                row.path,
                link.bytes,
                row.dump_time,
                link.state,
                link.day,
                link.released_at,
                link.confirmed_at,
                link.confirmed_by,
                crossed,
            )


def _today(connection: Connection, result: PassResult) -> shown.Today:
    day, account = result.day, result.day.account
    links = [one for one in ledger.of_day(connection, day.number) if one.state is not LinkState.VOID]
    links += [one for one in ledger.outstanding(connection) if one.day < day.number]
    heaviest = heapq.nlargest(_NAMED, links, key=lambda one: one.bytes)
    return shown.Today(
        number=day.number,
        opened=day.opened,
        limit=account.limit,
        reserve=account.reserve,
        used=account.used + account.debt,
        outstanding=account.outstanding + account.sliced,
        left=account.left,
        debt=max(account.debt, account.owed),
        took=tuple(shown.Release(one.vm, one.export_name, one.bytes, one.state, one.released_at) for one in heaviest),
        count=len(links),
    )
