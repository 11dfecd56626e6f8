"""What stdout is: a terminal of so many cells and lines, or a pipe; and whether colours are wanted there."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_ANSI = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "red bold": "1;31", "yellow bold": "1;33"}
_ANSI["green bold"] = "1;32"
#: Of a terminal that does not tell its size, as the serial line of a host.
_USUAL = (80, 24)


@dataclass(frozen=True, slots=True)
class Screen:
    """``columns`` and ``lines`` in cells; None of a pipe, which has no size: nothing is ever cut there.

    ``mark`` stands where something was cut.
    """

    columns: int | None = None
    lines: int | None = None
    colour: bool = False
    mark: str = "…"

    def styled(self, text: str, style: str) -> str:
        """``text`` in that style, where colours are wanted; '' is no style."""
        return f"\x1b[{_ANSI[style]}m{text}\x1b[0m" if self.colour and style and text else text


def of_stdout() -> Screen:
    """Asked anew each time: a terminal may be resized, and tests put another stdout in place."""
    return of(sys.stdout, os.environ)


def of(stream: TextIO, environment: Mapping[str, str]) -> Screen:
    """What ``stream`` is under this environment."""
    is_terminal = stream.isatty()
    mark = "…" if _can_write(stream, "…") else "~"
    if not is_terminal:
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
    """COLUMNS and LINES are stronger than the terminal: watch(1) and its kin say them for what they show."""
    try:
        told = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        told = os.terminal_size((0, 0))
    given = (environment.get("COLUMNS", ""), environment.get("LINES", ""))
    columns, lines = (
        (int(said) if said.isdecimal() else 0) or size or usual
        for said, size, usual in zip(given, told, _USUAL, strict=True)
    )
    return columns, lines


def _can_write(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
