"""``tidegate status`` and ``tidegate explain``."""

import datetime
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from tidegate.cli import shapes, show
from tidegate.cli.context import Session, json_option, pass_session, print_json
from tidegate.cli.passes import preview
from tidegate.errors import UsageError
from tidegate.names import printable
from tidegate.terms import Freshness, Verdict
from tidegate.units import format_size, format_span, format_time

if TYPE_CHECKING:
    from policy.planner.records import Decision
    from tidegate.config.model import Config
    from tidegate.state.ledger import LinkRow
    from tidegate.state.vms import VmRow

_WORST_FIRST = {Freshness.NEVER: 0, Freshness.STALE: 1, Freshness.FRESH: 2}
_HISTORY = 10


@click.command()
@json_option
@click.option("--check", "nagios", is_flag=True, help="One line and the exit code that Nagios knows.")
@pass_session
def status(session: Session, *, as_json: bool, nagios: bool) -> None:
    """The day, and every VM's off-site copy, worst first. Shows what is recorded; looks at no dump."""
    from policy import passes
    from tidegate.cli.worries import worries
    from tidegate.clock import SystemClock
    from tidegate.state import dumps

    config = session.config()
    scratch = session.scratch(config)
    clock = SystemClock()
    result = passes.review(config, scratch, clock)
    with scratch.read() as connection:
        newest = dumps.newest_of_each(connection)
    session.compare_versions(config)
    shape = shapes.status(result, newest, result.rules, clock.now().wall)
    if as_json:
        print_json(shape)
    elif nagios:
        _check(shape)
    else:
        _print_status(config, shape, worries(result))


def _print_status(config: "Config", shape: dict[str, Any], decide: Iterable[str]) -> None:
    from tidegate.state.door import running_watcher

    vms = sorted(shape["vms"], key=lambda one: (_WORST_FIRST[one["verdict"]], -(one["offsite_age_seconds"] or 0)))
    if vms:
        headings = ("vm", "set", "verdict", "off-site age", "target", "by", "newest dump", "size", "state", "reason")
        show.table(headings, (_status_row(one) for one in vms), right=(3, 4, 7))
    counts = {verdict: sum(one["verdict"] == verdict for one in vms) for verdict in Freshness}
    click.echo(f"{len(vms)} VMs: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    click.echo(show.account(shape["day"]))
    for sentence in decide:
        click.echo(sentence)
    if not config.state.exists():
        click.echo("nothing is recorded yet; run `tidegate pass` or start `tidegate watch`")
    elif running_watcher(config.state) is None:
        click.echo("no watcher runs: what was marked since the last pass is not shown here; `tidegate plan` looks")


def _status_row(one: dict[str, Any]) -> tuple[str, ...]:
    dump = one["newest_dump"]
    age = one["offsite_age_seconds"]
    return (
        one["vm"],
        one["backup_set"] or "",
        one["verdict"],
        "" if age is None else format_span(age),
        format_span(one["target_seconds"]),
        one["offsite_by"] or "",
        "none" if dump is None else dump["path"],
        "" if dump is None else format_size(dump["bytes"]),
        "failed" if one["last_dump_failed"] else "" if dump is None else dump["state"],
        "" if dump is None else dump["reason"] or "",
    )


def _check(shape: dict[str, Any]) -> None:
    """The codes that Nagios and its kin know: 0 well, 1 warning, 2 critical."""
    bad = [one["vm"] for one in shape["vms"] if one["verdict"] != Freshness.FRESH]
    failed = [one["vm"] for one in shape["vms"] if one["last_dump_failed"]]
    level = 2 if bad else 1 if failed else 0
    said = []
    if bad:
        said.append(f"stale or never off-site: {', '.join(bad[:20])}")
    if failed:
        said.append(f"last dump failed: {', '.join(failed[:20])}")
    word = ("OK", "WARNING", "CRITICAL")[level]
    text = "; ".join(said) or f"{len(shape['vms'])} VMs off-site within their targets"
    click.echo(f"TIDEGATE {word} - {text} | vms={len(shape['vms'])} stale={len(bad)} failed={len(failed)}")
    click.get_current_context().exit(level)


@click.command()
@click.argument("vm")
@json_option
@pass_session
def explain(session: Session, *, vm: str, as_json: bool) -> None:
    """Why the dumps of VM left, or did not, and what became of its copies."""
    from tidegate.state import ledger

    config = session.config()
    result = preview(session, config)
    decisions = [one for one in result.plan.decisions if one.dump.vm == vm]
    with session.scratch(config).read() as connection:
        history = ledger.of_vm(connection, vm, _HISTORY)
    if vm not in result.facts.known and not decisions:
        raise UsageError(f"explain: no VM named {vm!r} is known; `tidegate status` lists them")
    if as_json:
        print_json(
            {
                "format": shapes.FORMAT,
                "vm": vm,
                "day": shapes.day(result.day),
                "decisions": [shapes.decision(one) for one in decisions],
                "links": shapes.links(history),
            }
        )
        return
    zone = config.day.timezone
    for line in (*_copy(result.facts.known.get(vm), vm, zone), *_reasons(decisions, result.day.number, zone)):
        click.echo(line)
    click.echo(show.account(shapes.day(result.day)))
    if history:
        click.echo("Let out before:")
        headings = ("day", "granted", "name", "size", "state", "confirmed", "by")
        show.table(headings, (_link_row(row, zone) for row in history), right=(0, 3))


def _copy(known: "VmRow | None", vm: str, zone: datetime.tzinfo) -> Iterator[str]:
    """What is off-site."""
    from tidegate.clock import SystemClock

    if known is None or known.offsite_time is None:
        yield f"{vm} has no copy off-site that Tidegate knows of."
    else:
        age = format_span(SystemClock().now().wall - known.offsite_time)
        when = format_time(known.offsite_time, zone)
        yield f"{vm}'s newest copy off-site is of {when}, {age} old (by: {known.offsite_by})."
    if known is not None and known.last_dump_failed:
        yield "Its last dump failed."


def _reasons(decisions: "Iterable[Decision]", day: int, zone: datetime.tzinfo) -> Iterator[str]:
    """Each dump and why it leaves or stays."""
    for one in decisions:
        when = format_time(one.dump.dump_time, zone)
        verb = "would leave with the next pass" if one.verdict is Verdict.GRANTED else f"is held ({one.reason})"
        yield f"{one.dump.path} ({format_size(one.dump.bytes)}, of {when}) {verb}: {one.detail}."
        if one.forecast_day is not None:
            days = one.forecast_day - day
            yield f"  Expected to leave in {days} day{'s' if days != 1 else ''} (day {one.forecast_day})."


def _link_row(row: "LinkRow", zone: datetime.tzinfo) -> tuple[str, ...]:
    return (
        str(row.day),
        format_time(row.granted.wall, zone),
        printable(row.export_name),
        format_size(row.bytes),
        row.state,
        "" if row.confirmed_at is None else format_time(row.confirmed_at, zone),
        row.confirmed_by or "",
    )
