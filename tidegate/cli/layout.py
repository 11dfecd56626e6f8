"""Rows into the width of a terminal: which columns go, what is shortened, and how wide each becomes, in cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tidegate.cli.cells import cut, folded, shortened, width_of

GAP = "  "
#: A name, or a text, is not shortened below this as long as a column may go instead.
_LEAST_NAME, _LEAST_TEXT = 20, 26
_READABLE_NAME = 32
#: Of less nothing can be read: it is folded.
_SHORTEST_NAME = 12
#: What is left of each where none can go any more. A wide letter and its mark have room in it.
_NARROWEST = 4


class Fit(Enum):
    """What may be done to the cells of a column that is too wide."""

    WHOLE = auto()
    NAME = auto()  # shortened in the middle as far as no two of them become the same, else folded
    TEXT = auto()  # cut at the end
    PATH = auto()  # folded: whoever asks for it wants all of it


@dataclass(frozen=True, slots=True)
class Column:
    """``goes`` tells which columns go first where there is no room: 1 is the first; 0 stays.

    In a ``coloured`` one the word of a cell has the colour of its meaning.
    """

    heading: str
    fit: Fit = Fit.WHOLE
    goes: int = 0
    right: bool = False
    coloured: bool = False


def word(heading: str, *, goes: int = 0) -> Column:
    """A column of words of a closed set, or of times."""
    return Column(heading, goes=goes, coloured=True)


def number(heading: str, *, goes: int = 0) -> Column:
    """A column of figures, which stand below each other at the right."""
    return Column(heading, goes=goes, right=True)


def name(heading: str, *, goes: int = 0) -> Column:
    """A column of names that must be told apart."""
    return Column(heading, Fit.NAME, goes)


def text(heading: str, *, goes: int = 0) -> Column:
    """A column of sentences."""
    return Column(heading, Fit.TEXT, goes)


def path(heading: str) -> Column:
    """A column of paths to be copied."""
    return Column(heading, Fit.PATH)


@dataclass(frozen=True, slots=True)
class Layout:
    """Place -> width of the columns that are shown. ``gone`` are the headings of those that had no room.

    In the places that are ``folded`` a cell takes as many lines as it needs.
    """

    widths: dict[int, int]
    folded: frozenset[int]
    gone: tuple[str, ...]


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, mark: str) -> Layout:
    """How ``rows`` fit into ``width``. A column in which nothing stands goes, and is not told as gone."""
    filled = [place for place in range(len(columns)) if not rows or any(row[place] for row in rows)]
    cells = {place: {columns[place].heading, *(row[place] for row in rows)} for place in filled}
    natural = {place: max(map(width_of, cells[place])) for place in filled}
    least = {place: _least(columns[place], cells[place], natural[place], mark) for place in filled}
    kept = _kept(columns, least, width)
    widths = {place: least[place] for place in filled if place in kept}
    _stretch(columns, widths, natural, width)
    _squeeze(columns, widths, width)
    gone = tuple(columns[place].heading for place in filled if place not in widths)
    unclear = (one for one in widths if _is_unclear(columns[one].fit, cells[one], widths[one], natural[one], mark))
    return Layout(widths, frozenset(unclear), gone)


def _is_unclear(fit: Fit, cells: set[str], width: int, natural: int, mark: str) -> bool:
    """Whether cells of this width could be taken for others, or for nothing, if each were shortened to one line."""
    if fit is Fit.NAME and width >= _SHORTEST_NAME:
        return not _are_distinct(cells, width, mark)
    return width < natural


def lines_of(column: Column, cell: str, width: int, mark: str, *, is_folded: bool) -> list[str]:
    """One cell in ``width``: a line, or the several of one that is folded."""
    if width_of(cell) <= width:
        return [cell]
    if column.fit is Fit.TEXT:
        return [cut(cell, width, mark)]
    return folded(cell, width) if is_folded or column.fit is Fit.PATH else [shortened(cell, width, mark)]


def _least(column: Column, cells: set[str], natural: int, mark: str) -> int:
    """How narrow a column becomes before another one goes."""
    if column.fit is not Fit.NAME:
        return min(natural, _LEAST_TEXT) if column.fit in (Fit.TEXT, Fit.PATH) else natural
    widths = range(min(natural, _LEAST_NAME), natural)
    return next((one for one in widths if _are_distinct(cells, one, mark)), natural)


def _are_distinct(cells: set[str], width: int, mark: str) -> bool:
    return len({shortened(cell, width, mark) for cell in cells}) == len(cells)


def _kept(columns: Sequence[Column], least: dict[int, int], width: int) -> set[int]:
    """Those that have room: a narrow one comes back where a wider one that went after it has left enough."""
    kept = set(least)
    going = sorted((place for place in least if columns[place].goes), key=lambda place: columns[place].goes)
    for place in going:
        if _total(least[one] for one in kept) > width:
            kept.remove(place)
    for place in reversed(going):
        if place not in kept and _total(least[one] for one in (*kept, place)) <= width:
            kept.add(place)
    return kept


def _stretch(columns: Sequence[Column], widths: dict[int, int], natural: dict[int, int], width: int) -> None:
    """What is left over goes to the names until they can be read, then to the texts, then to the longest names."""
    readable = {place: min(natural[place], max(widths[place], _READABLE_NAME)) for place in widths}
    for wanted, *fits in ((readable, Fit.NAME), (natural, Fit.TEXT, Fit.PATH), (natural, Fit.NAME)):
        for place in _those(columns, widths, *fits):
            widths[place] = min(wanted[place], widths[place] + max(0, width - _total(widths.values())))


def _squeeze(columns: Sequence[Column], widths: dict[int, int], width: int) -> None:
    """What is missing is taken from the texts, then from the names, then from all; then the last columns go."""
    for place in _those(columns, widths, Fit.TEXT, Fit.PATH, Fit.NAME, Fit.WHOLE):
        excess = max(0, _total(widths.values()) - width)
        widths[place] = max(min(_NARROWEST, widths[place]), widths[place] - excess)
    while len(widths) > 1 and _total(widths.values()) > width:
        widths.popitem()
    if len(widths) == 1 and _total(widths.values()) > width:
        widths.update(dict.fromkeys(widths, max(2, width)))


def _those(columns: Sequence[Column], places: Iterable[int], *fits: Fit) -> list[int]:
    return [place for fit in fits for place in places if columns[place].fit is fit]


def _total(widths: Iterable[int]) -> int:
    listed = list(widths)
    return sum(listed) + len(GAP) * (len(listed) - 1)
