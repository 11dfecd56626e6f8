"""``tidegate explain``."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from core.errors import UnknownVmError, UsageError
from core.filenames import printable
from core.reasons import Verdict
from core.units import format_date, format_minute, format_size, format_time
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, vm_argument
from tidegate.cli.output import Column

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.ledger import LinkRow
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
_LAST = 10
#: How many days are looked at for the one on which a dump leaves.
_HORIZON = 90
_SECONDS_OF_DAY = 86_400


@click.command()
@vm_argument
@click.option("--now", "anew", is_flag=True, help="Scan, and decide as a pass would now; writes nothing.")
@json_option
@pass_session
def explain(session: Session, *, vm: str, anew: bool, as_json: bool) -> None:
    """Why the dumps of VM left, or did not, when the next will, and what became of its copies.

    As the last pass decided, and what was recorded since.
    """
    config = session.config()
    if anew:
        _explain_now(session, config, vm, as_json=as_json)
        return
    from core.clock import SystemClock
    from core.state.database import read_only
    from exporters import health, json_shapes
    from exporters.vm_story import story

    with read_only(config.state.path) as connection:
        report = health.report(connection, config, SystemClock().now())
        found = story(connection, config, report, vm)
    if found is None:
        raise _unknown(config, vm, [one.name for one in report.vms])
    day = json_shapes.day(report.day)
    if as_json:
        decisions = [json_shapes.decision(one) for one in found.decisions]
        _print_shape(vm, day, decisions, found.expected, found.links)
    else:
        _print(found.sentences, shapes.account(day), found.links, config.day.timezone)


def _unknown(config: "Config", vm: str, known: Iterable[str]) -> UsageError:
    if (backup_set := config.backup_set_of(vm)) is not None:
        return UsageError(f"explain: {vm} is in [backup_sets.{backup_set}], and no dump of it was ever marked")
    return UnknownVmError(vm, known)


def _print_shape(
    vm: str,
    day: object,
    decisions: Sequence[object],
    expected: float | None,
    links: "Sequence[LinkRow]",
    **more: object,
) -> None:  # fmt: skip
    """``explain --json``. ``reasons`` only with --now."""
    when = None if expected is None else format_time(expected)
    shape = {"vm": vm, "day": day, "decisions": decisions, "expected": when, "links": shapes.links(links)}
    print_json({"format": shapes.FORMAT, **shape, **more})


def _print(
    sentences: Iterable[str], account: str, links: "Sequence[LinkRow]", zone: datetime.tzinfo
) -> None:  # fmt: skip
    for line in (*sentences, account):
        output.sentence(line)
    if links:
        click.echo("Released before:")
        output.table(_LINKS, (_link_row(row, zone) for row in links))


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


# --- as a pass would decide now


def _explain_now(session: Session, config: "Config", vm: str, *, as_json: bool) -> None:
    from core.state import ledger
    from tidegate.cli.passes import preview

    dry_run = session.dry_run(config)
    with dry_run.read() as connection:
        links = ledger.of_vm(connection, vm, _LAST)
    result = preview(config, dry_run)
    decisions = [one for one in result.plan.decisions if one.dump.vm == vm]
    if vm not in result.facts.known and not decisions:
        raise _unknown(config, vm, result.facts.known)
    expected, reasons = _expected(result, vm, decisions), _reasons(result, vm)
    day = shapes.day(result.day)
    if as_json:
        shown = [shapes.decision(one) for one in decisions]
        _print_shape(vm, day, shown, expected, links, reasons=reasons)
        return
    zone = config.day.timezone
    sentences = [_sentence(one, reasons if one.position is not None else [], zone) for one in decisions]
    sentences += [f"Expected to leave on {format_date(expected, zone)}."] if expected is not None else []
    _print(sentences, shapes.account(day), links, zone)


def _reasons(result: "PassResult", vm: str) -> list[str]:
    from policy.planner.explanations import of_queue

    known = next((one for one in result.facts.vms if one.vm == vm), None)
    return [] if known is None else list(of_queue(known, result.plan, result.rules))


def _expected(result: "PassResult", vm: str, decisions: "Sequence[Decision]") -> float | None:
    """On which coming day, as a time on it, a dump leaves; None where that is now, or cannot be said."""
    from core.clock import SystemClock
    from policy.planner.forecast import first_day_out
    from tidegate.cli.forecast import beginning

    now = SystemClock().now().wall
    if vm not in result.facts.known or not any(_waits(decisions)):
        return None
    day = first_day_out(beginning(result, now), vm, _HORIZON)
    return now + day * _SECONDS_OF_DAY if day else None


def _waits(decisions: "Iterable[Decision]") -> Iterator[bool]:
    """Whether each of these dumps waits for nothing but what is before it."""
    for one in decisions:
        yield one.verdict is Verdict.WAITING and not one.reason.unfinished and not one.dump.outstanding


def _sentence(one: "Decision", reasons: Sequence[str], zone: datetime.tzinfo) -> str:
    """One dump and why it leaves or stays."""
    when = format_minute(one.dump.dump_time, zone)
    verb = "would leave with the next pass" if one.verdict is Verdict.RELEASED else f"is {one.verdict} ({one.reason})"
    size = f"{format_size(one.dump.bytes)}, " if one.dump.bytes else ""  # nothing is there of one that failed
    return f"{one.dump.path} ({size}of {when}) {verb}: {'; '.join([one.detail, *reasons])}."
