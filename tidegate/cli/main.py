"""``tidegate COMMAND``. A command is loaded when it is called."""

import importlib
import sys
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from core.errors import ExitCode, TidegateError
from core.version import __version__
from tidegate.cli import streams
from tidegate.cli.context import Session
from tidegate.daemon import logs

#: Name -> (module and function, one line for the list of commands).
COMMANDS = {
    "check": ("checks:check", "Validate the configuration and its surroundings."),
    "watch": ("watch:watch", "The background service: record markers, serve metrics, run the daily pass."),
    "mark": ("mark:mark", "Write a completion marker beside a dump."),
    "dump": ("dump:dump", "Dump the VMs of a backup set, and write their completion markers."),
    "pass": ("passes:run_pass", "One policy pass: decide what may leave today, and release it."),
    "plan": ("passes:plan", "What a pass would do now; writes nothing."),
    "status": ("status:status", "What is where: the day, and every VM's off-site copy."),
    "explain": ("explain:explain", "Why a VM's dumps left, or did not."),
    "forecast": ("forecast:forecast", "What will leave on the coming days, and how old each copy gets."),
    "history": ("history:history", "What was let out and confirmed, and what really crossed the line."),
    "sync": ("sync:sync", "Push the export trees with rsync, stop at the day's bytes, report what arrived."),
    "sync-started": ("syncs:sync_started", "Tell that the storage begins to pull."),
    "synced": ("syncs:synced", "Report what the storage has; ends the day."),
    "pre-xfer": ("hooks:pre_xfer", "Hook of an rsync daemon: seal the pull, or refuse it."),
    "post-xfer": ("hooks:post_xfer", "Hook of an rsync daemon: record what crossed the line."),
    "hold": ("admin:hold", "Keep a VM's dumps here until it is released."),
    "unhold": ("admin:unhold", "End a hold, or a force."),
    "force": ("admin:force", "Put a VM's next dump first in line, within the limit or above it."),
    "retire": ("admin:retire", "End a VM's life in Tidegate."),
    "rename": ("admin:rename", "Give a VM's history to its new name."),
    "adopt": ("admin:adopt", "Take over what an earlier script linked into the export tree."),
    "mark-sent": ("admin:mark_sent", "Record copies that the storage has already."),
    "locate": ("locate:locate", "Where a VM's copies are: dump folder, export tree, storage."),
    "restore": ("restore:restore", "Put a VM's dump back, from any copy of it."),
    "state": ("state:state", "Look after the state file: verify, export, make it anew when it was lost."),
    "notify": ("notify:notify", "Try those who are told of runs: pings and a command."),
    "export-metrics": ("exports:export_metrics", "Write the metrics as a textfile."),
    "completion": ("completion:completion", "Print a script by which a shell completes all this."),
}

#: The command above which each stands in the list.
HEADINGS = {
    "check": "Every day",
    "sync": "The sync",
    "hold": "Your word",
    "locate": "When something is lost",
    "notify": "For others",
}

EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.PARTLY: "done in part",
    ExitCode.USAGE: "wrong usage or configuration, nothing done",
    ExitCode.FAULT: "a fault outside (disk, permissions, state)",
    ExitCode.BUSY: "somebody else holds the lock, try again",
}
EPILOG = f"Exit codes: {'; '.join(f'{code} {told}' for code, told in EXIT_CODES.items())}."


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of an admin's day, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the one command."""
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"tidegate.cli.{module}"), function)
        for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            one.epilog = EPILOG
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offers the commands without loading them, and the options."""
        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without loading them."""
        names = list(COMMANDS)
        starts = [names.index(first) for first in HEADINGS]
        for heading, start, end in zip(HEADINGS.values(), starts, [*starts[1:], len(names)], strict=True):
            with formatter.section(heading):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names[start:end]])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, readable=False),  # access(2) knows no capabilities; opening it does
    help="The configuration; default: ./config.toml, else /etc/tidegate/config.toml.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, to stderr.")
@click.option(
    "--log-format",
    type=click.Choice(logs.FORMATS),
    default="text",
    show_default=True,
    help="How stderr is written: json is one object a line.",
)
@click.version_option(__version__, message="tidegate %(version)s")
@click.pass_context
def tidegate(ctx: click.Context, *, config_file: Path | None, verbose: bool, log_format: str) -> None:
    """Lets VM dumps out to off-site storage, one day's traffic at a time.

    Begin with `tidegate check` and `tidegate plan`: both write nothing. `tidegate COMMAND --help` tells the rest.
    """
    ctx.obj = Session(config_file, verbose=verbose, log_format=log_format)


def main() -> NoReturn:
    """Does what the words say. What an admin can act on is one sentence; anything else is a bug and shows its trace."""
    is_closed = streams.open_closed_descriptors()
    stdout = streams.replace_stdout()
    code = _run()
    reason = "it is closed" if is_closed else streams.reason_of(stdout)
    if reason is not None:
        logs.complain(f"not all output could be written: {reason}; what the command had to do is done")
        code = code or ExitCode.FAULT
    sys.exit(code)


def _run() -> int:
    """The exit code. What went wrong is said on stderr."""
    try:
        code = tidegate.main(standalone_mode=False)  # what a command hands to `Context.exit`, else None
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return 130
    except TidegateError as error:
        logs.complain(str(error))
        return error.exit_code
    return code or ExitCode.DONE
