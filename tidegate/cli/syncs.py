"""``tidegate sync-started`` and ``tidegate synced``: the brackets of a sync pass."""

import sys
from pathlib import Path

import click

from tidegate.cli import shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, wait_option, watch_names
from tidegate.errors import UsageError
from tidegate.units import format_size, parse_time

watch_option = click.option("--watch", metavar="NAME", help="Only the export tree of this watch folder; default: all.")


@click.command("sync-started")
@watch_option
@wait_option
@json_option
@pass_session
def sync_started(session: Session, *, watch: str | None, wait: float, as_json: bool) -> None:
    """Tell that the storage begins to pull: what stands now is what the next `synced` speaks of.

    Until that report, 24 hours at most, a pass adds links and neither replaces nor removes any.
    """
    from policy import syncs
    from tidegate.clock import SystemClock

    config = session.config()
    state = session.state(config)
    sealed = syncs.announce(config, state, SystemClock(), wait=wait, watch=watch_names(config, watch))
    if as_json:
        print_json({"format": shapes.FORMAT, "sealed": shapes.links(sealed)})
    else:
        click.echo(f"{len(sealed)} links sealed, {format_size(sum(one.bytes for one in sealed))}")


@click.command()
@click.option("--started", metavar="TIME", help="Everything linked before TIME (RFC 3339 with offset) has arrived.")
@click.option(
    "--arrived",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="A list of what arrived, one name of the export tree a line; - is stdin. With --started: by a sync of then.",
)
@click.option("--all", "everything", is_flag=True, help="Everything that stands in the export trees now has arrived.")
@watch_option
@wait_option
@json_option
@pass_session
def synced(
    session: Session,
    *,
    started: str | None,
    arrived: Path | None,
    everything: bool,
    watch: str | None,
    wait: float,
    as_json: bool,
) -> None:
    """Report that a sync has passed: what it brought over is confirmed, and the day ends if it is old enough.

    Without an option it speaks of what stood at the last `sync-started`.
    """
    from policy import syncs
    from tidegate.clock import SystemClock

    if everything and (started is not None or arrived is not None):
        raise UsageError("synced: --all says everything; leave --started and --arrived out")
    config = session.config()
    names = None if arrived is None else _names(arrived)
    said = syncs.Report(None if started is None else _time(started), names, everything)
    state = session.state(config)
    outcome = syncs.report(config, state, SystemClock(), said, wait=wait, watch=watch_names(config, watch))
    if as_json:
        print_json(
            {
                "format": shapes.FORMAT,
                "day": outcome.day,
                "day_ended": outcome.day_ended,
                "confirmed": shapes.links(outcome.confirmed),
                "outstanding": shapes.links(outcome.left_outstanding),
                "unknown": list(outcome.unknown),
            }
        )
        return
    size = format_size(sum(one.bytes for one in outcome.confirmed))
    click.echo(f"{len(outcome.confirmed)} confirmed, {size}; {len(outcome.left_outstanding)} still outstanding")
    click.echo(f"day {outcome.day} is open" + (" (a new one)" if outcome.day_ended else ""))
    for name in outcome.unknown:
        click.echo(f"tidegate: {name!r} arrived but does not stand in an export tree", err=True)


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"synced: --started: {error}") from None


def _names(file: Path) -> frozenset[str]:
    """Top-level names of the export tree: of ``vm1/disk.img`` the ``vm1``. The manifest's folder is no dump."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"synced: --arrived: {file} cannot be read: {error}") from None
    lines = (line.strip().removeprefix("./") for line in text.splitlines())
    return frozenset(line.partition("/")[0] for line in lines if line) - {".tidegate"}
