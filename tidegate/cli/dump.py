"""``tidegate dump``."""

import sys
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from core.enums import DumpResult, Occasion, Trouble
from core.errors import ExitCode, TidegateError, UsageError
from core.state.alerts import Key
from core.units import format_exact_time, format_size, format_span
from tidegate.cli import completing, output
from tidegate.cli.context import Session, Span, json_option, pass_session, print_json
from tidegate.cli.output import Column
from tidegate.daemon.logs import complain
from tidegate.daemon.notifier import Notifier, RunReport
from tidegate.daemon.signals import stopped_by_signals

if TYPE_CHECKING:
    from core.config.dump_settings import SetDumping
    from core.config.settings import Config
    from dumps.attempt import DumpOutcome
    from dumps.runner import Run
    from policy.passes.run import PassResult

FORMAT = 2
_COLUMNS = (
    Column.name("vm"),
    Column.word("result"),
    Column.number("size"),
    Column.number("time"),
    Column.name("dump", drop=1),
    Column.text("why"),
)


@click.command()
@click.argument("backup_set", shell_complete=completing.backup_sets)
@click.option("--then-pass", is_flag=True, help="Run a pass when the dumps are made, whatever became of them.")
@click.option(
    "--wait", type=Span(), default="0s", show_default=True, help="How long to wait for another run of the set."
)
@json_option
@pass_session
def dump(session: Session, *, backup_set: str, then_pass: bool, wait: float, as_json: bool) -> None:
    """Dump the VMs of BACKUP_SET, all of them whatever becomes of one, and write their completion markers.

    Ends with 1 if any dump failed. What a run that was killed has left is cleaned up first.
    """
    config = session.config()
    dumping = _dumping(config, backup_set)
    with Notifier(session, config) as notifier:
        with notifier.run(Occasion.DUMP, backup_set) as account:
            run = _run(session, config, backup_set, dumping, wait=wait)
            _tell(account, run, dumping)
        then_pass = then_pass and not run.was_stopped
        released = _pass(session, config, notifier) if then_pass else None
        if as_json:
            print_json(_shape(backup_set, run, released))
        else:
            _print(run, released)
    if not run.is_well or (then_pass and (released is None or released.failed)):
        click.get_current_context().exit(ExitCode.PARTLY)


def _dumping(config: "Config", name: str) -> "SetDumping":
    from core.config.messages import did_you_mean

    if name not in config.backup_sets:
        names = config.backup_sets
        right = did_you_mean(name, names, "{!r}") or f"; there are: {', '.join(names) or 'none'}"
        raise UsageError(f"{config.file}: no [backup_sets.*] is named {name!r}{right}")
    if (dumping := config.dumping_of(name)) is None:
        raise UsageError(f"{config.file}: [backup_sets.{name}] does not say how its VMs are dumped: set `command`")
    return dumping


def _run(session: Session, config: "Config", name: str, dumping: "SetDumping", *, wait: float) -> "Run":
    from core.clock import SystemClock
    from dumps.failure import Stop
    from dumps.runner import Runner
    from tidegate.cli import hypervisor
    from tidegate.cli.dump_progress import progress

    clock = SystemClock()
    state = session.state(config)
    session.compare_versions(config)
    with closing(Stop()) as stop, progress(sys.stderr) as shown:
        runner = Runner(config, name, dumping, state, clock, stop, shown)
        with runner.alone(wait=wait), stopped_by_signals(stop):
            run = runner.run()
    if not run.was_stopped:
        hypervisor.record(config, state, clock)
    return run


def _tell(account: RunReport, run: "Run", dumping: "SetDumping") -> None:
    account.summary = f"{len(run.outcomes)} dumped in {format_span(run.finished - run.started)}"
    account.reason = _reason(run)
    account.found = lambda: [
        (Key(Trouble.DUMP_FAILED, one.vm), f"{one.vm}: its dump failed: {one.error}") for one in _failed(run)
    ]
    account.has_looked_at = lambda key: key.what is Trouble.DUMP_FAILED and key.subject in dumping.rules


def _failed(run: "Run") -> "list[DumpOutcome]":
    return [one for one, _ in run.outcomes if one.result is DumpResult.FAILED]


def _reason(run: "Run") -> str:
    """Why it has done its work in part only; '' where it has done all of it."""
    from exporters.findings import joined

    if run.is_well:
        return ""
    counted = Counter(one.result for one, _ in run.outcomes)
    counts = ", ".join(f"{count} {result}" for result, count in counted.items())
    named = joined(f"{one.vm}: {one.error or one.warning}" for one, _ in run.outcomes if one.error or one.warning)
    return f"{counts}: {named}"


def _pass(session: Session, config: "Config", notifier: Notifier) -> "PassResult | None":
    """None where it could not run: the dumps are made all the same."""
    from tidegate.cli.passes import released

    try:
        return released(session, config, notifier, wait=600.0)
    except TidegateError as error:
        complain(f"the dumps are made, the pass did not run: {error}")
        return None


# --- what is told


def _shape(backup_set: str, run: "Run", released: "PassResult | None") -> dict[str, Any]:
    """``dump --json``. ``dump`` is the path in its watch folder; ``exit_status`` is that of the failing command."""
    from tidegate.cli import shapes

    return {
        "format": FORMAT,
        "backup_set": backup_set,
        "started": format_exact_time(run.started),
        "finished": format_exact_time(run.finished),
        "dumps": [_dump_shape(one, attempts) for one, attempts in run.outcomes],
        "cleaned_up": [{"dump": name, "detail": told} for name, told in run.undone],
        "removed": list(run.removed),
        "pass": None if released is None else shapes.plan(released),
    }


def _dump_shape(one: "DumpOutcome", attempts: int) -> dict[str, Any]:
    return {
        "vm": one.vm,
        "result": one.result,
        "dump": one.dump,
        "bytes": one.bytes,
        "started": format_exact_time(one.started),
        "seconds": round(one.finished - one.started, 3),
        "attempts": attempts,
        "error": one.error or None,
        "warning": one.warning or None,
        "exit_status": one.exit_status,
        "log": None if one.journal is None else str(one.journal),
    }


def _print(run: "Run", released: "PassResult | None") -> None:
    from tidegate.cli import passes

    for name, told in run.undone:
        output.sentence(f"{name} {told}")
    output.table(_COLUMNS, (_row(one) for one, _ in run.outcomes))
    count = {result: sum(one.result is result for one, _ in run.outcomes) for result in DumpResult}
    removed = f", {len(run.removed)} older ones removed" if run.removed else ""
    skipped = f", {count[DumpResult.SKIPPED]} not begun" if count[DumpResult.SKIPPED] else ""
    output.sentence(f"{count[DumpResult.DONE]} dumped, {count[DumpResult.FAILED]} failed{skipped}{removed}")
    for one, _ in run.outcomes:
        if one.result is DumpResult.FAILED and one.journal is not None:
            output.sentence(f"the log of {one.vm}: {one.journal}")
    if released is not None:
        passes.show_result(released)


def _row(one: "DumpOutcome") -> tuple[str, ...]:
    done = one.result is DumpResult.DONE
    return (
        one.vm,
        one.result,
        format_size(one.bytes) if done else "",
        format_span(one.finished - one.started),
        one.dump or "",
        one.error or one.warning,
    )
