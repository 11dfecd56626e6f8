"""The real command line in this process, at a time that the test gives: of a command only its process is missing."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any
from unittest import mock

import click

from core.state import database
from tests.clock import GivenClock
from tests.host import Host
from tidegate.cli.main import tidegate
from tidegate.daemon import logs


class AtGivenTime:
    """Commands on ``host`` whose clock is ``clock``."""

    def __init__(self, host: Host, clock: GivenClock) -> None:
        self.host = host
        self.clock = clock

    def run(self, *arguments: str, code: int = 0) -> str:
        """What the command prints. It must end with ``code``; an error is raised as the command raises it."""
        printed = io.StringIO()
        with self._as_a_process(), redirect_stdout(printed):
            try:
                ended = tidegate.main(["--config", str(self.host.file), *arguments], standalone_mode=False)
            except click.exceptions.Exit as leave:
                ended = leave.exit_code
        assert (ended or 0) == code, printed.getvalue()
        return printed.getvalue()

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What the command prints with ``--json``."""
        shape: dict[str, Any] = json.loads(self.run(*arguments, "--json", code=code))
        return shape

    def status(self) -> dict[str, dict[str, Any]]:
        """VM -> its part of ``status --json``."""
        return {one["vm"]: one for one in self.json("status")["vms"]}

    @contextmanager
    def _as_a_process(self) -> Iterator[None]:
        """The given clock, no logging of its own, and every state closed at the end as the end of a process does."""
        with ExitStack() as stack:
            for kind in ("State", "DryRunState"):
                stack.enter_context(mock.patch.object(database, kind, _closed_with(stack, getattr(database, kind))))
            stack.enter_context(mock.patch("core.clock.SystemClock", return_value=self.clock))
            stack.enter_context(mock.patch.object(logs, "set_up"))
            yield


def _closed_with(stack: ExitStack, kind: type[database.State]) -> Any:
    def opened(*arguments: Any) -> database.State:
        state = kind(*arguments)
        stack.callback(state.close)
        return state

    return opened
