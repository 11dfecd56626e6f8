"""``tidegate explain``."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from core.enums import Reason, Verdict
from core.errors import UnknownVmError, UsageError
from core.filenames import printable
from core.units import format_date, format_minute, format_size, format_span, format_time
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, vm_argument
from tidegate.cli.forecast import beginning
from tidegate.cli.output import Column
from tidegate.cli.passes import preview

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.ledger import LinkRow
    from core.state.vms import VmRow
    from policy.passes.run import PassResult
    from policy.planner.model import Decision

_LINKS = (
    Column.number("day", drop=3),
    Column.word("released"),
    Column.name("name", drop=1),
    Column.number("size"),
    Column.word("state"),
    Column.word("confirmed", drop=4),
    Column.word("by", drop=2),
)
_HISTORY = 10
#: How many days are looked at for the one on which a dump leaves.
_HORIZON = 90
_SECONDS_OF_DAY = 86_400


@click.command()
@vm_argument
@json_option
@pass_session
def explain(session: Session, *, vm: str, as_json: bool) -> None:
    """Why the dumps of VM left, or did not, when the next will, and what became of its copies."""
    from core.clock import SystemClock
    from core.state import ledger

    config = session.config()
    dry_run = session.dry_run(config)
    with dry_run.read() as connection:
        history = ledger.of_vm(connection, vm, _HISTORY)
    result = preview(config, dry_run)
    decisions = [one for one in result.plan.decisions if one.dump.vm == vm]
    if vm not in result.facts.known and not decisions:
        if (backup_set := config.backup_set_of(vm)) is not None:
            raise UsageError(f"explain: {vm} stands in [backup_sets.{backup_set}], and no dump of it was ever marked")
        raise UnknownVmError(vm, result.facts.known)
    now = SystemClock().now().wall
    expected = _expected(result, vm, now, decisions)
    if as_json:
        print_json(
            {
                "format": shapes.FORMAT,
                "vm": vm,
                "day": shapes.day(result.day),
                "decisions": [shapes.decision(one) for one in decisions],
                "reasons": _reasons(result, vm),
                "expected": None if expected is None else format_time(expected),
                "links": shapes.links(history),
            }
        )
        return
    zone = config.day.timezone
    for line in told(result, vm, history, config, expected=expected, now=now):
        output.sentence(line)
    output.sentence(shapes.account(shapes.day(result.day)))
    if history:
        click.echo("Let out before:")
        output.table(_LINKS, (_link_row(row, zone) for row in history))


def told(
    result: "PassResult", vm: str, history: "Sequence[LinkRow]", config: "Config", *, expected: float | None, now: float
) -> Iterator[str]:
    """Why the dumps of ``vm`` leave or stay, a sentence each. ``history`` are its links, newest first."""
    zone = config.day.timezone
    yield from _copy(result.facts.known.get(vm), vm, now, config)
    reasons = _reasons(result, vm)
    if history:
        reasons.append(f"it last left {format_span(now - history[0].released.wall)} ago")
    decisions = [one for one in result.plan.decisions if one.dump.vm == vm]
    failed = sorted((one for one in decisions if one.reason is Reason.DUMP_FAILED), key=lambda one: one.dump.dump_time)
    for one in decisions:
        if one not in failed[:-1]:
            yield _sentence(one, reasons if one.position is not None else [], zone)
    if failed[:-1]:
        since = format_minute(failed[0].dump.dump_time, zone)
        yield f"Of {len(failed) - 1} before it the markers of failures stand too, the first of {since}."
    if expected is not None:
        yield f"Expected to leave on {format_date(expected, zone)}."


def _reasons(result: "PassResult", vm: str) -> list[str]:
    from policy.planner.explanations import of_queue

    known = next((one for one in result.facts.vms if one.vm == vm), None)
    return [] if known is None else list(of_queue(known, result.plan, result.rules))


def _expected(result: "PassResult", vm: str, now: float, decisions: "Sequence[Decision]") -> float | None:
    """On which coming day, as a time on it, a dump leaves; None where that is now, or cannot be said."""
    from policy.planner.forecast import first_day_out

    if vm not in result.facts.known or not waits(decisions):
        return None
    day = first_day_out(beginning(result, now), vm, _HORIZON)
    return now + day * _SECONDS_OF_DAY if day else None


def waits(decisions: "Iterable[Decision]") -> bool:
    """Whether one of these dumps waits for nothing but its turn."""
    return any(
        one.verdict is Verdict.WAITING and not one.reason.unfinished and not one.dump.outstanding for one in decisions
    )


def _copy(known: "VmRow | None", vm: str, now: float, config: "Config") -> Iterator[str]:
    """What is off-site, and what was said of the VM."""
    if known is None or known.offsite_time is None:
        yield f"{vm} has no copy off-site that Tidegate knows of."
    else:
        when, age = format_minute(known.offsite_time, config.day.timezone), format_span(now - known.offsite_time)
        how = f" ({known.offsite_by.label})" if known.offsite_by is not None else ""
        yield f"{vm}'s newest copy off-site is of {when}, {age} old{how}."
        if not known.is_kept(config.offsite.retention, now):
            yield "The storage has kept it for its retention: it counts as gone."
    if known is not None and known.forced is not None:
        yield f"Its next dump is forced ({known.forced}); tidegate force {vm} --cancel takes that back."
    if known is not None and known.last_dump_failed:
        yield "Its last dump failed." if known.failures < 2 else f"Its last {known.failures} dumps failed."


def _sentence(one: "Decision", reasons: Sequence[str], zone: datetime.tzinfo) -> str:
    """One dump and why it leaves or stays."""
    when = format_minute(one.dump.dump_time, zone)
    verb = "would leave with the next pass" if one.verdict is Verdict.RELEASED else f"is {one.verdict} ({one.reason})"
    size = f"{format_size(one.dump.bytes)}, " if one.dump.bytes else ""  # nothing is there of one that failed
    return f"{one.dump.path} ({size}of {when}) {verb}: {'; '.join([one.detail, *reasons])}."


def _link_row(row: "LinkRow", zone: datetime.tzinfo) -> tuple[str, ...]:
    return (
        str(row.day),
        format_minute(row.released.wall, zone),
        printable(row.export_name),
        format_size(row.bytes),
        row.state,
        "" if row.confirmed_at is None else format_minute(row.confirmed_at, zone),
        row.confirmed_by or "",
    )
