"""``tidegate status``."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from core.errors import TidegateError, UsageError
from core.filenames import printable
from core.units import format_size, format_span, format_time
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json
from tidegate.cli.output import Column, Screen

if TYPE_CHECKING:
    from core.config.settings import Config
    from exporters.findings import Finding
    from exporters.health import Report, VmStatus
    from tidegate.cli.live import Picture

_COLUMNS = (
    Column.name("vm"),
    Column.word("set", drop=4),
    Column.word("freshness"),
    Column.number("off-site"),
    Column.number("target", drop=6),
    Column.word("by", drop=2),
    Column.name("newest dump", drop=1),
    Column.number("size", drop=5),
    Column.word("state", drop=3),
    Column.word("reason", drop=7),
)
_UNKNOWN = 3


class Looked(NamedTuple):
    """What ``status`` shows, from one look at the state."""

    config: "Config"
    report: "Report"


@click.command()
@json_option
@click.option("--all", "everything", is_flag=True, help="Every VM, on a terminal too; it gets one screen of the worst.")
@click.option("--watch", is_flag=True, help="Look again and again, in place, until Ctrl-C or q.")
@click.option("--check", "nagios", is_flag=True, help="One line and the exit code for Nagios and its kin (0, 1, 2, 3).")
@pass_session
def status(session: Session, *, as_json: bool, everything: bool, watch: bool, nagios: bool) -> None:
    """Whether all is well, the day, and every VM's off-site copy, worst first. Shows what is recorded; scans nothing.

    The first line has the level: `CRITICAL` when copies are too old or none can get newer, `WARNING` when something
    asks for a decision.
    """
    if as_json + watch + nagios > 1:
        raise UsageError("status: --json, --watch and --check exclude each other")
    if nagios:
        click.get_current_context().exit(_check(lambda: look(session).report))
    elif watch:
        from core.clock import SystemClock
        from tidegate.cli import live

        live.watch(lambda: _picture(look(session)), SystemClock())
    else:
        found = look(session)
        session.compare_versions(found.config)
        if as_json:
            from exporters import json_shapes

            print_json(json_shapes.status(found.report))
        else:
            output.lines(lines_of(found, output.screen(), everything=everything))


def look(session: Session) -> Looked:
    """Reads the state, in one transaction. Raises TidegateError."""
    from core.clock import SystemClock
    from core.state.database import read_only
    from exporters import health

    config = session.config()
    with read_only(config.state.path) as connection:
        return Looked(config, health.report(connection, config, SystemClock().now()))


def _picture(found: Looked) -> "Picture":
    when = format_time(found.report.now, found.config.day.timezone)

    def picture(seen: Screen) -> Iterator[str]:
        yield from lines_of(found, seen)
        yield seen.styled(f"as of {when}; q ends", "dim")

    return picture


# --- for people


def lines_of(found: Looked, seen: Screen, *, everything: bool = False) -> Iterator[str]:
    """A terminal gets one screen, with the worst VMs, unless ``everything`` is asked."""
    from exporters import json_shapes

    report = found.report
    above = [
        *output.sentence_lines(report.first_line, seen, report.severity.name),
        *output.sentence_lines(shapes.account(json_shapes.day(report.day)), seen),
        *(line for one in report.findings for line in _finding_lines(one, seen)),
    ]
    below = [line for sentence in _advice(found.config) for line in output.sentence_lines(sentence, seen)]
    yield from above
    if report.vms:
        yield ""
        yield from _table(report, seen, None if everything else seen.rows_that_fit(len(above) + len(below) + 1))
    yield from below


def _finding_lines(one: "Finding", seen: Screen) -> Iterator[str]:
    """Of one VM, or of the host, all there is to say; of many what they have in common."""
    said = one.named if len(one.vms) > 1 else one.detail
    level = one.severity.name if one.severity else "note"
    has_said = one.action.partition(",")[0].casefold() in said.casefold()  # some details say what to do, with names
    yield from output.sentence_lines(f"{level}: {said}.{'' if has_said else f' {one.action}'}", seen, level)


def _table(report: "Report", seen: Screen, room: int | None) -> Iterator[str]:
    yield from output.table_lines(_COLUMNS, map(_row, report.vms[:room]), seen)
    if rest := [] if room is None else report.vms[room:]:
        bad = {vm for one in report.findings if one.severity for vm in one.vms}
        count = sum(one.name in bad for one in rest)
        said = f"{count} of them with a finding" if count else "all OK"
        yield from output.sentence_lines(f"and {len(rest)} more, {said}: `tidegate status --all`", seen)


def _row(one: "VmStatus") -> tuple[str, ...]:
    dump, about = one.newest, one.decision
    return (
        one.name,
        one.row.backup_set or "",
        one.freshness,
        "" if one.age is None else format_span(one.age // 60 * 60),
        "" if one.target is None else format_span(one.target),
        one.offsite_by or "",
        "none" if dump is None else dump.path,
        "" if dump is None or not dump.bytes else format_size(dump.bytes),
        "failed" if one.row.last_dump_failed else "" if dump is None else dump.state,
        "on_hold" if one.row.on_hold else "" if about is None else about.reason,
    )


def _advice(config: "Config") -> Iterator[str]:
    from core.state.database import is_there, running_watcher

    if not is_there(config.state.path):
        yield "Nothing is recorded yet. Run `tidegate pass` or start `tidegate watch`."
    elif running_watcher(config.state.path) is None:
        yield (
            "The watch service is not running; markers written since the last pass are not shown. "
            "`tidegate plan` rescans."
        )


# --- for Nagios and its kin: one line and one exit code


def _check(read: "Callable[[], Report]") -> int:
    """0, 1 or 2 by what is found, and 3 where nothing can be known; a monitor reads stdout alone."""
    try:
        report = read()
    except TidegateError as error:
        _say("UNKNOWN", "; ".join(str(error).splitlines()))
        return _UNKNOWN
    told = "; ".join(one.named for one in report.findings if one.severity) or report.summary
    _say(report.severity.name, told, _figures(report))
    return int(report.severity)


def _say(word: str, told: str, figures: Sequence[str] = ()) -> None:
    """Behind the bar are figures: no name may hold one."""
    behind = f" | {' '.join(figures)}" if figures else ""
    click.echo(f"TIDEGATE {word} - {printable(told).replace('|', '/')}{behind}")


def _figures(report: "Report") -> list[str]:
    """``'label'=value[unit];warning;critical;least;most``: no thresholds, since targets differ from VM to VM."""
    from core.enums import Freshness

    counts = {
        "vms": len(report.vms),
        "stale": report.count(Freshness.STALE),
        "never": report.count(Freshness.NEVER),
        "new": report.count(Freshness.NEW),
        "failed": sum(one.row.last_dump_failed for one in report.vms),
        "shrunk": sum(one.row.shrunk_from is not None for one in report.vms),
    }
    ages = [one.age for one in report.vms if one.age is not None]
    day = report.day
    return [
        *(f"'{label}'={count};;;0" for label, count in counts.items()),
        *([f"'oldest'={max(ages):.0f}s;;;0"] if ages else []),
        *([] if day is None else [f"'released'={day.outstanding + day.used}B;;;0;{day.limit}"]),
    ]
