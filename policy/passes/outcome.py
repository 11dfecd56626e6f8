"""What a pass leaves in the state for everybody who shows it: its decisions and what they were based on."""

from collections.abc import Iterator
from typing import NamedTuple

from core.reasons import Reason
from core.state import decisions, vms
from core.state.database import Connection
from core.state.decisions import Decided, ForecastRow, Load
from policy.passes.facts import Facts
from policy.planner import explanations
from policy.planner.forecast import Start, VmForecast, run_forward
from policy.planner.model import Decision, Plan, Rules
from policy.planner.staleness import DAY, density, targets


class Outcome(NamedTuple):
    """What is stored of a pass, made before the transaction in which it is."""

    decided: list[Decided]
    targets: dict[str, float]
    dropped: frozenset[str]
    load: Load

    @classmethod
    def of(cls, plan: Plan, known: Facts, rules: Rules) -> "Outcome":
        """Of what is decided by the facts that are ``known``."""
        needs = density(known.vms, rules)
        load = Load(needs.value, needs.needed, rules.mean_day + rules.reserve)
        return cls(list(_decided(plan)), targets(known.vms, rules), known.dropped, load)

    def store(self, connection: Connection, pass_id: int) -> None:
        """In place of that of the pass before, in the transaction in which this one releases."""
        decisions.replace(connection, self.decided)
        decisions.set_load(connection, pass_id, self.load)
        vms.set_dropped(connection, self.dropped)
        vms.set_targets(connection, self.targets)


#: How far the forecast goes, and after how many days of a VM it ends before: a pass of 10,000 VMs waits for it too.
_FORECAST_DAYS, _VM_DAYS = 30, 30_000


class Expected(NamedTuple):
    """The forecast that is stored with a pass: which VMs leave on which of so many coming ``days``."""

    days: int
    rows: list[ForecastRow]

    @classmethod
    def of(cls, start: Start, plan: Plan | None) -> "Expected":
        """The same planner run forward from ``start``, for which it has made this ``plan``."""
        days = min(_FORECAST_DAYS, max(1, _VM_DAYS // max(1, len(start.vms))))
        future = run_forward(start, days, plan)
        return cls(days, [row for one in future.vms for row in _releases(one, start.now)])

    def store(self, connection: Connection, pass_id: int) -> None:
        """In place of that of the pass before."""
        decisions.replace_forecast(connection, pass_id, self.days, self.rows)


def _releases(one: VmForecast, now: float) -> Iterator[ForecastRow]:
    """The age of the copy on the day after a dump has left is that of this dump."""
    for day in one.days_out:
        age = one.ages[day + 1] if day + 1 < len(one.ages) else None
        yield ForecastRow(one.vm.vm, day, one.vm.bytes, None if age is None else now + (day + 1) * DAY - age)


def _decided(plan: Plan) -> Iterator[Decided]:
    for one in plan.decisions:
        yield Decided(
            one.dump.dump_id,
            one.reason,
            _sentence(one, plan.day.number),
            one.position is not None,
            one.forecast_day,
            one.rule,
            None if one.slice is None else one.slice.bytes,
        )


def _sentence(one: Decision, day: int) -> str:
    """What will be so until the next pass: what is released now waits for the storage then."""
    if one.reason is not Reason.RELEASED:
        return one.detail
    released = explanations.released(day)
    if one.slice is None:
        return released
    return f"{released}; {explanations.slice_of_today(one.dump.bytes, one.slice)}"
