"""Text for people: sentences and aligned tables, fitted to a terminal, and whole and plain in a pipe."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from core.filenames import printable
from core.units import format_size
from tidegate.cli import screen
from tidegate.cli.cells import width_of, wrapped
from tidegate.cli.layout import GAP, Column, Layout, lay_out, lines_of
from tidegate.cli.screen import Screen

#: However low a terminal is.
_LEAST_ROWS = 5
_STYLES = {
    "released": "green",
    "fresh": "green",
    "well": "green bold",
    "waiting": "yellow",
    "blocked": "red",
    "warning": "yellow bold",
    "stale": "red",
    "never": "red",
    "failed": "red",
    "critical": "red bold",
    "unknown": "red bold",
}


def say(sentence: str) -> None:
    """A sentence, wrapped between its words in a terminal."""
    write(spoken(sentence, screen.of_stdout()))


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Prints rows under their headings, whatever their texts hold: control characters and their kin are escaped."""
    write(drawn(columns, rows, screen.of_stdout()))


def write(lines: Iterable[str]) -> None:
    """Lines as they are."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def spoken(sentence: str, seen: Screen, style: str = "") -> Iterator[str]:
    """The lines of a sentence. A ``style`` that is a word of the sentence's start colours that word alone."""
    text = printable(sentence)
    for line in [text] if seen.columns is None else wrapped(text, seen.columns):
        word, rest = (style, line.removeprefix(style)) if style and line.startswith(style) else ("", line)
        yield seen.styled(word, _STYLES.get(word, "")) + rest


def drawn(columns: Sequence[Column], rows: Iterable[Sequence[str]], seen: Screen) -> Iterator[str]:
    """The lines of a table, and in a terminal of a sentence that names the columns that found no room."""
    found = [row if "".join(row).isprintable() else tuple(map(printable, row)) for row in rows]
    if seen.columns is None:
        yield from _whole(columns, found, seen)
        return
    layout = lay_out(columns, found, seen.columns, seen.mark)
    for row in ([column.heading for column in columns], *found):
        yield from _drawn(columns, row, layout, seen)
    if layout.gone:
        told = f"({', '.join(filter(None, layout.gone))}: in a wider terminal, a pipe or --json)"
        yield from (seen.styled(line, "dim") for line in wrapped(told, seen.columns))


def _drawn(columns: Sequence[Column], row: Sequence[str], layout: Layout, seen: Screen) -> Iterator[str]:
    """The lines of one row in a terminal: several where a cell is folded."""
    lines = [
        lines_of(columns[place], row[place], width, seen.mark, is_folded=place in layout.folded)
        for place, width in layout.widths.items()
    ]
    shown = [(columns[place], width, _style(columns[place], row[place])) for place, width in layout.widths.items()]
    for line in zip_longest(*lines, fillvalue=""):
        cells = (_cell(text, *how, seen) for text, how in zip(line, shown, strict=True))
        yield GAP.join(cells).rstrip()


def _style(column: Column, cell: str) -> str:
    if cell == column.heading:
        return "bold"
    return _STYLES.get(cell, "") if column.coloured else ""


def _cell(text: str, column: Column, width: int, style: str, seen: Screen) -> str:
    blanks, shown = " " * (width - width_of(text)), seen.styled(text, style)
    return blanks + shown if column.right else shown + blanks


def _whole(columns: Sequence[Column], rows: Sequence[Sequence[str]], seen: Screen) -> Iterator[str]:
    """Each row in a line of its own however long it gets: a pipe has no width, and grep finds whole lines."""
    with_headings = [[column.heading for column in columns], *rows]
    stood = [
        _stood(column, cells, seen) for column, cells in zip(columns, zip(*with_headings, strict=True), strict=True)
    ]
    return (GAP.join(cells).rstrip() for cells in zip(*stood, strict=True))


def _stood(column: Column, cells: Sequence[str], seen: Screen) -> list[str]:
    width = max(map(width_of, cells))
    if not seen.colour and all(map(str.isascii, cells)):  # a hundred thousand of them at once
        return [cell.rjust(width) if column.right else cell.ljust(width) for cell in cells]
    return [_cell(cell, column, width, _style(column, cell), seen) for cell in cells]


def rows_of_a_screen(seen: Screen, taken: int, *, least: int = _LEAST_ROWS) -> int | None:
    """How many rows a terminal has room for, besides ``taken`` lines, the headings, two sentences and the prompt.

    None of a pipe: it gets all.
    """
    return None if seen.lines is None else max(least, seen.lines - taken - 4)


def account(day: Mapping[str, Any]) -> str:
    """The day in one line, from its JSON shape. What is nothing is left out."""
    parts = {"outstanding": "released, not fetched yet", "used": "used", "debt": "in debt", "reserve": "in reserve"}
    told = [f"{format_size(day[f'{key}_bytes'])} {words}" for key, words in parts.items() if day.get(f"{key}_bytes")]
    left = f"{format_size(day['left_bytes'])} of {format_size(day['limit_bytes'])} left"
    return f"day {day['number']}: {'; '.join([left, *told])}"
