"""Text for people: aligned tables, in colour on a terminal and plain in a pipe."""

import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from tidegate.units import format_size

#: Rows that are laid out for the width of a terminal. That takes half a millisecond a row, and more are only
#: ever searched.
_MOST_DRAWN = 500

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
    found = list(rows)
    if sys.stdout.isatty() and len(found) <= _MOST_DRAWN:
        _draw(headings, found, frozenset(right))
    else:
        sys.stdout.writelines(_lines([headings, *found], frozenset(right)))


def _draw(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        drawn.add_column(Text(heading), justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False, soft_wrap=False).print(drawn)


def _lines(rows: Sequence[Sequence[str]], right: Container[int]) -> Iterable[str]:
    """Each row in a line of its own however long it gets: a pipe has no width, and grep finds whole lines."""
    columns = [_padded(column, to_the_right=index in right) for index, column in enumerate(zip(*rows, strict=True))]
    return (f"{'  '.join(cells).rstrip()}\n" for cells in zip(*columns, strict=True))


def _padded(cells: Sequence[str], *, to_the_right: bool) -> list[str]:
    widths = [len(cell) if cell.isascii() else _cells_of(cell) for cell in cells]
    most = max(widths)
    blanks = [" " * (most - width) for width in widths]
    if to_the_right:
        return [blank + cell for blank, cell in zip(blanks, cells, strict=True)]
    return [cell + blank for blank, cell in zip(blanks, cells, strict=True)]


def _cells_of(text: str) -> int:
    """Cells of a terminal: some letters take two, and some none."""
    from rich.cells import cell_len

    return cell_len(text)


def account(day: Mapping[str, Any]) -> str:
    """The day in one line, from its JSON shape."""
    size = {key.removesuffix("_bytes"): format_size(value) for key, value in day.items() if key.endswith("_bytes")}
    reserve = f", {size['reserve']} in reserve" if day["reserve_bytes"] else ""
    debt = f", {size['debt']} in debt" if "debt_bytes" in day else ""
    return (
        f"day {day['number']}: {size['allowance']} of {size['limit']} may still leave "
        f"({size['outstanding']} let out and not confirmed, {size['used']} used{debt}{reserve})"
    )
