"""``tidegate forecast``."""

import datetime
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from core.errors import UnknownVmError
from core.units import format_date, format_size, format_span
from tidegate.cli import completing, output, shapes
from tidegate.cli.context import Session, Size, Span, json_option, pass_session, print_json
from tidegate.cli.output import Column
from tidegate.cli.passes import preview

if TYPE_CHECKING:
    from policy.passes.run import PassResult
    from policy.planner.forecast import Forecast, Start, VmForecast
    from tidegate.cli.stored_forecast import StoredForecast

_COLUMNS = (
    Column.name("vm"),
    Column.word("set", drop=2),
    Column.number("size", drop=4),
    Column.number("every", drop=1),
    Column.number("target", drop=5),
    Column.number("age now"),
    Column.number("oldest"),
    Column.word("within target", drop=3),
    Column.text("leaves"),
)
#: As far as a pass looks.
_DAYS = 30
#: Of the sentences below the table, as a rule.
_SUMMARY_LINES = 6
_SECONDS_OF_DAY = 86_400
_SHOWN_DAYS_OUT = 3
_SHOWN_NAMES = 5


class Goal(click.ParamType[tuple[str | None, float]]):
    """``7d`` for all VMs, ``vm7=7d`` for one."""

    name = "[VM=]duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str | None, float]:
        """The VM, None for all, and seconds."""
        vm, _, span = value.rpartition("=")
        return vm or None, Span().convert(span, param, ctx)


@click.command()
@click.option(
    "--days",
    metavar="NUMBER",
    type=click.IntRange(1, 1000),
    help="How far to look; default: 30.",
)
@click.option("--limit", type=Size(), help="As if [limit] daily were this, every day of the week.")
@click.option("--target", "goals", type=Goal(), multiple=True, help="As if this were the target of all VMs or of one.")
@click.option(
    "--without", metavar="VM", multiple=True, shell_complete=completing.vms, help="As if this VM were not there."
)
@click.option("--needed", is_flag=True, help="Find the limit that would keep all targets; takes a dozen forecasts.")
@click.option("--all", "everything", is_flag=True, help="Every VM, on a terminal too; it gets one screen of the worst.")
@json_option
@pass_session
def forecast(
    session: Session,
    *,
    days: int | None,
    limit: int | None,
    goals: Sequence[tuple[str | None, float]],
    without: Sequence[str],
    needed: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """What will leave on the coming days, how old each copy gets, and what another limit or target would change.

    The decision of each pass is made ahead, with each VM dumped as often and as large as it was until now: by the last
    pass, and where an option asks for another forecast anew.
    """
    from core.clock import SystemClock
    from policy.planner.forecast import needed_limit, run_forward

    config = session.config()
    if not (days or limit or goals or without or needed):
        from tidegate.cli import stored_forecast

        if (stored := stored_forecast.read(config, SystemClock().now())) is not None:
            _print_stored(stored, config.day.timezone, everything=everything, as_json=as_json)
            return
    days = days or _DAYS
    start = beginning(preview(config, session.dry_run(config)), SystemClock().now().wall)
    for name in (*without, *(vm for vm, _ in goals if vm is not None)):
        if name not in {vm.vm for vm in start.vms}:
            raise UnknownVmError(name, (vm.vm for vm in start.vms))
    changed = _changed(start, limit, goals, without)
    future = run_forward(changed, days)
    limit = needed_limit(changed, days) if needed else None
    if as_json:
        allowed = changed.rules.mean_day + changed.rules.reserve
        print_json(
            {**shapes.forecast(changed.now, allowed, future), **({"needed_limit_bytes": limit} if needed else {})}
        )
        return
    zone = config.day.timezone
    _print_table(future, changed.now, zone, everything=everything)
    if changed is not start:
        _print_summary("As it is: ", start, run_forward(start, days), zone)
    _print_summary("With the change: " if changed is not start else "", changed, future, zone)
    if needed:
        output.sentence(_needed(limit))


def _print_stored(
    stored: "StoredForecast", zone: datetime.tzinfo, *, everything: bool, as_json: bool
) -> None:  # fmt: skip
    if as_json:
        print_json(shapes.forecast(stored.now, stored.allowed, stored.future))
        return
    _print_table(stored.future, stored.now, zone, everything=everything)
    for line in _summary(stored.future, stored.now, zone, stored.allowed, ""):
        output.sentence(line)


def _needed(limit: int | None) -> str:
    if limit is None:
        return "no limit keeps all targets: a VM is not dumped often enough for its own"
    return f"{format_size(limit)} a day would keep all targets"


def beginning(result: "PassResult", now: float) -> "Start":
    """What a forecast starts from, as a preview found it."""
    from policy.passes.facts import forecast_start

    return forecast_start(result.facts, result.plan.day, result.rules, now)


def _changed(
    start: "Start", limit: int | None, goals: Sequence[tuple[str | None, float]], without: Sequence[str]
) -> "Start":
    if limit is not None:
        start = start.with_limit(limit)
    for vm, target in sorted(goals, key=lambda goal: goal[0] is not None):  # what is said of one VM comes last
        start = start.with_target(target, vm)
    for vm in without:
        start = start.without(vm)
    return start


def _print_table(future: "Forecast", now: float, zone: datetime.tzinfo, *, everything: bool) -> None:
    """Those first that are past their targets for the longest, and the most."""
    seen = output.screen()
    vms = sorted(future.vms, key=_worst_first)
    room = None if everything else seen.rows_that_fit(_SUMMARY_LINES)
    if vms:
        output.lines(output.table_lines(_COLUMNS, (_row(one, now, zone) for one in vms[:room]), seen))
    if room is not None and len(vms) > room:
        late = sum(one.within_from != 0 for one in vms[room:])
        told = f"{late} of them past their targets" if late else "all within their targets"
        output.sentence(f"and {len(vms) - room} more, {told}: `tidegate forecast --all`")


def _worst_first(one: "VmForecast") -> tuple[float, float, str]:
    late = math.inf if one.within_from is None else one.within_from
    return -late, -(math.inf if one.oldest is None else one.oldest / one.target), one.vm.vm


def _row(one: "VmForecast", now: float, zone: datetime.tzinfo) -> tuple[str, ...]:
    first, oldest = one.ages[0], one.oldest
    days = [_date(now, day, zone) for day in one.days_out[:_SHOWN_DAYS_OUT]]
    more = len(one.days_out) - len(days)
    return (
        one.vm.vm,
        one.vm.backup_set or "",
        format_size(one.vm.bytes),
        "?" if one.vm.period is None else format_span(one.vm.period),
        format_span(one.target),
        "never" if first is None else format_span(first),
        "never" if oldest is None else format_span(oldest),
        "not yet" if one.within_from is None else "yes" if one.within_from == 0 else _date(now, one.within_from, zone),
        ", ".join(days) + (f" and {more} more" if more > 0 else "") if days else "not in these days",
    )


def _print_summary(heading: str, start: "Start", future: "Forecast", zone: datetime.tzinfo) -> None:
    allowed, average = start.rules.mean_day + start.rules.reserve, " on average" if start.rules.coming else ""
    for line in _summary(future, start.now, zone, allowed, average):
        output.sentence(f"{heading}{line}")


def _summary(
    future: "Forecast", now: float, zone: datetime.tzinfo, allowed: int, average: str
) -> Iterator[str]:  # fmt: skip
    days = len(future.days)
    needs = f"the targets need {format_size(future.density.needed)} a day"
    yield f"{needs} at least; {format_size(allowed)} are allowed{average} ({future.density.value:.0%})"
    ages = [(one.oldest, one.vm.vm) for one in future.vms if one.oldest is not None]
    if ages:
        oldest, vm = max(ages)
        yield f"with {format_size(allowed)} a day the oldest copy will be {format_span(oldest)} old ({vm})"
    waiting = "" if future.days[-1].waiting is None else f"; {format_size(future.days[-1].waiting)} wait at the end"
    yield f"{future.used:.0%} of what {days} days allow is used{waiting}"
    late = [one.vm.vm for one in future.vms if one.within_from is None]
    if late:
        yield f"not within their targets after {days} days: {_names(late)}; --needed finds the limit that keeps them"
    elif future.within_from:
        since = format_date(now + future.within_from * _SECONDS_OF_DAY, zone)
        yield f"all are within their targets from {since} on"
    else:
        yield f"all stay within their targets for these {days} days"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _date(now: float, day: int, zone: datetime.tzinfo) -> str:
    """Short, for a table: ``Thu 26 Nov``."""
    weekday, number, month = format_date(now + day * _SECONDS_OF_DAY, zone).split()
    return "today" if day == 0 else f"{weekday[:3]} {number} {month[:3]}"
