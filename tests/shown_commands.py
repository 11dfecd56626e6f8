"""The commands that documents, help and advice show, read as the command line reads them."""

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import click

from tidegate.cli.main import tidegate

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
#: What ends a command in a shell; a redirection does so too, here.
_ENDS = ";|&<>()\n"

#: What follows ``tidegate``, without what the shell does around it.
Words = tuple[str, ...]


def commands(script: str) -> Iterator[Words]:
    """Every ``tidegate …`` in a shell script, by whatever path, also behind ``sudo``."""
    lexer = shlex.shlex(_COMMENT.sub("", script.replace("\\\n", " ")), posix=True, punctuation_chars=_ENDS)
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    lexer.commenters = ""
    for ends, words in groupby(lexer, key=lambda word: set(word) <= set(_ENDS)):
        line = [word for word in words if not re.fullmatch(r"\d+\.\d+\.\d+", word)]  # of a process: its version
        if line[:1] == ["sudo"] and "tidegate" in line:
            line = line[line.index("tidegate") :]
        if not ends and line and Path(line[0]).name == "tidegate" and len(line) > 1:
            yield tuple(line[1:])


def pasted(text: str) -> Iterator[Words]:
    """The commands in its blocks."""
    for block in BLOCK.findall(text):
        yield from commands(block)


def mentioned(text: str) -> Iterator[Words]:
    """Those between its words, wherever a line was broken."""
    for one in _INLINE.findall(_FENCED.sub("", text).replace("``", "`")):
        if "tidegate " in one:
            yield from commands(" ".join(one.split()))


def advised(source: str) -> Iterator[Words]:
    """Those in the sentences that a Python source makes; ``{…}`` is what is filled in."""
    for sentence in sentences(source):
        yield from mentioned(sentence)


def sentences(source: str) -> Iterator[str]:
    """Every string of a Python source; ``{…}`` is what is filled in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{…}" for part in node.values)
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def understood(words: Iterable[str]) -> None:
    """Reads the words as the command line does, and runs nothing. Raises click's UsageError."""
    command: click.Command = tidegate
    left = list(words)
    if left[:1] == ["--config"]:
        del left[:2]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), left[0]) if left else None
        if found is None:
            raise click.UsageError(f"no such command: {left}")
        command, left = found, left[1:]
    with suppress(click.exceptions.Exit):  # of --help
        command.make_context(command.name, left, resilient_parsing=False).close()


def spoken_of(words: Iterable[str]) -> None:
    """The same for a line that names a command or an option and leaves out what it needs."""
    with suppress(click.MissingParameter):
        try:
            understood(words)
        except click.BadOptionUsage as error:
            if "requires an argument" not in error.message:
                raise
