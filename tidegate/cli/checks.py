"""``tidegate check``."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from core.config.dump_settings import SHA256, SIZE
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
    from core.state.database import read_only
    from exporters import health
    from exporters.findings import Kind
    from tidegate.cli import hypervisor, notify

    config = session.config(preflight=True)
    if names:
        _print_names(session)
    folders = f"{len(config.watches)} watch folder{'s' if len(config.watches) != 1 else ''}"
    output.sentence(
        f"{config.file}: OK: {folders}, {format_size(config.limit.daily)} a day, a day ends by {config.day.ends}, "
        f"confirmed by {config.offsite.confirm}, the storage is a {config.offsite.storage}"
    )
    for sentence in filter(None, map(advice, config.watches)):
        output.sentence(sentence)
    for sentence in _missing_programs(config):
        output.sentence(sentence)
    for sentence in notify.sentences(config):
        output.sentence(sentence)
    for sentence in hypervisor.sentences(config, session.dry_run(config)):
        output.sentence(sentence)
    with read_only(config.state.path) as connection:
        for one in health.report(connection, config, SystemClock().now()).findings:
            if one.kind is Kind.NO_BACKUP:
                continue  # as it was recorded; the hypervisor has just been asked
            output.sentence(f"{one.named if len(one.vms) > 1 else one.detail}. {one.action}".rstrip())
    if user is not None:
        _try_as(session, config, user)


def _missing_programs(config: "Config") -> Iterator[str]:
    """One sentence for each program that the dumps of a set or the syncs need and that is not found on this PATH."""
    if config.push is not None:
        needed = [config.push.rsync, *(config.push.ssh[:1] if config.push.is_over_ssh else ())]
        for program in needed:
            if shutil.which(program) is None:
                yield f"[sync]: {program} is not found on the PATH here; `tidegate sync` needs it"
    for name in config.backup_sets:
        dumping = config.dumping_of(name)
        rules = () if dumping is None else dumping.rules.values()
        made = {words[0] for rule in rules for words in (rule.pre, rule.command, rule.post) if words}
        verifications = (config.verification_of(vm, name) for vm in ("", *config.vms))
        checked = {words[0] for verification in verifications for words in verification.checks}
        for program in sorted((made | checked) - {*SIZE, *SHA256}):
            if shutil.which(program) is None:
                yield f"[backup_sets.{name}]: {program} is not found on the PATH here; the dumps need it"


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
