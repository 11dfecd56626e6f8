"""``tidegate sync``: this host pushes its export trees itself."""

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

import click

from core.enums import Occasion
from core.errors import ExitCode
from core.units import format_size
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, wait_option
from tidegate.cli.pushing import Bar, Lines, summary
from tidegate.daemon.notifier import Notifier

if TYPE_CHECKING:
    from policy.sync.push import Beginning, Pushed


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be sent; asks no storage and writes nothing.")
@wait_option
@json_option
@pass_session
def sync(session: Session, *, dry_run: bool, wait: float, as_json: bool) -> None:
    """Push each export tree to its destination with rsync, stop at the day's bytes, and report what arrived.

    What is cut off by the end of the day's bytes goes on with the next day's, where it stopped.
    """
    from core.clock import SystemClock
    from policy.sync import push as pushing

    config = session.config()
    clock = SystemClock()
    if dry_run:
        _show(pushing.preview(config, session.dry_run(config), clock), as_json=as_json)
        return
    pushing.configured(config)
    signal.signal(signal.SIGTERM, _interrupt)
    listener = pushing.Listener() if as_json else Bar() if sys.stderr.isatty() else Lines()
    with Notifier(session, config) as notifier:
        with notifier.run(Occasion.SYNC) as account:
            done = pushing.sync(config, session.state(config), clock, listener, wait=wait)
            account.summary = "\n".join(text for one in done for text in summary(one))
            account.reason = _reason(done)
        if as_json:
            print_json({"format": shapes.FORMAT, "trees": [shapes.pushed(one) for one in done]})
        else:
            for text in account.summary.splitlines():
                output.sentence(text)
    click.get_current_context().exit(_code(done))


def _reason(done: "list[Pushed]") -> str:
    """Why it has done its work in part only; '' where it has done all of it."""
    from exporters.findings import joined

    return joined(
        f"{one.watch}: {one.complaint or f'{len(one.outstanding)} links are not there yet'}"
        for one in done
        if not one.is_whole
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """A service manager's stop is an admin's Ctrl-C: the transfer is cut, and the storage keeps what it has."""
    raise KeyboardInterrupt


def _code(done: "list[Pushed]") -> ExitCode:
    """0 when all arrived that today allows; 3 when nothing did because something outside is at fault."""
    if all(one.is_whole for one in done):
        return ExitCode.DONE
    return ExitCode.PARTLY if any(one.confirmed or one.has_passed for one in done) else ExitCode.FAULT


def _show(beginnings: "list[Beginning]", *, as_json: bool) -> None:
    if as_json:
        print_json({"format": shapes.FORMAT, "trees": [shapes.to_push(one) for one in beginnings]})
        return
    for one in beginnings:
        size = format_size(sum(link.bytes for link in one.links))
        output.sentence(f"{one.watch} to {one.destination}: {len(one.links)} links, {size}")
        output.sentence(f"day {one.day}: {format_size(one.may_send)} may still be sent")
