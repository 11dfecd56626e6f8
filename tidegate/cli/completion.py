"""``tidegate completion``."""

import click
from click.shell_completion import ShellComplete, get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print the script by which SHELL completes commands, options, VMs and backup sets.

    \b
    ~/.bashrc                    source <(tidegate completion bash)
    ~/.zshrc                     source <(tidegate completion zsh)
    ~/.config/fish/config.fish   tidegate completion fish | source
    """  # noqa: D301 - click's mark for lines that stay as they are
    click.echo(script(shell))


def script(shell: str) -> str:
    """Click's own, without its look at the version of the bash that happens to be here."""
    kind = get_completion_class(shell)
    if kind is None:
        raise LookupError(shell)
    return ShellComplete.source(kind(click.Command("tidegate"), {}, "tidegate", "_TIDEGATE_COMPLETE")).strip()
