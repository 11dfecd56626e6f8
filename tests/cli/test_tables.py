"""Tables and sentences in a terminal of any width, whatever the names in them."""

import unicodedata
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len, split_graphemes

from core.filenames import printable
from tidegate.cli import output
from tidegate.cli.output import Column, Screen

COLUMNS = (
    Column.name("vm"),
    Column.word("set", drop=1),
    Column.number("size", drop=2),
    Column.path("path"),
    Column.text("why"),
)
#: Letters of one cell and of two, accents of none, an emoji, what is no letter at all, and the mark itself.
LETTERS = "abc01-._~… äß仮想한é\u0301\u0308\u200d\u202e\ufe0f🦊\x1b\x07\n\udc80"
odd = st.text(LETTERS, min_size=1, max_size=60)
rows = st.lists(st.tuples(odd, st.sampled_from(("", "weekly")), st.just("9.9 GB"), odd, odd | st.just("")), max_size=6)
widths = st.integers(2, 200)


def terminal(width: int) -> Screen:
    return Screen(width, 24, colour=False)


def drawn(found: Sequence[Sequence[str]], width: int) -> list[str]:
    return list(output.table_lines(COLUMNS, found, terminal(width)))


@given(rows, widths)
def test_no_line_is_longer_than_the_terminal(found: Sequence[Sequence[str]], width: int) -> None:
    assert all(cell_len(line) <= width for line in drawn(found, width))


@given(odd, widths)
def test_a_sentence_is_wrapped_and_nothing_of_it_is_lost(sentence: str, width: int) -> None:
    lines = list(output.sentence_lines(sentence, terminal(width)))
    assert all(cell_len(line) <= width for line in lines)
    whole = "".join(output.sentence_lines(sentence, Screen()))
    assert "".join(lines).replace(" ", "") == whole.replace(" ", "")


@given(rows)
def test_nothing_that_moves_a_terminal_is_written(found: Sequence[Sequence[str]]) -> None:
    """No control character, nothing that turns the direction of writing, and no byte that is no text."""
    for screen in (terminal(80), Screen()):
        text = "".join(output.table_lines(COLUMNS, found, screen))
        assert {unicodedata.category(letter) for letter in text}.isdisjoint({"Cc", "Cf", "Cs"})


@given(st.lists(odd, min_size=1, max_size=8, unique_by=lambda name: name.strip()), st.integers(20, 100))
def test_two_names_never_look_the_same(names: Sequence[str], width: int) -> None:
    """Shortened to one line each, or folded into several."""
    column = (Column.name("vm"), Column.word("verdict"), Column.number("size", drop=1))
    found = [(name, "fresh", "9 GB") for name in map(printable, names)]
    fitted = output.lay_out(column, found, width, "…")
    shown = {
        tuple(output.cell_lines(column[0], name, fitted.widths[0], "…", is_folded=0 in fitted.folded))
        for name, *_ in found
    }
    assert len(shown) == len({name for name, *_ in found})


@given(rows.filter(bool), st.integers(60, 200))
def test_every_column_begins_at_one_cell(found: Sequence[Sequence[str]], width: int) -> None:
    """The set stands between two columns that hold anything, and nothing but a set or blanks stands in its place."""
    columns = (Column.name("vm"), Column.word("set"), Column.name("dump"))
    named = [(name, f"<{number}>", dump) for number, (name, _, _, dump, _) in enumerate(found)]
    lines = [line for line in output.table_lines(columns, named, terminal(width)) if "<" in line]
    assert len(lines) == len(named)
    assert len({cell_len(line[: line.index("<")]) for line in lines}) == 1


@given(rows)
def test_a_pipe_gets_every_name_whole(found: Sequence[Sequence[str]]) -> None:
    _, *lines = output.table_lines(COLUMNS, found, Screen())
    assert len(lines) == len(found)
    for line, row in zip(lines, found, strict=True):
        assert all(printable(cell).rstrip() in line for cell in row)


@given(odd, st.integers(4, 60))
def test_what_is_shortened_parts_no_letter_from_its_accents(text: str, width: int) -> None:
    text = printable(text)
    start, mark, end = output.shortened(text, width, "\x00").partition("\x00")
    assert cell_len(start) + len(mark) + cell_len(end) <= width
    borders = {begin for begin, *_ in split_graphemes(text)[0]} | {len(text)}
    assert len(start) in borders
    assert len(text) - len(end) in borders


def test_columns_go_in_their_order_and_are_named() -> None:
    """Not before there is no room for them; what is empty needs none and is not missed."""
    found = [("a-name-of-some-length", "weekly", "9.9 GB", "/srv/dumps", "")]
    assert drawn(found, 60)[0].split() == ["vm", "set", "size", "path"]
    *table, told = drawn(found, 46)
    assert table[0].split() == ["vm", "size", "path"]
    assert told == "(set: in a wider terminal, a pipe or --json)"
    assert drawn(found, 34)[0].split() == ["vm", "path"]


def test_names_are_shortened_in_the_middle_and_only_so_far_that_they_differ() -> None:
    names = [f"production-database-{number}-of-the-western-region" for number in range(3)]
    found = [(name, "fresh", "what it waits for") for name in names]
    columns = (Column.name("vm"), Column.word("verdict"), Column.text("why"))
    lines = list(output.table_lines(columns, found, terminal(70)))[1:]
    shown = [line.split()[0] for line in lines]
    assert [name.count("…") for name in shown] == [1, 1, 1]
    assert len(set(shown)) == 3
    assert shown[1].startswith("production-database-1")
    assert shown[1].endswith("region")


def test_a_narrow_column_has_what_a_wide_one_left() -> None:
    """The one that goes first is back when another one had to go as well."""
    columns = (Column.name("vm"), Column.number("age", drop=1), Column.word("reason", drop=2))
    found = [("vm1", "7d", "a-word-of-very-many-letters-that-has-no-room")]
    assert next(output.table_lines(columns, found, terminal(30))).split() == ["vm", "age"]
