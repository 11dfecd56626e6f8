"""``tidegate check``."""

import click

from tidegate.cli import show
from tidegate.cli.context import Session, pass_session
from tidegate.units import format_size


@click.command()
@click.option("--names", is_flag=True, help="Print each dump's VM and its name in the export tree.")
@pass_session
def check(session: Session, *, names: bool) -> None:
    """Validate the configuration and what it names: folders, filesystems, links, reads. Shows every mistake at once."""
    from policy import passes
    from tidegate.cli import hypervisor
    from tidegate.cli.worries import missing_programs, worries
    from tidegate.clock import SystemClock
    from tidegate.config.events import advice

    config = session.config(surroundings=True)
    if names:
        _print_names(session)
    folders = f"{len(config.watches)} watch folder{'s' if len(config.watches) != 1 else ''}"
    click.echo(
        f"{config.file}: well: {folders}, {format_size(config.limit.daily)} a day, a day ends by {config.day.ends}, "
        f"confirmed by {config.offsite.confirm}, the storage is a {config.offsite.storage}"
    )
    for sentence in filter(None, map(advice, config.watches)):
        click.echo(sentence)
    for sentence in missing_programs(config):
        click.echo(sentence)
    for sentence in hypervisor.sentences(config, session.scratch(config)):
        click.echo(sentence)
    for sentence in worries(passes.review(config, session.scratch(config), SystemClock())):
        click.echo(sentence)


def _print_names(session: Session) -> None:
    from policy import facts
    from tidegate.clock import SystemClock
    from tidegate.names import printable
    from watcher.scan import scan_and_record

    config = session.config()
    scratch = session.scratch(config)
    clock = SystemClock()
    scan_and_record(config, scratch, clock)
    with scratch.read() as connection:
        known = facts.gather(connection, config, now=clock.now().wall)
    rows = []
    for dump in known.dumps:
        row = known.rows[dump.dump_id]
        name = "" if row.vm is None else printable(facts.export_name_of(config, row))
        rows.append((dump.path, row.vm or "", name, dump.hindrance or "", dump.note))
    show.table(("dump", "vm", "export name", "hindrance", "why"), sorted(rows))
