"""``tidegate status``."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from core.errors import UsageError
from core.units import format_size, format_span, format_time
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json
from tidegate.cli.output import Column, Screen

if TYPE_CHECKING:
    from core.config.settings import Config
    from policy.passes.run import PassResult
    from tidegate.cli.live import Picture
    from tidegate.verdict import Finding

_COLUMNS = (
    Column.name("vm"),
    Column.word("set", drop=4),
    Column.word("verdict"),
    Column.number("off-site"),
    Column.number("target", drop=6),
    Column.word("by", drop=2),
    Column.name("newest dump", drop=1),
    Column.number("size", drop=5),
    Column.word("state", drop=3),
    Column.word("reason", drop=7),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What ``status`` tells, from one look at the state."""

    config: "Config"
    shape: dict[str, Any]
    findings: "Sequence[Finding]"
    decide: Sequence[str]
    now: float


@click.command()
@json_option
@click.option("--all", "everything", is_flag=True, help="Every VM, on a terminal too; it gets one screen of the worst.")
@click.option("--watch", is_flag=True, help="Look again and again, in place, until Ctrl-C or q.")
@click.option("--check", "nagios", is_flag=True, help="One line and the exit code for Nagios and its kin (0, 1, 2, 3).")
@pass_session
def status(session: Session, *, as_json: bool, everything: bool, watch: bool, nagios: bool) -> None:
    """The day, and every VM's off-site copy, worst first. Shows what is recorded; looks at no dump.

    The first line says whether all is well: `critical` when copies are too old or none can get newer, `warning` when
    something asks for a decision.
    """
    if as_json + watch + nagios > 1:
        raise UsageError("status: --json, --watch and --check exclude each other")
    if nagios:
        from tidegate.cli.nagios import check

        check(lambda: standing(session))
        return
    if watch:
        from core.clock import SystemClock
        from tidegate.cli import live

        live.watch(lambda: _picture(standing(session)), SystemClock())
        return
    found = standing(session)
    session.compare_versions(found.config)
    if as_json:
        print_json(found.shape)
    else:
        output.lines(report(found, output.screen(), everything=everything))


def _picture(found: Standing) -> "Picture":
    when = format_time(found.now, found.config.day.timezone)

    def picture(seen: Screen) -> Iterator[str]:
        yield from report(found, seen)
        yield seen.styled(f"as of {when}; q ends", "dim")

    return picture


def standing(session: Session) -> Standing:
    """Looks at the state."""
    from core.clock import SystemClock
    from core.state import dumps
    from policy.passes import run
    from tidegate import health
    from tidegate.verdict import findings
    from tidegate.worries import worries

    config = session.config()
    clock = SystemClock()
    now = clock.now().wall
    with closing(session.dry_run(config)) as dry_run:
        result = run.review(config, dry_run, clock)
        with dry_run.read() as connection:
            shape = shapes.status(result, dumps.newest_of_each(connection), result.rules, now)
            found = findings(health.on_host(connection, config, result, now))
            decide = [*_under_way(result), *worries(connection, config, result)]
    return Standing(config, shape, found, decide, now)


def _under_way(result: "PassResult") -> Iterator[str]:
    """How far each dump is that leaves in slices."""
    from policy.planner.explanations import slice_of_today

    for one in result.plan.slices:
        if one.dump.outstanding and one.slice is not None:
            yield f"{one.dump.vm} leaves in slices: {slice_of_today(one.dump.bytes, one.slice)}"


def report(found: Standing, seen: Screen, *, everything: bool = False) -> Iterator[str]:
    """The lines for people. Of a terminal they fill one screen, with the worst VMs, unless ``everything`` is asked."""
    from tidegate.verdict import level_of, summary

    vms = found.shape["vms"]
    verdict = level_of(found.findings).name.lower()
    above = [
        *output.sentence_lines(f"{verdict}: {summary(found.findings, len(vms))}", seen, verdict),
        *output.sentence_lines(shapes.account(found.shape["day"]), seen),
        *(line for sentence in found.decide for line in output.sentence_lines(sentence, seen)),
    ]
    below = [line for sentence in _advice(found.config) for line in output.sentence_lines(sentence, seen)]
    yield from above
    if vms:
        yield ""
        yield from _table(found, seen, None if everything else seen.rows_that_fit(len(above) + len(below) + 1))
    yield from below


def _table(found: Standing, seen: Screen, room: int | None) -> Iterator[str]:
    """By the worst that was found of each, then by how much of its target the copy's age has used."""
    bad = {vm: place for place, one in reversed([*enumerate(found.findings)]) for vm in one.subjects}

    def badness(one: dict[str, Any]) -> tuple[int, bool, float, str]:
        age, target = one["offsite_age_seconds"], one["target_seconds"]
        return bad.get(one["vm"], len(found.findings)), age is not None, -(age or 0) / target, one["vm"]

    vms = sorted(found.shape["vms"], key=badness)
    yield from output.table_lines(_COLUMNS, (_row(one) for one in vms[:room]), seen)
    if rest := [] if room is None else vms[room:]:
        ill = sum(one["vm"] in bad for one in rest)
        told = f"{ill} of them not well" if ill else "all well"
        yield from output.sentence_lines(f"and {len(rest)} more, {told}: `tidegate status --all`", seen)


def _advice(config: "Config") -> Iterator[str]:
    from core.state.database import is_there, running_watcher

    if not is_there(config.state.path):
        yield "nothing is recorded yet; run `tidegate pass` or start `tidegate watch`"
    elif running_watcher(config.state.path) is None:
        yield "no watcher runs: what was marked since the last pass is not shown here; `tidegate plan` looks"


def _row(one: dict[str, Any]) -> tuple[str, ...]:
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
        "" if dump is None or not dump["bytes"] else format_size(dump["bytes"]),
        "failed" if one["last_dump_failed"] else "" if dump is None else dump["state"],
        "" if dump is None else dump["reason"] or "",
    )
