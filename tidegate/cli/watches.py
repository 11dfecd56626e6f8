"""``tidegate watch``: the background service."""

import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from tidegate.cli.context import Session, pass_session

if TYPE_CHECKING:
    from pathlib import Path

    from tidegate.config.model import Config

log = logging.getLogger("tidegate.watch")


@click.command()
@pass_session
def watch(session: Session) -> None:
    """Record markers as they appear, serve metrics, and run the daily pass at `[pass] at`.

    Ends on SIGTERM or SIGINT, after what was seen is recorded.
    """
    from exporters import text
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
    service.run(beside=_metrics(config, lambda: text.scrape(state, config, clock)))


@contextmanager
def _metrics(config: "Config", render: Callable[[], bytes]) -> Iterator[None]:
    """Serves /metrics for the length of the block, where the configuration asks for it."""
    from exporters.http import MetricsServer

    if config.exporters.listen is None:
        yield
        return
    server = MetricsServer(config.exporters.listen, render)
    server.start()
    try:
        yield
    finally:
        server.stop()


def run_pass(file: "Path") -> None:
    """The daily pass, as the command an admin would run: it shares nothing with the service but the state."""
    command = [sys.executable, "-m", "tidegate", "--config", str(file), "pass"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    for line in (*done.stdout.splitlines()[-2:], *done.stderr.splitlines()):
        log.info("pass: %s", line)
    if done.returncode != 0:
        log.error("pass: ended with %d", done.returncode)
