"""``tidegate watch``: the background service."""

import click

from tidegate.cli.context import Session, pass_session


@click.command()
@pass_session
def watch(session: Session) -> None:
    """Record markers as they appear, serve metrics, and run the daily pass at `[pass] at`.

    SIGTERM or SIGINT ends it, after the markers that it knows of are recorded. SIGHUP reloads the configuration. If it
    has errors it is rejected and the previous one stays in effect.
    """
    from tidegate.daemon import service

    session.log_everything()
    service.serve(lambda: session.config(preflight=True, waits=True))
