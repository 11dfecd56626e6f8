"""Text for people: aligned tables, in colour on a terminal and plain in a pipe."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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

    on_terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=False, width=None if on_terminal else _PIPE_COLUMNS)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    numbers = set(right)
    for index, heading in enumerate(headings):
        drawn.add_column(Text(heading), justify="right" if index in numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    if on_terminal:
        console.print(drawn)
        return
    with console.capture() as capture:
        console.print(drawn)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def account(day: Mapping[str, Any]) -> str:
    """The day in one line, from its JSON shape."""
    size = {key.removesuffix("_bytes"): format_size(value) for key, value in day.items() if key.endswith("_bytes")}
    reserve = f", {size['reserve']} in reserve" if day["reserve_bytes"] else ""
    return (
        f"day {day['number']}: {size['allowance']} of {size['limit']} may still leave "
        f"({size['outstanding']} let out and not confirmed, {size['used']} used{reserve})"
    )
