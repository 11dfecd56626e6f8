"""``tidegate pass`` and ``tidegate plan``."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.enums import Occasion, Trouble
from core.errors import ExitCode, UsageError
from core.filenames import printable
from core.reasons import Reason, Verdict
from core.units import format_size
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, wait_option
from tidegate.cli.output import Column
from tidegate.daemon.notifier import Notifier

if TYPE_CHECKING:
    from core.clock import Clock
    from core.config.settings import Config
    from core.state.alerts import Key
    from core.state.database import DryRunState
    from core.state.dumps import DumpRow
    from policy.passes.release import Verify
    from policy.passes.run import PassResult
    from policy.planner.model import Decision

_COLUMNS = (
    Column.number("position", drop=4),
    Column.name("vm"),
    Column.name("dump", drop=2),
    Column.number("size"),
    Column.word("verdict", drop=1),
    Column.word("reason"),
    Column.number("total", drop=3),
    Column.text("why"),
)

#: First what leaves, in its order; then what somebody has to see to, what waits, and what needs nothing.
_ORDER = (Verdict.RELEASED, Verdict.BLOCKED, Verdict.WAITING, Verdict.DONE)
_SUMMARY_LINES, _LEAST_OTHERS = 3, 5


@click.command("pass")
@click.option("--dry-run", is_flag=True, help="The same as `tidegate plan`: write nothing.")
@click.option("--strict", is_flag=True, help="End with 1 if the newest dump of any VM failed, or its checks.")
@wait_option
@json_option
@pass_session
def run_pass(session: Session, *, dry_run: bool, strict: bool, wait: float, as_json: bool) -> None:
    """One policy pass: scan, decide what may leave today, and release it. Needs no running service."""
    config = session.config()
    with Notifier(session, config) as notifier:
        if dry_run:
            result = preview(config, session.dry_run(config))
        else:
            result = released(session, config, notifier, wait=wait, strict=strict)
        _print(result, as_json=as_json, would=dry_run)
    if _reason(result, strict=strict):
        click.get_current_context().exit(ExitCode.PARTLY)


def _reason(result: "PassResult", *, strict: bool) -> str:
    """Why it has not ended well; '' where it has."""
    from exporters.findings import joined

    if result.failed:
        named = joined(f"{one.dump}: {one.reason}: {one.detail}" for one in result.failed)
        return f"{len(result.failed)} dumps could not be linked: {named}"
    if not strict:
        return ""
    by_age = sorted(result.plan.decisions, key=lambda one: (one.dump.dump_time, one.dump.dump_id))
    newest = {one.dump.vm: one.reason for one in by_age}
    failing = sorted(vm for vm, reason in newest.items() if reason in _FAILING)
    return f"dumps failed: {', '.join(failing)}" if failing else ""


#: What `--strict` ends with 1 for. An older failure that a good dump has followed is over, though its marker may stand.
_FAILING = frozenset({Reason.DUMP_FAILED, Reason.VERIFY_FAILED})


@click.command()
@click.option(
    "--compare",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Set the plan beside what another script has linked into this folder.",
)
@click.option("--all", "everything", is_flag=True, help="Every dump, on a terminal too; a pipe gets all.")
@json_option
@pass_session
def plan(session: Session, *, compare: Path | None, everything: bool, as_json: bool) -> None:
    """What a pass would release now, and why not the rest. Scans, and writes nothing."""
    config = session.config()
    result = preview(config, session.dry_run(config), ignore_trees=compare is not None)
    if compare is None:
        _print(result, as_json=as_json, would=True, everything=everything)
        return
    if as_json:
        raise UsageError("plan: --compare and --json exclude each other")
    _compare(result, compare)


def preview(config: "Config", dry_run: "DryRunState", *, ignore_trees: bool = False) -> "PassResult":
    """Scans into a copy of the state and decides there."""
    from core.clock import SystemClock
    from policy.passes import run
    from watcher.scanner import scan_and_record

    clock = SystemClock()
    scan_and_record(config, dry_run, clock)
    return run.preview(config, dry_run, clock, ignore_trees=ignore_trees)


def released(
    session: Session, config: "Config", notifier: Notifier, *, wait: float, strict: bool = False
) -> "PassResult":
    """A whole pass, of which is told: scans, decides, links, and writes the textfile."""
    from core.clock import SystemClock

    clock = SystemClock()
    with notifier.run(Occasion.PASS) as account:
        result = _release_all(session, config, clock, wait=wait)
        account.summary = f"{_counted(result)}; {shapes.account(shapes.day(result.day))}"
        account.reason = _reason(result, strict=strict)
        account.found = lambda: _troubles(config, result, clock)
        account.has_looked_at = lambda key: _could_find(result, key)
    return result


def _troubles(config: "Config", result: "PassResult", clock: "Clock") -> "Iterator[tuple[Key, str]]":
    """What the command of [notify] is run for: what is wrong now, and what the admin has forced."""
    from core.state.alerts import Key
    from core.state.database import read_only
    from exporters import health

    with read_only(config.state.path) as connection:
        problems = health.report(connection, config, clock.now()).problems
    for one in problems:
        if one.kind.trouble is not None:
            yield Key(one.kind.trouble, one.subject), one.detail
    for forced in result.plan.over_limit:
        vm, size = forced.dump.vm, format_size(forced.over_limit)
        yield Key(Trouble.OVER_LIMIT, vm), f"{vm}: released {size} above the limit: forced"


def _could_find(result: "PassResult", key: "Key") -> bool:
    """Whether this pass would have found it: nobody knows whether dumps may leave whose watch folder is down."""
    return not result.down if key.what is Trouble.BLOCKED else key.what is not Trouble.FAILED


def _release_all(session: Session, config: "Config", clock: "Clock", *, wait: float) -> "PassResult":
    from policy.passes import run
    from tidegate.cli import hypervisor
    from watcher.scanner import scan_and_record

    state = session.state(config)
    session.compare_versions(config)
    scan_and_record(config, state, clock)
    hypervisor.record(config, state, clock)
    result = run.run(config, state, clock, wait=wait, verify=_verify(config))
    if config.exporters.textfile is not None:
        from exporters import exposition, textfile

        textfile.write(config.exporters.textfile.path, exposition.render(state, config, clock.now().wall))
    return result


def _verify(config: "Config") -> "Verify":
    """Asks a dump that others have made for the checks of its set."""
    from dumps.verify import fault
    from tidegate.daemon.signals import ended_by_signals

    def verify(row: "DumpRow", body: str | None) -> str | None:
        verification = config.verification_of(row.vm or "", row.backup_set)
        told = {"VM": row.vm or "", "BACKUP_SET": row.backup_set or ""}
        path = config.watch(row.watch).path / row.path
        with ended_by_signals() as stop:
            return fault(verification, path, body, told, stop)
        raise AssertionError("a signal ends the program")

    return verify


def _print(result: "PassResult", *, as_json: bool, would: bool, everything: bool = False) -> None:
    if as_json:
        print_json(shapes.plan(result))
    else:
        show_result(result, would=would, everything=everything)


def show_result(result: "PassResult", *, would: bool = False, everything: bool = False) -> None:
    """``would``: nothing was released. A terminal gets what leaves and, of the rest, as much as it can hold."""
    decisions = sorted(result.plan.decisions, key=lambda one: _ORDER.index(one.verdict))
    count = len(result.plan.released)
    seen = output.screen()
    room = None if everything else seen.rows_that_fit(_SUMMARY_LINES, least=count + _LEAST_OTHERS)
    if not decisions:
        output.sentence("no dump is known: one counts from when X.done stands beside X; `tidegate mark X` writes it")
    else:
        output.lines(output.table_lines(_COLUMNS, _rows(decisions[:room]), seen))
    if room is not None and len(decisions) > room:
        output.sentence(f"and {len(decisions) - room} more: `tidegate plan --all`")
    output.sentence(_counted(result, would=would))
    output.sentence(shapes.account(shapes.day(result.day)))
    for one in result.plan.over_limit:
        released = f"{format_size(one.over_limit)} {'would be ' if would else ''}released above the limit"
        click.echo(f"tidegate: {one.dump.vm}: {released}: forced", err=True)
    for folder in result.short:
        click.echo(f"tidegate: {folder}", err=True)
    for watch in result.down:
        click.echo(f"tidegate: the watch folder {watch} is down: nothing of it was looked at", err=True)


def _counted(result: "PassResult", *, would: bool = False) -> str:
    """``2 released, 5 GB; 1 waiting, 1 blocked``; what needs nothing is not counted."""
    counts = Counter(one.verdict for one in result.plan.decisions)
    size = f", {format_size(result.plan.released_bytes)}" if counts[Verdict.RELEASED] else ""
    released = f"{counts[Verdict.RELEASED]} {'would be ' if would else ''}released{size}"
    others = [f"{counts[verdict]} {verdict}" for verdict in (Verdict.WAITING, Verdict.BLOCKED) if counts[verdict]]
    return "; ".join(filter(None, (released, ", ".join(others))))


def _rows(decisions: "Iterable[Decision]") -> Iterator[tuple[str, ...]]:
    total = 0
    for one in decisions:
        released = one.verdict is Verdict.RELEASED
        total += one.charge if released else 0
        yield (
            "" if one.position is None else str(one.position),
            one.dump.vm,
            one.dump.path,
            format_size(one.dump.bytes) if one.dump.bytes else "",
            one.verdict,
            one.reason,
            format_size(total) if released else "",
            one.detail,
        )


def _compare(result: "PassResult", folder: Path) -> None:
    """Each name in the plan or in the folder, and where it stands."""
    planned = {one.dump.path.rpartition("/")[2]: one for one in result.plan.decisions}
    released = {name for name, one in planned.items() if one.verdict is Verdict.RELEASED}
    there = {printable(entry.name) for entry in folder.iterdir() if not entry.name.startswith(".")}
    rows = []
    for name in sorted(released | there):
        mine = "released" if name in released else planned[name].reason if name in planned else "knows no such dump"
        size = format_size(planned[name].dump.bytes) if name in planned else ""
        rows.append((name, size, mine, "linked" if name in there else "not there"))
    output.table((Column.name("dump"), Column.number("size"), Column.word("tidegate"), Column.word(str(folder))), rows)
    both = released & there
    output.sentence(
        f"{len(both)} the same, {len(released - there)} only by Tidegate ({format_size(result.plan.released_bytes)} "
        f"in all), {len(there - released)} only in {folder}"
    )
