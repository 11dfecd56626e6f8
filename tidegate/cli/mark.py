"""``tidegate mark`` among the other commands: its help, and what is said of its mistakes."""

import click

from tidegate.cli import marking


def _option(name: str, kind: type, metavar: str, text: str) -> click.Option:
    if kind is bool:
        return click.Option([f"--{name}"], is_flag=True, help=text)
    return click.Option([f"--{name}"], type=kind, metavar=metavar, help=text)


mark = click.Command(
    "mark",
    callback=marking.mark,
    params=[
        click.Argument(["dump"], type=click.Path()),
        *(_option(name, *said) for name, said in marking.OPTIONS.items()),
    ],
    help=marking.mark.__doc__,
)
