"""``tidegate notify``: tries those who are told of runs."""

import shutil
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from core.enums import Occasion
from core.errors import ExitCode, UsageError
from tidegate.cli.context import Session, json_option, pass_session, print_json

if TYPE_CHECKING:
    from core.config.settings import Config

FORMAT = 2
#: Word of the address and how it is called; a check ends well with the last of them.
_WORDS = {"start": "start", "fail": "fail", "": "success"}


class _Tried(NamedTuple):
    """One attempt to tell: of what, whom, and what came back after so many seconds."""

    what: str
    to: str
    is_well: bool
    said: str
    seconds: float


@click.command()
@click.option("--test", is_flag=True, required=True, expose_value=False, help="Send each ping and run the command.")
@json_option
@pass_session
def notify(session: Session, *, as_json: bool) -> None:
    """Try those who are told: ping start, fail and success of each check, run the command, and show what came back.

    Whoever is pinged may raise an alarm at the `fail`, which is part of the test, and ends it at the success. Ends with
    1 when some could not be told, with 3 when nobody could.
    """
    config = session.config()
    if not (config.notify.pings or config.notify.command):
        raise UsageError(f"{config.file}: [notify] names nobody: set `command`, or `url` in [notify.pass]")
    tried = []
    for one in _try_all(config):
        tried.append(one)
        if not as_json:
            click.echo(f"{one.what}: {one.to}: {'' if one.is_well else 'FAILED: '}{one.said}, {one.seconds:.1f} s")
    if as_json:
        print_json({"format": FORMAT, "tried": [one._asdict() for one in tried]})
    well = [one.is_well for one in tried]
    click.get_current_context().exit(ExitCode.DONE if all(well) else ExitCode.PARTLY if any(well) else ExitCode.FAULT)


def sentences(config: "Config") -> Iterator[str]:
    """For `check`: what shows without anybody being told."""
    from tidegate.notify import ping

    for occasion, pinged in config.notify.pings.items():
        try:
            ping.target(pinged, "")
        except ping.NoUrl as error:
            yield f"[notify.{occasion}] url_file: {error}"
    program = config.notify.command[0] if config.notify.command else None
    if program is not None and shutil.which(program) is None:
        yield f"[notify] command: {program} is not found on the PATH here; nobody can be told of trouble"


def _try_all(config: "Config") -> Iterator[_Tried]:
    for occasion in config.notify.pings:
        yield from _try_pings(config, occasion)
    if config.notify.command:
        yield _try_command(config)


def _try_pings(config: "Config", occasion: Occasion) -> Iterator[_Tried]:
    """Of dumps, where each set has a check of its own, all of these."""
    from tidegate.notify import ping

    pinged = config.notify.pings[occasion]
    sets = [name for name in config.backup_sets if config.dumping_of(name)] if occasion is Occasion.DUMP else []
    try:
        found = {(to := ping.target(pinged, str(uuid.uuid4()), name)).url: (name, to) for name in sets or [""]}
    except ping.NoUrl as error:
        yield _Tried(occasion, f"[notify.{occasion}] url_file", False, str(error), 0.0)
        return
    for name, to in found.values():
        of = f"{occasion} {name}" if len(found) > 1 else str(occasion)
        for word, called in _WORDS.items():
            answer = ping.send(to, word, "tidegate notify --test", config.notify.timeout)
            yield _Tried(f"{of} {called}", str(to), *answer)


def _try_command(config: "Config") -> _Tried:
    from core.clock import SystemClock
    from tidegate.notify import command, message

    told, environment = message.document("test", [], SystemClock().now().wall), message.environment("test", [])
    ended = command.run(config.notify.command, told, environment, config.notify.timeout)
    return _Tried("command", config.notify.command[0], *ended)
