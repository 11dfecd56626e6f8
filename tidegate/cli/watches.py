"""``tidegate watch``: the background service."""

import logging
import signal
import subprocess
import sys
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING

import click

from tidegate.cli.context import Session, pass_session

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("tidegate.watch")


@click.command()
@pass_session
def watch(session: Session) -> None:
    """Record markers as they appear, serve metrics, and run the daily pass at `[pass] at`.

    Ends on SIGTERM or SIGINT, after what was seen is recorded.
    """
    from exporters import text
    from exporters.http import MetricsServer
    from tidegate.clock import SystemClock
    from watcher.service import Watcher

    session.log_everything()
    config = session.config(surroundings=True)
    state = session.state(config)
    clock = SystemClock()
    service = Watcher(config, state, clock, run_pass=lambda: run_pass(session.file))

    def end(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with ExitStack() as stack:
        if config.exporters.listen is not None:
            server = MetricsServer(config.exporters.listen, lambda: text.scrape(state, config, clock))
            server.start()
            stack.callback(server.stop)
        service.run()


def run_pass(file: "Path") -> None:
    """The daily pass, as the command an admin would run: it shares nothing with the service but the state."""
    command = [sys.executable, "-m", "tidegate", "--config", str(file), "pass"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    for line in (*done.stdout.splitlines()[-2:], *done.stderr.splitlines()):
        log.info("pass: %s", line)
    if done.returncode != 0:
        log.error("pass: ended with %d", done.returncode)
