"""The commands that papers speak of, read as the command line reads them."""

import re
import shlex
from collections.abc import Iterable, Iterator

import click

from tidegate.cli.main import tidegate

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(tidegate [^`]+)`")


def commands(lines: Iterable[str]) -> Iterator[list[str]]:
    """Every ``tidegate …`` in lines of shell, without what the shell does around it."""
    for line in lines:
        for one in re.split(r"\||&&|;", line):
            words = shlex.split(one, comments=True)
            if words[:1] == ["tidegate"]:
                yield words[1:]


def pasted(text: str) -> Iterator[list[str]]:
    """The commands in its blocks."""
    return commands(line for block in BLOCK.findall(text) for line in block.splitlines())


def mentioned(text: str) -> Iterator[list[str]]:
    """Those between its words."""
    return commands(INLINE.findall(text))


def understood(words: list[str]) -> None:
    """Reads the words as the command line does, and runs nothing. Raises click's UsageError."""
    command: click.Command = tidegate
    context = None
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0]) if words else None
        if found is None:
            raise click.UsageError(f"no such command: {words}")
        command, words = found, words[1:]
    context = command.make_context(command.name, list(words), resilient_parsing=False)
    context.close()
