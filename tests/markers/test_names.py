"""File names are any bytes: what may be shown, and what may be taken as a name."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.filenames import is_clean, is_single_component, printable

any_name = st.binary().map(os.fsdecode)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("vm1.img", "vm1.img"),
        ("Büro 1.img", "Büro 1.img"),
        ("備份.img", "備份.img"),
        ("vm\n1", "vm\\n1"),
        ("vm\x1b[31m", "vm\\x1b[31m"),
        ("vm\x00", "vm\\x00"),
        ("vm\udcff", "vm\\xff"),
        ("vm\ud800", "vm\\ud800"),
        ("vm\u202egmi", "vm\\u202egmi"),
    ],
)
def test_what_could_move_a_terminal_is_shown_escaped(name: str, shown: str) -> None:
    """Newlines, escapes, bytes that are no text, and what writes from right to left."""
    assert printable(name) == shown


@given(any_name | st.text(st.characters(exclude_categories=())))
def test_whatever_is_shown_is_one_printable_line_of_text(name: str) -> None:
    """It can go to a terminal, a log line and JSON."""
    shown = printable(name)
    assert all(character.isprintable() for character in shown.encode("utf-8").decode())


@given(any_name)
def test_a_clean_name_is_text_without_control_characters(name: str) -> None:
    """What is clean survives a way through UTF-8 and holds no line break."""
    if is_clean(name):
        assert name.encode("utf-8").decode("utf-8") == name
        assert len(f"x{name}x".splitlines()) == 1 or any(mark in name for mark in "\u2028\u2029")


@pytest.mark.parametrize("name", ["vm1", "vm 1", "vm.1-a_b", "ü", "v" * 255])
def test_a_usable_name_is_one_visible_entry_of_a_folder(name: str) -> None:
    """Spaces and letters of all languages are fine."""
    assert is_single_component(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".vm1", "-vm1", "a/b", "/", "vm\n1", "vm\udcff", "v" * 256, "ü" * 128])
def test_what_hides_leads_away_or_looks_like_an_option_is_no_usable_name(name: str) -> None:
    """Nor what is longer than a file's name can be."""
    assert not is_single_component(name)
