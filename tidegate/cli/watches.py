"""``tidegate watch``: the background service."""

import gc
import logging
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli.context import Session, pass_session

if TYPE_CHECKING:
    from core.clock import Clock
    from core.config.settings import Config
    from core.state.database import State
    from watcher.guard import TakeBack

log = logging.getLogger("tidegate.watch")

#: So long a link that is to be taken back waits for a pass that runs, before that is told and tried again.
_PASS_SECONDS = 30.0


#: So long a thread that records waits for one that computes, as that which writes a scrape; Python's own is 5 ms, and
#: each marker waits several times.
_SWITCH_SECONDS = 0.0005
#: A collection of everything holds all threads up, and with ten thousand VMs for as long as twenty markers take: what
#: the program itself consists of is left out, and Python's own thresholds come a hundred times as often.
_COLLECTIONS = (20_000, 20, 100)


@click.command()
@pass_session
def watch(session: Session) -> None:
    """Record markers as they appear, serve metrics, and run the daily pass at `[pass] at`.

    Ends on SIGTERM or SIGINT, after what was seen is recorded. SIGHUP loads the configuration anew: one with
    mistakes is refused, and the old one goes on.
    """
    from core.clock import SystemClock
    from tidegate.daemon.service import Service
    from tidegate.daemon.systemd import ServiceManager

    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)
    gc.enable()
    sys.setswitchinterval(_SWITCH_SECONDS)
    session.log_everything()
    clock = SystemClock()
    service = Service(
        lambda: session.config(preflight=True, waits=True), clock, ServiceManager(clock), run_pass, take_back
    )
    _on(signal.SIGHUP, service.reload)
    _on(signal.SIGTERM, service.stop)
    _on(signal.SIGINT, service.stop)
    service.run()


def _on(number: signal.Signals, act: Callable[[], None]) -> None:
    """Lets a thread of its own act on each signal; several that come while it acts are one.

    A handler runs between two instructions of the main thread, which may hold any lock just then: all that it may do
    is to put something into this kind of queue.
    """
    told: queue.SimpleQueue[None] = queue.SimpleQueue()

    def answer() -> None:
        while True:
            told.get()
            while not told.empty():
                told.get()
            act()

    signal.signal(number, lambda _number, _frame: told.put(None))
    threading.Thread(target=answer, name=number.name, daemon=True).start()


def take_back(config: "Config", state: "State", clock: "Clock") -> "TakeBack":
    """What takes back links whose dumps are written into. In this process: to start another one takes too long."""

    def act(watch: str, names: Collection[str] | None) -> None:
        from policy.operations.revoke_rewritten import revoke_rewritten

        revoke_rewritten(config, state, clock, watch, names, wait=_PASS_SECONDS)

    return act


def run_pass(file: Path) -> None:
    """The daily pass, as the command an admin would run: it shares nothing with the service but the state."""
    command = [sys.executable, "-m", "tidegate", "--config", str(file), "pass"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    for line in done.stdout.splitlines()[-2:]:
        log.info("pass: %s", line)
    for line in done.stderr.splitlines():
        log.warning("pass: %s", line.removeprefix("tidegate: "))
    if done.returncode != 0:
        log.error("pass: ended with %d", done.returncode)
