"""``tidegate hold``, ``unhold``, ``force``, ``retire``, ``rename``, ``adopt`` and ``mark-sent``: the admin's orders."""

import datetime
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import UsageError
from core.markers.vm_name import Naming, parse
from core.units import format_size, format_time, parse_time
from tidegate.cli import completing, output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, vm_argument, wait_option, watch_names
from tidegate.cli.output import Column

if TYPE_CHECKING:
    from core.config.settings import Config

#: ``rsync --list-only``: mode, size with or without separators, date, time, name.
_LISTED = re.compile(r"[-d]\S{9,}\s+[0-9.,]+\s+(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) (.+)")


@click.command()
@vm_argument
@wait_option
@pass_session
def hold(session: Session, *, vm: str, wait: float) -> None:
    """Keep VM's dumps here until `tidegate unhold VM`. A link that nobody has read is removed too."""
    from core.clock import SystemClock
    from policy.operations import vms

    config = session.config()
    link = vms.hold(config, session.state(config), SystemClock(), vm, wait=wait)
    output.sentence(f"{vm} is on hold{_HELD[link]}")


#: By the value of LinkState, None where it had no link.
_HELD = {
    None: "",
    "revoked": "; its unread link was removed",
    "linked": "; its link stays: the storage has read it, and has not reported it",
}


@click.command()
@vm_argument
@pass_session
def unhold(session: Session, *, vm: str) -> None:
    """End the hold of VM, and cancel its force: its newest dump is in the queue again."""
    from policy.operations import vms

    config = session.config()
    vms.unhold(session.state(config), vm)
    output.sentence(f"{vm} is not on hold")


@click.command()
@vm_argument
@click.option("--over-limit", is_flag=True, help="It leaves with the next pass, whatever is left of the day's limit.")
@click.option("--cancel", is_flag=True, help="Cancel the force.")
@pass_session
def force(session: Session, *, vm: str, over_limit: bool, cancel: bool) -> None:
    """Put VM first in the queue, once: its next dump leaves before any other that may.

    Within the limit it waits for a day that has room for it. With `--over-limit` it is released at once and charged in
    full, above the limit if need be.
    """
    from core.enums import Force
    from policy.operations import vms

    if over_limit and cancel:
        raise UsageError("force: --over-limit and --cancel exclude each other")
    config = session.config()
    how = None if cancel else Force.OVER_LIMIT if over_limit else Force.WITHIN_LIMIT
    vms.force(session.state(config), vm, how)
    output.sentence(_FORCED[how].format(vm=vm))


#: By the value of Force.
_FORCED = {
    None: "{vm} is no longer forced",
    "within-limit": "{vm} is first in the queue with its next dump; `tidegate force {vm} --cancel` undoes that",
    "over-limit": "{vm}'s next dump leaves with the next pass, ABOVE THE LIMIT if need be; "
    "`tidegate force {vm} --cancel` undoes that",
}


@click.command()
@vm_argument
@wait_option
@pass_session
def retire(session: Session, *, vm: str, wait: float) -> None:
    """End VM's life: its link goes, its metrics vanish. It comes back by itself when it is dumped again."""
    from core.clock import SystemClock
    from policy.operations import vms

    config = session.config()
    vms.retire(config, session.state(config), SystemClock(), vm, wait=wait)
    output.sentence(f"{vm} is retired")


@click.command()
@click.argument("old", shell_complete=completing.vms)
@click.argument("new")
@wait_option
@pass_session
def rename(session: Session, *, old: str, new: str, wait: float) -> None:
    """Go on with VM OLD as NEW: its copies, period, targets, hold and force, and the link that waits.

    Run it when its dumps and markers have the new name, or before. What is in the export tree keeps its name until a
    dump under the new one is off-site.
    """
    from core.clock import SystemClock
    from policy.operations import vms

    config = session.config()
    done = vms.rename(config, session.state(config), SystemClock(), old, new, wait=wait)
    output.sentence(f"{old} is {new} from now on" + (f"; the dumps of {new} belong to it" if done.joined else ""))
    if done.configured:
        click.echo(f"tidegate: {config.file} still names {old}: add {new}", err=True)


@click.command()
@click.option("--sent", is_flag=True, help="The storage has all of them already: confirm them at once.")
@click.option(
    "--moved",
    metavar="WATCH",
    shell_complete=completing.watch_folders,
    help="Accept a watch folder that is on another disk for good.",
)
@wait_option
@json_option
@pass_session
def adopt(session: Session, *, sent: bool, moved: str | None, wait: float, as_json: bool) -> None:
    """Take over what an earlier script linked into the export tree.

    Each entry becomes the outstanding link of its VM: it counts against the limit until the storage has it.

    With `--moved WATCH` nothing is adopted: a watch folder that is down because another disk is in its place is
    accepted, and what was on the old disk alone is gone.
    """
    from core.clock import SystemClock
    from policy.operations import adopt as adoption

    config = session.config()
    if moved is not None:
        _believe(session, config, moved)
        return
    found = adoption.adopt(config, session.state(config), SystemClock(), sent=sent, wait=wait)
    if as_json:
        entries = [
            {
                "export_name": one.name,
                "vm": one.vm,
                "bytes": one.bytes,
                "dump_time": None if one.dump_time is None else format_time(one.dump_time),
                "detail": one.note,
            }
            for one in found
        ]
        print_json({"format": shapes.FORMAT, "adopted": entries})
        return
    zone = config.day.timezone
    rows = (
        (
            one.name,
            one.vm or "",
            format_size(one.bytes),
            "" if one.dump_time is None else format_time(one.dump_time, zone),
            one.note,
        )
        for one in found
    )
    if found:
        output.table(
            (
                Column.name("name"),
                Column.name("vm"),
                Column.number("size"),
                Column.word("dump time", drop=1),
                Column.text(""),
            ),
            rows,
        )
    adopted = sum(one.vm is not None for one in found)
    output.sentence(f"{adopted} adopted{' as sent' if sent else ''}, {len(found) - adopted} left as foreign files")


def _believe(session: Session, config: "Config", moved: str) -> None:
    from core.state import counters

    watch_names(config, moved)
    with session.state(config).write() as connection:
        counters.set_watch_status(connection, moved, filesystem_id=None)
    output.sentence(f"{moved}: the next scan accepts the folder that is there")


@click.command("mark-sent")
@click.argument("vm", required=False, shell_complete=completing.vms)
@click.option("--time", "at", metavar="TIME", help="The dump time of the copy (RFC 3339 with offset).")
@click.option(
    "--from",
    "listing",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="The output of `rsync --list-only` from the storage; - is stdin. VM names come from the file names.",
)
@pass_session
def mark_sent(session: Session, *, vm: str | None, at: str | None, listing: Path | None) -> None:
    """Record copies that the storage has already: one VM with its time, or a list."""
    from core.clock import SystemClock
    from policy.operations import vms

    if (vm is None) == (listing is None) or (vm is None) != (at is None):
        raise UsageError("mark-sent: give either VM and --time TIME, or --from FILE")
    config = session.config()
    copies = {vm: _time(at)} if vm is not None and at is not None else _listed(session, listing or Path("-"))
    sent = vms.mark_sent(config, session.state(config), SystemClock(), copies)
    output.sentence(f"{len(sent.fresher)} of {len(copies)} VMs have a newer copy off-site than was known")
    if sent.unheard_of:
        names = ", ".join(sent.unheard_of)
        output.sentence(f"new: {names}. If one is not a VM, run `tidegate retire VM`.")


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"mark-sent: --time: {error}") from None


def _listed(session: Session, file: Path) -> dict[str, float]:
    """VM -> the newest modification time in the list. rsync prints local times: the storage's zone is taken as ours."""
    config = session.config()
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"mark-sent: --from: {file} cannot be read: {error.strerror}") from None
    return listed_copies(text, config.day.timezone, config.watches[0].naming, str(file))


def listed_copies(text: str, zone: datetime.tzinfo, naming: Naming, file: str) -> dict[str, float]:
    """VM -> the newest time, of the output of ``rsync --list-only``. Raises UsageError that names the line."""
    copies: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LISTED.fullmatch(line.strip())
        if match is None:
            raise UsageError(f"mark-sent: {file}:{number}: this is no line of `rsync --list-only`")
        if match[2].partition("/")[0] in (".", ".tidegate"):
            continue
        try:
            when = datetime.datetime.strptime(match[1], "%Y/%m/%d %H:%M:%S").replace(tzinfo=zone).timestamp()
            name = parse(match[2].partition("/")[0], naming, when).vm
        except (ValueError, OverflowError) as error:  # a bad name is one too
            raise UsageError(f"mark-sent: {file}:{number}: {error}") from None
        copies[name] = max(when, copies.get(name, when))
    return copies
