"""What every command starts from: the configuration, the state, the clock, and where to print."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import UsageError
from core.units import parse_size, parse_span
from tidegate.cli import completing
from tidegate.daemon import logs

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.database import DryRunState, State


class Session:
    """One call of the command line. Everything heavy is loaded when it is first asked for."""

    def __init__(self, config_file: Path | None, *, verbose: bool = False, log_format: str = "text") -> None:
        self._config_file = config_file
        logs.set_up(logging.INFO if verbose else logging.WARNING, log_format)

    def log_everything(self) -> None:
        """A service tells what it does."""
        logging.getLogger().setLevel(logging.INFO)

    @property
    def file(self) -> Path:
        """The configuration file. Raises UsageError when there is none."""
        from core.config.load import find

        return find(self._config_file)

    def config(self, *, preflight: bool = False, waits: bool = False) -> "Config":
        """The configuration. Raises UsageError with every mistake in it."""
        from core.config.load import load

        return load(self.file, preflight=preflight, waits=waits)

    def state(self, config: "Config") -> "State":
        """The state, made when there is none."""
        from core.state.database import State

        return State(config.state.path)

    def dry_run(self, config: "Config") -> "DryRunState":
        """A copy of the state, to try things on."""
        from core.state.database import DryRunState

        return DryRunState(config.state.path)

    def compare_versions(self, config: "Config") -> None:
        """Tells on stderr when the service that runs on this state is of another version than this command."""
        from core.state.database import running_watcher
        from tidegate.cli.versions import difference

        running = running_watcher(config.state.path)
        if running is not None and (said := difference(running.told, running.version)):
            logs.complain(said)


pass_session = click.make_pass_decorator(Session)


class Span(click.ParamType[float]):
    """A duration such as ``10m``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        try:
            return parse_span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType[int]):
    """A size such as ``10 GB``, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (format 2) on stdout and nothing else.")
vm_argument = click.argument("vm", shell_complete=completing.vms)
wait_option = click.option(
    "--wait", type=Span(), default="10m", show_default=True, help="How long to wait for another pass."
)


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def watch_names(config: "Config", watch: str | None) -> str | None:
    """Checks a ``--watch NAME``. Raises UsageError that lists the names."""
    names = [one.name for one in config.watches]
    if watch is not None and watch not in names:
        raise UsageError(f"no [[watch]] is named {watch!r}; there are: {', '.join(names)}")
    return watch
