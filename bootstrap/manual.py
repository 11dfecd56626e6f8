"""Writes the manual page tidegate(1) to stdout, out of the help of the commands.

    .venv/bin/python bootstrap/manual.py > tidegate.1

What the help does not tell (files, environment) stands here.
"""

import sys
import textwrap
from collections.abc import Iterator

import click

from core.version import __version__
from tidegate.cli.main import EXIT_CODES, tidegate

_WIDTH = 70
FILES = {
    "./config.toml, /etc/tidegate/config.toml": "The configuration: the first that is there, unless --config names "
    "one. The one that comes with the program has every key with its default.",
    "X.done, X.failed, X.running": "Completion markers beside the dump X.",
    ".rsync": "The export tree in each watch folder: what the storage pulls.",
    ".rsync/.tidegate": "What the tree tells of itself: manifest, checksums, an export of the state.",
    "state.db": "The state file, where [state] path says; its locks lie beside it.",
}
ENVIRONMENT = {
    "NO_COLOR": "Set to anything: no colours.",
    "FORCE_COLOR, CLICOLOR_FORCE": "Set to anything but 0: colours in a pipe too.",
    "TERM": "dumb has no colours.",
    "COLUMNS, LINES": "The size to fit into, instead of the terminal's.",
    "NOTIFY_SOCKET, WATCHDOG_USEC, JOURNAL_STREAM": "Set by systemd for the service.",
    "RSYNC_PID, RSYNC_REQUEST, ...": "Set by an rsync daemon for its hooks, pre-xfer and post-xfer.",
}
MONITORS = {
    "0": "well",
    "1": "warning: the last dump of a VM failed or is much smaller than usual, or something else asks for a decision",
    "2": "critical: copies are too old, or nothing can make them newer",
    "3": "unknown: neither can be told",
}


def page() -> Iterator[str]:
    """Its lines."""
    context = click.Context(tidegate, info_name="tidegate")
    yield f'.TH TIDEGATE 1 "" "tidegate {__version__}" "User Commands"'
    yield ".SH NAME"
    name, _, first_steps = (tidegate.help or "").partition("\n\n")
    yield f"tidegate \\- {_escaped(name).rstrip('.')}"
    yield ".SH SYNOPSIS"
    yield ".B tidegate"
    yield "[OPTIONS] COMMAND [ARGS]..."
    yield ".SH DESCRIPTION"
    yield from _filled(
        "A hypervisor host dumps VMs on several schedules; a storage pulls a folder once a day over a line that allows "
        "so many GB a day. Tidegate looks at all finished dumps, decides which may leave today, and lets them out by a "
        "hard link."
    )
    yield ".PP"
    yield from _paragraphs(first_steps)
    yield ".SH OPTIONS"
    yield from _options(context)
    yield ".SH COMMANDS"
    for name in tidegate.list_commands(context):
        yield from _command(context, name)
    yield ".SH EXIT STATUS"
    yield from _definitions({str(code): told for code, told in EXIT_CODES.items()})
    yield ".PP"
    yield _escaped("With status --check, for Nagios and its kin:")
    yield from _definitions(MONITORS)
    yield ".SH FILES"
    yield from _definitions(FILES)
    yield ".SH ENVIRONMENT"
    yield from _definitions(ENVIRONMENT)
    yield ".SH SEE ALSO"
    yield ".BR rsync (1),"
    yield ".BR rsyncd.conf (5)"


def _command(above: click.Context, name: str) -> Iterator[str]:
    group = above.command
    command = group.get_command(above, name) if isinstance(group, click.Group) else None
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, parent=above)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_escaped(f"{context.command_path} {usage}")}"'
    yield from _paragraphs(command.help or "")
    yield from _options(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            yield from _command(context, inner)


def _paragraphs(text: str) -> Iterator[str]:
    """The help: paragraphs between empty lines; one that begins with a backspace keeps its lines."""
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0] == "\b":
            yield from (".nf", *map(_escaped, lines[1:]), ".fi")
        else:
            yield from _filled(" ".join(lines))


def _options(context: click.Context) -> Iterator[str]:
    """But --help, which every command has, and arguments, of which the help speaks."""
    command, about_itself = context.command, context.command.get_help_option(context)
    records = [one.get_help_record(context) for one in command.get_params(context) if one is not about_itself]
    yield from _definitions(dict(record for record in records if record is not None and record[1]))


def _definitions(told: dict[str, str]) -> Iterator[str]:
    for name, text in told.items():
        yield ".TP"
        yield f".B {_escaped(name)}"
        yield from _filled(text)


def _filled(text: str) -> Iterator[str]:
    """In lines that an editor can show; roff fills them anew."""
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield _escaped(line)


def _escaped(text: str) -> str:
    """For roff: a backslash and a hyphen as they are, and no line that begins like a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in page())
