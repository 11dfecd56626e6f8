"""``tidegate check``."""

from typing import TYPE_CHECKING

import click

from core.errors import ExitCode
from core.units import format_size
from tidegate.cli import output
from tidegate.cli.context import Session, pass_session
from tidegate.cli.output import Column

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.database import DryRunState

#: More of what a user cannot read are counted and not named.
_NAMED = 10


@click.command()
@click.option("--names", is_flag=True, help="Print each dump's VM and its name in the export tree.")
@click.option("--as", "user", metavar="USER", help="Try whether USER, the puller, can read what is let out.")
@pass_session
def check(session: Session, *, names: bool, user: str | None) -> None:
    """Validate the configuration and what it names: folders, filesystems, links, reads. Shows every mistake at once."""
    from core.clock import SystemClock
    from core.preflight.folders import advice
    from policy.passes import run
    from tidegate.cli import hypervisor, notify
    from tidegate.worries import missing_programs, worries

    config = session.config(preflight=True)
    if names:
        _print_names(session)
    folders = f"{len(config.watches)} watch folder{'s' if len(config.watches) != 1 else ''}"
    output.sentence(
        f"{config.file}: well: {folders}, {format_size(config.limit.daily)} a day, a day ends by {config.day.ends}, "
        f"confirmed by {config.offsite.confirm}, the storage is a {config.offsite.storage}"
    )
    for sentence in filter(None, map(advice, config.watches)):
        output.sentence(sentence)
    for sentence in missing_programs(config):
        output.sentence(sentence)
    for sentence in notify.sentences(config):
        output.sentence(sentence)
    for sentence in hypervisor.sentences(config, session.dry_run(config)):
        output.sentence(sentence)
    dry_run = session.dry_run(config)
    result = run.review(config, dry_run, SystemClock())
    with dry_run.read() as connection:
        for sentence in worries(connection, config, result):
            output.sentence(sentence)
    if user is not None:
        _try_as(session, config, user)


def _try_as(session: Session, config: "Config", user: str) -> None:
    """Ends with 1 where there is something that the puller cannot read."""
    from core.enums import DumpState
    from core.fs.access_as_user import unreadable
    from core.state import dumps

    with _scanned(session, config).read() as connection:
        rows = [row for row in dumps.without_end(connection) if row.state is not DumpState.MISSING and row.fingerprint]
    paths = {watch.name: watch.path for watch in config.watches}
    tops = sorted(paths[row.watch] / row.path for row in rows if row.watch in paths)
    closed = unreadable(user, [watch.export for watch in config.watches], tops)
    for one in closed[:_NAMED]:
        output.sentence(f"{user} cannot read {one.path}: {one.why}")
    if len(closed) > _NAMED:
        output.sentence(f"… and {len(closed) - _NAMED} more")
    if closed:
        output.sentence(f"what {user} cannot read does not arrive: let its dump script open it to him")
        click.get_current_context().exit(ExitCode.PARTLY)
    output.sentence(f"{user} can read the export trees, and the {len(tops)} dumps that wait or are let out")


def _scanned(session: Session, config: "Config") -> "DryRunState":
    """A copy of the state, with what stands on the disks."""
    from core.clock import SystemClock
    from watcher.scanner import scan_and_record

    dry_run = session.dry_run(config)
    scan_and_record(config, dry_run, SystemClock())
    return dry_run


def _print_names(session: Session) -> None:
    from core.clock import SystemClock
    from core.filenames import printable
    from policy.export_names import export_name_of
    from policy.passes import facts

    config = session.config()
    dry_run = _scanned(session, config)
    clock = SystemClock()
    with dry_run.read() as connection:
        known = facts.gather(connection, config, now=clock.now().wall)
    rows = []
    for dump in known.dumps:
        row = known.rows[dump.dump_id]
        name = "" if row.vm is None else printable(export_name_of(config, row))
        rows.append((dump.path, row.vm or "", name, dump.block_reason or "", dump.note))
    output.table(
        (
            Column.name("dump"),
            Column.name("vm"),
            Column.name("export name"),
            Column.word("hindrance"),
            Column.text("why"),
        ),
        sorted(rows),
    )
