"""``tidegate state export``, ``rebuild`` and ``verify``: what one needs when the state file or the host is lost."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import ExitCode, FaultError, UsageError
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, wait_option

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.database import State
    from policy.recovery.rebuild import Found


@click.group()
def state() -> None:
    """Look after the state file: see whether it is well, take a copy away, and make it anew when it was lost."""


@state.command(short_help="All that the state file holds, in one file to take away.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    help="Where to; - is stdout, the default. A file is written aside and renamed.",
)
@pass_session
def export(session: Session, *, output: Path) -> None:
    """Write all that the state file holds as lines of JSON, packed with gzip: `state rebuild --from` reads it."""
    from core.clock import SystemClock
    from core.state import backup as exports
    from core.state.database import is_there

    if str(output) == "-" and sys.stdout.isatty():
        raise UsageError("state export: this is no text for a terminal: say --output FILE, or send it on in a pipe")
    config = session.config()
    if not is_there(config.state.path):
        raise UsageError(f"state export: there is no state file {config.state.path}")
    with session.dry_run(config).read() as connection:
        packed = exports.export(connection, SystemClock().now().wall).pack()
    if str(output) == "-":
        sys.stdout.buffer.write(packed)
        return
    aside = output.with_name(f"{output.name}.new")
    try:
        aside.write_bytes(packed)
        aside.replace(output)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()  # half of it, on a full disk
        raise FaultError(f"state export: {output} cannot be written: {error.strerror}") from None


@state.command(short_help="The state file anew, from what is left.")
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="An export of the state; - is stdin. Default: the one in an export tree's .tidegate that knows most.",
)
@click.option("--replace", is_flag=True, help="Though there is a state file: it is kept beside the new one.")
@wait_option
@json_option
@pass_session
def rebuild(session: Session, *, source: Path | None, replace: bool, wait: float, as_json: bool) -> None:
    """Make the state file anew, from an export, the markers and the export trees.

    What comes back is told, and what cannot be known, line by line. Nothing is moved in the trees. Where something may
    have left that nothing tells any more, the rest of the day's limit counts as let out.
    """
    from core.clock import SystemClock
    from core.state import backup
    from core.state.backup import NotAnExport
    from policy.recovery import rebuild as rebuilding

    config = session.config()
    with backup.alone(config.state.path, wait=wait):
        if not replace:
            backup.refuse_content(config.state.path)
        found = _best(config) if source is None else _read(source)
        draft = backup.draft_of(config.state.path)
        clock = SystemClock()
        try:
            result = rebuilding.rebuild(config, draft, clock, found, lambda: _scan(config, draft))
        except NotAnExport as error:
            place = "-" if found is None else found.place
            raise UsageError(f"state rebuild: {place}: {error}; nothing was done") from None
        kept = backup.put_in_place(draft, config.state.path, wait=wait)
    if as_json:
        shape = {"format": shapes.FORMAT, "source": None if found is None else found.place}
        print_json({**shape, "kept": None if kept is None else str(kept), **_lines(result.known, result.unknown)})
        return
    for line in result.known:
        output.sentence(line)
    for line in result.unknown:
        output.sentence(f"not known: {line}")
    output.sentence(f"{config.state.path} is made anew" + ("" if kept is None else f"; the old one is {kept}"))


def _lines(known: Sequence[str], unknown: Sequence[str]) -> dict[str, list[str]]:
    return {"known": list(known), "unknown": list(unknown)}


def _best(config: "Config") -> "Found | None":
    from policy.recovery.rebuild import find_exports

    return next(iter(find_exports(config)), None)


def _read(file: Path) -> "Found":
    from core.state.backup import NotAnExport, read_header
    from policy.recovery.rebuild import Found

    try:
        packed = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return Found(str(file), packed, read_header(packed))
    except OSError as error:
        raise UsageError(f"state rebuild: --from: {file} cannot be read: {error.strerror}") from None
    except NotAnExport as error:
        raise UsageError(f"state rebuild: --from: {file}: {error}") from None


def _scan(config: "Config", draft: "State") -> list[str]:
    """Records the markers. Returns a sentence for each watch folder that could not be looked at."""
    from core.clock import SystemClock
    from watcher.scanner import scan_and_record

    scanned = scan_and_record(config, draft, SystemClock())
    return [f"the watch folder {one.watch} is down: {one.detail}" for one in scanned if not one.up]


@state.command(short_help="Whether it is as the disks are.")
@wait_option
@json_option
@pass_session
def verify(session: Session, *, wait: float, as_json: bool) -> None:
    """Set the state against markers, dump folders, export trees and manifests. Ends with 1 if anything differs.

    Writes nothing. Each difference is a line: where, what it means, and what to do about it.
    """
    from core.clock import SystemClock
    from core.state.database import is_there, pass_lock
    from policy.recovery import verify as verifying

    config = session.config()
    if not is_there(config.state.path):
        raise UsageError(
            f"state verify: there is no state file {config.state.path}; if it was lost, run `tidegate state rebuild`"
        )
    with pass_lock(config.state.path, wait=wait):
        copy = session.dry_run(config)
        found = verifying.verify(config, copy, SystemClock(), lambda: _scan(config, copy))
    if as_json:
        print_json({"format": shapes.FORMAT, "differences": [one._asdict() for one in found]})
    else:
        for one in found:
            output.sentence(f"{one.where}: {one.means}; {one.advice}")
        if not found:
            output.sentence("the state, the markers, the export trees and the manifests tell the same")
    if found:
        click.get_current_context().exit(ExitCode.PARTLY)
