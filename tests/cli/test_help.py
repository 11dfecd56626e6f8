"""``--help`` of every command, as a new user reads it in 80 columns."""

import importlib
from collections.abc import Iterator

import click
import pytest

from tidegate.cli.main import COMMANDS, EPILOG, HEADINGS, tidegate


def commands() -> Iterator[click.Context]:
    above = click.Context(tidegate, info_name="tidegate", terminal_width=80)
    yield above
    for name in COMMANDS:
        context = _below(above, name)
        yield context
        if isinstance(context.command, click.Group):
            yield from (_below(context, inner) for inner in context.command.list_commands(context))


def _below(above: click.Context, name: str) -> click.Context:
    assert isinstance(above.command, click.Group)
    command = above.command.get_command(above, name)
    assert command is not None
    return click.Context(command, info_name=name, parent=above)


@pytest.mark.parametrize("context", list(commands()), ids=lambda context: context.command_path)
def test_it_fits_says_what_each_option_is_for_and_tells_the_exit_codes(context: click.Context) -> None:
    lines = context.get_help().splitlines()
    assert max(map(len, lines)) <= 80
    told = " ".join(" ".join(lines).split())
    assert told.endswith(EPILOG)
    assert "..." not in told.replace("COMMAND [ARGS]...", "").replace("[OPTIONS]...", "")
    for one in context.command.params:
        assert isinstance(one, click.Argument) or one.help, one.name


def test_every_command_stands_under_a_heading() -> None:
    assert next(iter(COMMANDS)) == next(iter(HEADINGS))
    order = [list(COMMANDS).index(first) for first in HEADINGS]
    assert order == sorted(order)


def test_a_command_is_where_the_list_says() -> None:
    for place, _ in COMMANDS.values():
        module, function = place.split(":")
        assert isinstance(getattr(importlib.import_module(f"tidegate.cli.{module}"), function), click.Command)
