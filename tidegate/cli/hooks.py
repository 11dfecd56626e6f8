"""``tidegate pre-xfer`` and ``tidegate post-xfer``: what an rsync daemon calls before and after each transfer."""

import os
from pathlib import Path

import click

from core.errors import TidegateError
from tidegate.cli.context import Session, Span, pass_session


@click.command("pre-xfer")
@click.option("--wait", type=Span(), default="5m", show_default=True, help="How long to wait for a pass.")
@pass_session
def pre_xfer(session: Session, *, wait: float) -> None:
    """For `pre-xfer exec` in rsyncd.conf: seals a pull of the whole export tree, as `sync-started` does.

    Refuses the client with a sentence when the attempts of the day have sent what its limit allows.
    """
    from core.clock import SystemClock
    from policy.sync import rsyncd_hooks

    try:
        request = rsyncd_hooks.request_of(os.environ)
        config = session.config()
        rsyncd_hooks.begin(config, session.state(config), SystemClock(), request, wait=wait)
    except TidegateError as error:
        click.echo(f"tidegate: {error}")  # rsync shows its client what a hook that fails has printed
        raise


@click.command("post-xfer")
@click.option(
    "--log",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),  # access(2) knows no capabilities; opening it does
    required=True,
    help="The daemon's log file.",
)
@pass_session
def post_xfer(session: Session, *, log: Path) -> None:
    """For `post-xfer exec` in rsyncd.conf: records what crossed the line. It confirms nothing.

    The daemon's log format has to be "%o %i %b %l %n".
    """
    from core.clock import SystemClock
    from policy.sync import rsyncd_hooks

    request = rsyncd_hooks.request_of(os.environ)
    config = session.config()
    rsyncd_hooks.end(config, session.state(config), SystemClock(), request, log)
