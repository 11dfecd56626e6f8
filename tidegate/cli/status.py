"""``tidegate status``."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from tidegate.cli import shapes, show
from tidegate.cli.context import Session, json_option, pass_session, print_json
from tidegate.terms import Freshness
from tidegate.units import format_size, format_span

if TYPE_CHECKING:
    from policy.passes import PassResult
    from tidegate.config.model import Config

_WORST_FIRST = {Freshness.NEVER: 0, Freshness.STALE: 1, Freshness.FRESH: 2}


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
        _print_status(config, shape, [*_under_way(result), *worries(result)])


def _under_way(result: "PassResult") -> Iterator[str]:
    """How far each dump is that leaves in slices."""
    from policy.planner.sentences import slice_of_today

    for one in result.plan.slices:
        if one.dump.outstanding and one.slice is not None:
            told = slice_of_today(one.dump.bytes, one.slice.first, one.slice.bytes, one.slice.whole_on)
            yield f"{one.dump.vm} leaves in slices: {told}"


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
    shrunk = [one["vm"] for one in shape["vms"] if one["last_dump_shrunk_from_bytes"] is not None]
    level = 2 if bad else 1 if failed or shrunk else 0
    said = []
    if bad:
        said.append(f"stale or never off-site: {', '.join(bad[:20])}")
    if failed:
        said.append(f"last dump failed: {', '.join(failed[:20])}")
    if shrunk:
        said.append(f"last dump much smaller than usual: {', '.join(shrunk[:20])}")
    word = ("OK", "WARNING", "CRITICAL")[level]
    text = "; ".join(said) or f"{len(shape['vms'])} VMs off-site within their targets"
    click.echo(f"TIDEGATE {word} - {text} | vms={len(shape['vms'])} stale={len(bad)} failed={len(failed)}")
    click.get_current_context().exit(level)
