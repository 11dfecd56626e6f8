"""Text for people on stdout: sentences and aligned tables, fitted to a terminal, and whole and plain in a pipe.

rich's tables have neither what matters in a narrow terminal, columns that are dropped in an order and named, nor
names that stay different when they are shortened; and they take 50 ms to load.
Widths are in cells: some letters take two, and some none. A width is never below 2: a wide letter needs as much.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import zip_longest
from typing import NamedTuple, TextIO

from core.filenames import printable

_GAP = "  "
#: However low a terminal is.
_MIN_ROWS = 5
#: A name, or a text, is not shortened below this as long as a column may be dropped instead.
_MIN_NAME, _MIN_TEXT = 20, 26
_READABLE_NAME = 32
#: Of less nothing can be read: it is folded.
_SHORTEST_NAME = 12
#: What is left of each column where none can be dropped any more. A wide letter and its mark fit into it.
_NARROWEST = 4
_STYLES = {
    "released": "green",
    "fresh": "green",
    "OK": "green bold",
    "waiting": "yellow",
    "new": "yellow",
    "blocked": "red",
    "WARNING": "yellow bold",
    "stale": "red",
    "never": "red",
    "failed": "red",
    "CRITICAL": "red bold",
    "UNKNOWN": "red bold",
}
_ANSI = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "red bold": "1;31", "yellow bold": "1;33"}
_ANSI["green bold"] = "1;32"
#: Of a terminal that does not know its size, as the serial console of a host.
_DEFAULT_SIZE = (80, 24)


# --- what stdout is


class Screen(NamedTuple):
    """``columns`` and ``lines`` in cells; None of a pipe, which has no size: nothing is ever cut there.

    ``mark`` is put where something was cut.
    """

    columns: int | None = None
    lines: int | None = None
    colour: bool = False
    mark: str = "…"

    def styled(self, text: str, style: str) -> str:
        """``text`` in that style, where colours are wanted; '' is no style."""
        return f"\x1b[{_ANSI[style]}m{text}\x1b[0m" if self.colour and style and text else text

    def rows_that_fit(self, taken: int, *, least: int = _MIN_ROWS) -> int | None:
        """How many rows fit besides ``taken`` lines, the headings, two sentences and the prompt; None of a pipe."""
        return None if self.lines is None else max(least, self.lines - taken - 4)


def screen() -> Screen:
    """Of stdout. Asked anew each time: a terminal may be resized, and tests put another stdout in place."""
    return screen_of(sys.stdout, os.environ)


def screen_of(stream: TextIO, environment: Mapping[str, str]) -> Screen:
    """What ``stream`` is under this environment."""
    mark = "…" if _can_write(stream, "…") else "~"
    if not stream.isatty():
        return Screen(colour=_wants_colour(environment, default=False), mark=mark)
    columns, lines = _size(stream, environment)
    return Screen(columns, lines, _wants_colour(environment, default=True), mark)


def _wants_colour(environment: Mapping[str, str], *, default: bool) -> bool:
    """NO_COLOR is stronger than all, then what forces; a terminal that calls itself dumb has none."""
    if environment.get("NO_COLOR"):
        return False
    if any(environment.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return default and environment.get("TERM") not in ("dumb", "unknown") and environment.get("CLICOLOR") != "0"


def _size(stream: TextIO, environment: Mapping[str, str]) -> tuple[int, int]:
    """COLUMNS and LINES are stronger than the terminal: watch(1) and its kin set them for what they show."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    given = (environment.get("COLUMNS", ""), environment.get("LINES", ""))
    columns, lines = (
        (int(word) if word.isdecimal() else 0) or own or default
        for word, own, default in zip(given, size, _DEFAULT_SIZE, strict=True)
    )
    return columns, lines


def _can_write(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


# --- sentences


def sentence(text: str) -> None:
    """Prints it, wrapped between its words in a terminal."""
    lines(sentence_lines(text, screen()))


def lines(texts: Iterable[str]) -> None:
    """Prints them as they are."""
    sys.stdout.writelines(f"{line}\n" for line in texts)


def sentence_lines(text: str, seen: Screen, style: str = "") -> Iterator[str]:
    """The lines of a sentence. A ``style`` that is a word of the sentence's start colours that word alone."""
    text = printable(text)
    for line in [text] if seen.columns is None else _wrapped(text, seen.columns):
        word, rest = (style, line.removeprefix(style)) if style and line.startswith(style) else ("", line)
        yield seen.styled(word, _STYLES.get(word, "")) + rest


def _wrapped(text: str, width: int, indent: str = "  ") -> Iterator[str]:
    """Lines of ``width``, broken between words, and within one that is too long for any line."""
    line = ""
    for each in text.split(" "):
        longer = f"{line} {each}" if line else each
        if width_of(longer) <= width:
            line = longer
            continue
        if line.strip():
            yield line
        *whole, line = (
            _folded(indent + each, max(2, width)) if width > 2 * len(indent) else _folded(each, max(2, width))
        )
        yield from whole
    yield line


# --- tables


class Fit(Enum):
    """What may be done to the cells of a column that is too wide."""

    WHOLE = auto()
    NAME = auto()  # shortened in the middle as far as no two of them become the same, else folded
    TEXT = auto()  # cut at the end
    PATH = auto()  # folded: whoever asks for it wants all of it


class Column(NamedTuple):
    """``drop``: which columns are dropped first where there is no room: 1 is the first; 0 stays.

    In a ``coloured`` one the word of a cell has the colour of its meaning.
    """

    heading: str
    fit: Fit = Fit.WHOLE
    drop: int = 0
    right: bool = False
    coloured: bool = False

    @classmethod
    def word(cls, heading: str, *, drop: int = 0) -> "Column":
        """Words of a closed set, or times."""
        return cls(heading, drop=drop, coloured=True)

    @classmethod
    def number(cls, heading: str, *, drop: int = 0) -> "Column":
        """Figures, one below the other at the right."""
        return cls(heading, drop=drop, right=True)

    @classmethod
    def name(cls, heading: str, *, drop: int = 0) -> "Column":
        """Names that must be told apart."""
        return cls(heading, Fit.NAME, drop)

    @classmethod
    def text(cls, heading: str, *, drop: int = 0) -> "Column":
        """Sentences."""
        return cls(heading, Fit.TEXT, drop)

    @classmethod
    def path(cls, heading: str) -> "Column":
        """Paths to be copied."""
        return cls(heading, Fit.PATH)


Row = Sequence[str]


def table(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Prints rows under their headings, whatever their texts hold: control characters and their kin are escaped."""
    lines(table_lines(columns, rows, screen()))


def table_lines(columns: Sequence[Column], rows: Iterable[Row], seen: Screen) -> Iterator[str]:
    """The lines of a table, and in a terminal of a sentence that names the columns that were dropped."""
    found = [row if "".join(row).isprintable() else tuple(map(printable, row)) for row in rows]
    if seen.columns is None:
        yield from _whole(columns, found, seen)
        return
    layout = lay_out(columns, found, seen.columns, seen.mark)
    for row in ([column.heading for column in columns], *found):
        yield from _row_lines(columns, row, layout, seen)
    if layout.dropped:
        note = f"({', '.join(filter(None, layout.dropped))}: in a wider terminal, a pipe or --json)"
        yield from (seen.styled(line, "dim") for line in _wrapped(note, seen.columns))


def _whole(columns: Sequence[Column], rows: Sequence[Row], seen: Screen) -> Iterator[str]:
    """Each row in a line of its own however long it gets: a pipe has no width, and grep finds whole lines."""
    with_headings = [[column.heading for column in columns], *rows]
    aligned = [
        _aligned(column, cells, seen) for column, cells in zip(columns, zip(*with_headings, strict=True), strict=True)
    ]
    return (_GAP.join(cells).rstrip() for cells in zip(*aligned, strict=True))


def _aligned(column: Column, cells: Row, seen: Screen) -> list[str]:
    width = max(map(width_of, cells))
    if not seen.colour and all(map(str.isascii, cells)):  # a hundred thousand of them at once
        return [cell.rjust(width) if column.right else cell.ljust(width) for cell in cells]
    return [_cell(cell, column, width, _style(column, cell), seen) for cell in cells]


def _row_lines(columns: Sequence[Column], row: Row, layout: "Layout", seen: Screen) -> Iterator[str]:
    """The lines of one row in a terminal: several where a cell is folded."""
    cells = [
        cell_lines(columns[place], row[place], width, seen.mark, is_folded=place in layout.folded)
        for place, width in layout.widths.items()
    ]
    forms = [(columns[place], width, _style(columns[place], row[place])) for place, width in layout.widths.items()]
    for line in zip_longest(*cells, fillvalue=""):
        yield _GAP.join([_cell(text, *form, seen) for text, form in zip(line, forms, strict=True)]).rstrip()


def _style(column: Column, cell: str) -> str:
    if cell == column.heading:
        return "bold"
    return _STYLES.get(cell, "") if column.coloured else ""


def _cell(text: str, column: Column, width: int, style: str, seen: Screen) -> str:
    blanks, shown = " " * (width - width_of(text)), seen.styled(text, style)
    return blanks + shown if column.right else shown + blanks


# --- the width of each column


class Layout(NamedTuple):
    """Place -> width of the columns that are shown; the headings of those that were ``dropped``.

    In the places that are ``folded`` a cell takes as many lines as it needs.
    """

    widths: dict[int, int]
    folded: frozenset[int]
    dropped: tuple[str, ...]


def lay_out(columns: Sequence[Column], rows: Sequence[Row], width: int, mark: str) -> Layout:
    """How ``rows`` fit into ``width``. A column without any text is left out, and not counted as dropped."""
    filled = [place for place in range(len(columns)) if not rows or any(row[place] for row in rows)]
    cells = {place: {columns[place].heading, *(row[place] for row in rows)} for place in filled}
    natural = {place: max(map(width_of, cells[place])) for place in filled}
    least = {place: _least(columns[place], cells[place], natural[place], mark) for place in filled}
    kept = _kept(columns, least, width)
    widths = {place: least[place] for place in filled if place in kept}
    _stretch(columns, widths, natural, width)
    _squeeze(columns, widths, width)
    dropped = tuple(columns[place].heading for place in filled if place not in widths)
    unclear = (one for one in widths if _is_unclear(columns[one].fit, cells[one], widths[one], natural[one], mark))
    return Layout(widths, frozenset(unclear), dropped)


def _is_unclear(fit: Fit, cells: set[str], width: int, natural: int, mark: str) -> bool:
    """Whether cells of this width could be taken for others, or for nothing, if each were shortened to one line."""
    if fit is Fit.NAME and width >= _SHORTEST_NAME:
        return not _are_distinct(cells, width, mark)
    return width < natural


def cell_lines(column: Column, cell: str, width: int, mark: str, *, is_folded: bool) -> list[str]:
    """One cell in ``width``: a line, or the several of one that is folded."""
    if width_of(cell) <= width:
        return [cell]
    if column.fit is Fit.TEXT:
        return [_first(_letters(cell), width - len(mark)).rstrip() + mark]
    return _folded(cell, width) if is_folded or column.fit is Fit.PATH else [shortened(cell, width, mark)]


def _least(column: Column, cells: set[str], natural: int, mark: str) -> int:
    """How narrow a column becomes before another one is dropped."""
    if column.fit is not Fit.NAME:
        return min(natural, _MIN_TEXT) if column.fit in (Fit.TEXT, Fit.PATH) else natural
    widths = range(min(natural, _MIN_NAME), natural)
    return next((one for one in widths if _are_distinct(cells, one, mark)), natural)


def _are_distinct(cells: set[str], width: int, mark: str) -> bool:
    return len({shortened(cell, width, mark) for cell in cells}) == len(cells)


def _kept(columns: Sequence[Column], least: dict[int, int], width: int) -> set[int]:
    """Those that fit: a narrow one comes back where a wider one that was dropped after it has left enough."""
    kept = set(least)
    going = sorted((place for place in least if columns[place].drop), key=lambda place: columns[place].drop)
    for place in going:
        if _total(least[one] for one in kept) > width:
            kept.remove(place)
    for place in reversed(going):
        if place not in kept and _total(least[one] for one in (*kept, place)) <= width:
            kept.add(place)
    return kept


def _stretch(columns: Sequence[Column], widths: dict[int, int], natural: dict[int, int], width: int) -> None:
    """What remains goes to the names until they can be read, then to the texts, then to the longest names."""
    readable = {place: min(natural[place], max(widths[place], _READABLE_NAME)) for place in widths}
    for wanted, *fits in ((readable, Fit.NAME), (natural, Fit.TEXT, Fit.PATH), (natural, Fit.NAME)):
        for place in _of_fits(columns, widths, *fits):
            widths[place] = min(wanted[place], widths[place] + max(0, width - _total(widths.values())))


def _squeeze(columns: Sequence[Column], widths: dict[int, int], width: int) -> None:
    """What is missing is taken from the texts, then from the names, then from all; then the last columns go."""
    for place in _of_fits(columns, widths, Fit.TEXT, Fit.PATH, Fit.NAME, Fit.WHOLE):
        excess = max(0, _total(widths.values()) - width)
        widths[place] = max(min(_NARROWEST, widths[place]), widths[place] - excess)
    while len(widths) > 1 and _total(widths.values()) > width:
        widths.popitem()
    if len(widths) == 1 and _total(widths.values()) > width:
        widths.update(dict.fromkeys(widths, max(2, width)))


def _of_fits(columns: Sequence[Column], places: Iterable[int], *fits: Fit) -> list[int]:
    return [place for fit in fits for place in places if columns[place].fit is fit]


def _total(widths: Iterable[int]) -> int:
    listed = list(widths)
    return sum(listed) + len(_GAP) * (len(listed) - 1)


# --- texts in cells; no letter is parted from its accents


def width_of(text: str) -> int:
    """How many cells ``text`` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shortened(text: str, width: int, mark: str) -> str:
    """``text``, or its start and its end with the mark in between: names differ at either."""
    if width_of(text) <= width:
        return text
    room = width - len(mark)
    if text.isascii():
        return text[: room - room // 2] + mark + text[len(text) - room // 2 :]
    letters = _letters(text)
    end = _first(letters[::-1], room // 2, backwards=True)
    return _first(letters, room - room // 2) + mark + end


def _folded(text: str, width: int) -> list[str]:
    """All of ``text`` in lines of ``width`` cells; at least one."""
    folded, used = [""], 0
    for letter, size in _letters(text):
        if used + size > width:
            folded.append("")
            used = 0
        folded[-1] += letter
        used += size
    return folded


def _letters(text: str) -> Sequence[tuple[str, int]]:
    """Each letter with its accents, and its cells."""
    if text.isascii():
        return [(letter, 1) for letter in text]
    from rich.cells import split_graphemes

    return [(text[start:end], size) for start, end, size in split_graphemes(text)[0]]


def _first(letters: Sequence[tuple[str, int]], room: int, *, backwards: bool = False) -> str:
    """As many of ``letters`` as fit into ``room``."""
    taken: list[str] = []
    for letter, size in letters:
        if size > room:
            break
        room -= size
        taken.append(letter)
    return "".join(taken[::-1] if backwards else taken)
