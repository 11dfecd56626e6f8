"""Tables as a pipe gets them."""

import pytest

from tidegate.cli import output
from tidegate.cli.output import Column

COLUMNS = (Column.name("vm"), Column.number("size"), Column.text("why"))


def printed(capsys: pytest.CaptureFixture[str], *rows: tuple[str, str, str]) -> list[str]:
    output.table(COLUMNS, rows)
    return capsys.readouterr().out.splitlines()


def test_a_pipe_gets_aligned_columns_and_no_blanks_at_the_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ("vm1", "9.9 MB", ""), ("database", "12 B", "it waits")) == [
        "vm          size  why",
        "vm1       9.9 MB",
        "database    12 B  it waits",
    ]


def test_a_row_stays_on_its_line_however_long_it_gets(capsys: pytest.CaptureFixture[str]) -> None:
    """So that grep finds the whole of it."""
    assert printed(capsys, ("vm1", "1 B", "x" * 5000))[1] == f"vm1   1 B  {'x' * 5000}"


def test_letters_that_take_two_cells_are_counted_as_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ("仮想", "1 B", "a"), ("abcd", "1 B", "b"))[1:] == ["仮想   1 B  a", "abcd   1 B  b"]


def test_no_rows_are_headings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == ["vm  size  why"]
