"""What stdout is held to be: its size, and whether colours are wanted."""

import io
import os
import pty
import termios
from collections.abc import Iterator, Mapping
from typing import TextIO

import pytest

from tidegate.cli.output import Screen, screen_of


@pytest.fixture
def stream() -> Iterator[TextIO]:
    """A terminal of 100 columns and 30 lines."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    with os.fdopen(theirs, "w", encoding="utf-8") as opened:
        yield opened
    os.close(ours)


@pytest.mark.parametrize(
    ("environment", "colour"),
    [
        ({}, True),
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"CLICOLOR": "0"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_a_terminal_has_colours_unless_somebody_minds(
    stream: TextIO, environment: Mapping[str, str], colour: bool
) -> None:
    assert screen_of(stream, environment).colour is colour


@pytest.mark.parametrize(
    ("environment", "colour"),
    [
        ({"TERM": "xterm"}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"FORCE_COLOR": "0"}, False),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_a_pipe_has_none_unless_they_are_forced_and_never_a_size(environment: Mapping[str, str], colour: bool) -> None:
    assert screen_of(io.StringIO(), {"COLUMNS": "40", **environment}) == Screen(colour=colour)


def test_the_size_is_the_terminals_unless_the_environment_says_another(stream: TextIO) -> None:
    """watch(1) and its kin say how much of theirs they show."""
    told = [
        screen_of(stream, environment) for environment in ({}, {"COLUMNS": "60"}, {"COLUMNS": "wide", "LINES": "9"})
    ]
    assert [(one.columns, one.lines) for one in told] == [(100, 30), (60, 30), (100, 9)]


def test_one_that_tells_no_size_is_taken_for_the_usual_one(stream: TextIO) -> None:
    termios.tcsetwinsize(stream.fileno(), (0, 0))
    told = screen_of(stream, {})
    assert (told.columns, told.lines) == (80, 24)


def test_the_mark_is_one_that_the_terminal_can_write() -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert screen_of(latin, {}).mark == "~"
