"""``tidegate sync-started`` and ``tidegate synced``: the brackets of a sync pass."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import UsageError
from core.filenames import printable
from core.units import format_size, parse_time
from tidegate.cli import completing, output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, wait_option, watch_names

if TYPE_CHECKING:
    from policy.sync.report import Report
    from policy.sync.rsync_log import Transfer

_FILE = click.Path(path_type=Path, allow_dash=True)

watch_option = click.option(
    "--watch",
    metavar="NAME",
    shell_complete=completing.watch_folders,
    help="Only the export tree of this watch folder; default: all.",
)


@click.command("sync-started")
@watch_option
@wait_option
@json_option
@pass_session
def sync_started(session: Session, *, watch: str | None, wait: float, as_json: bool) -> None:
    """Tell that the storage begins to pull: what stands now is what the next `synced` speaks of.

    Until that report, 24 hours at most, a pass adds links and neither replaces nor removes any.
    """
    from core.clock import SystemClock
    from policy.sync import report

    config = session.config()
    state = session.state(config)
    sealed = report.announce(config, state, SystemClock(), wait=wait, watch=watch_names(config, watch)).links
    if as_json:
        print_json({"format": shapes.FORMAT, "sealed": shapes.links(sealed)})
    else:
        output.sentence(f"{len(sealed)} links sealed, {format_size(sum(one.bytes for one in sealed))}")


@click.command()
@click.option("--started", metavar="TIME", help="Everything linked before TIME (RFC 3339 with offset) has arrived.")
@click.option(
    "--arrived",
    metavar="FILE",
    type=_FILE,
    help="A list of what arrived, one name of the export tree a line; - is stdin. With --started: by a sync of then.",
)
@click.option(
    "--stats",
    metavar="FILE",
    type=_FILE,
    help="What rsync said with --stats --no-h: how much crossed the line; - is stdin.",
)
@click.option(
    "--log",
    metavar="FILE",
    type=_FILE,
    help="rsync's log with the format '%o %i %b %l %n': the same, also by VM, of the last transfer in it; - is stdin.",
)
@click.option(
    "--receipt",
    metavar="FILE",
    type=_FILE,
    help="What a storage has checked, as deploy/storage/tidegate-pull writes it; - is stdin. Says all that is needed.",
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
    stats: Path | None,
    log: Path | None,
    receipt: Path | None,
    everything: bool,
    watch: str | None,
    wait: float,
    as_json: bool,
) -> None:
    """Report that a sync has passed: what it brought over is confirmed, and the day ends if it is old enough.

    Without an option it speaks of what stood at the last `sync-started`.
    """
    from core.clock import SystemClock
    from policy.sync import report

    if receipt is not None:
        if everything or watch is not None or [started, arrived, stats, log] != [None] * 4:
            raise UsageError(
                "synced: --receipt says what arrived, what crossed the line, and where; leave the rest out"
            )
        said = _receipt(receipt)
    else:
        said = _said(started, arrived, stats, log, everything=everything)
    config = session.config()
    state = session.state(config)
    outcome = report.report(config, state, SystemClock(), said, wait=wait, watch=watch_names(config, watch))
    if as_json:
        print_json(
            {
                "format": shapes.FORMAT,
                "day": outcome.day,
                "day_ended": outcome.day_ended,
                "confirmed": shapes.links(outcome.confirmed),
                "outstanding": shapes.links(outcome.left_outstanding),
                "unknown": [printable(name) for name in outcome.unknown],
            }
        )
        return
    size = format_size(sum(one.bytes for one in outcome.confirmed))
    output.sentence(f"{len(outcome.confirmed)} confirmed, {size}; {len(outcome.left_outstanding)} still outstanding")
    output.sentence(f"day {outcome.day} is open" + (" (a new one)" if outcome.day_ended else ""))
    for name in outcome.unknown:
        click.echo(f"tidegate: {name!r} arrived but does not stand in an export tree", err=True)


def _said(
    started: str | None, arrived: Path | None, stats: Path | None, log: Path | None, *, everything: bool
) -> "Report":
    from policy.sync.report import Report

    if everything and (started is not None or arrived is not None):
        raise UsageError("synced: --all says everything; leave --started and --arrived out")
    if [arrived, stats, log].count(Path("-")) > 1:
        raise UsageError("synced: stdin can be only one of --arrived, --stats and --log")
    names = None if arrived is None else _names(arrived)
    return Report(None if started is None else _time(started), names, everything, _transfer(stats, log))


def _receipt(file: Path) -> "Report":
    from policy.sync import receipt as receipts
    from policy.sync.report import Report

    told = receipts.read(_bytes("--receipt", file, receipts.MOST_BYTES + 1))
    return Report(arrived=told.arrived, transfer=told.transfer, expected=told.expected)


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"synced: --started: {error}") from None


def _names(file: Path) -> frozenset[str]:
    """Top-level names of the export tree: of ``vm1/disk.img`` the ``vm1``. The manifest's folder is no dump."""
    lines = (line.strip().removeprefix("./") for line in _text("--arrived", file).split("\n"))
    return frozenset(line.partition("/")[0] for line in lines if line) - {".tidegate"}


def _transfer(stats: Path | None, log: Path | None) -> "Transfer | None":
    from policy.sync import rsync_log

    given = {option: file for option, file in (("--stats", stats), ("--log", log)) if file is not None}
    if not given:
        return None
    texts = [_text(option, file) for option, file in given.items()]
    try:
        return rsync_log.read("\n".join(texts))
    except rsync_log.NoTransfer as error:
        files = " and ".join(f"{option} {file}" for option, file in given.items())
        raise UsageError(f"synced: {files} tells of no transfer: {error}") from None


def _text(option: str, file: Path) -> str:
    """What the file holds; in a log of rsync's stand names that need not be UTF-8."""
    return os.fsdecode(_bytes(option, file))


def _bytes(option: str, file: Path, most: int = -1) -> bytes:
    """Not more than ``most`` of them."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(most)
        with file.open("rb") as opened:
            return opened.read(most)
    except OSError as error:
        raise UsageError(f"synced: {option} {file} cannot be read: {error.strerror}") from None
