"""Text for people: aligned tables, in colour on a terminal and plain in a pipe."""

import sys
from collections.abc import Iterable, Sequence

from tidegate.units import format_size

#: A pipe has no width: long details stay on their line so that grep finds them.
_PIPE_COLUMNS = 240

_STYLES = {
    "granted": "green",
    "fresh": "green",
    "held": "yellow",
    "stale": "red",
    "never": "red",
    "failed": "red",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Prints rows under their headings; the columns in ``right`` hold numbers. Texts are shown as they are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    numbers = set(right)
    for index, heading in enumerate(headings):
        drawn.add_column(Text(heading), justify="right" if index in numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(drawn)


def account(number: int, limit: int, reserve: int, used: int, outstanding: int, left: int) -> str:
    """The day in one line."""
    kept = f", {format_size(reserve)} in reserve" if reserve else ""
    return (
        f"day {number}: {format_size(left)} of {format_size(limit)} may still leave "
        f"({format_size(outstanding)} let out and not confirmed, {format_size(used)} used{kept})"
    )
