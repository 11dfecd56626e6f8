"""On which line of a TOML text each key stands.

A reader of TOML forgets the lines. This one goes once over the tokens of a text that is known to be
good TOML and keeps nothing but the lines: sections, ``[[arrays]]``, dotted and quoted keys, inline tables.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.config.errors import Place

_TOKEN = re.compile(
    r"""
      (?P<string> \"\"\"(?:\\[\s\S]|[^\\])*?\"{3,5} | '''[\s\S]*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
    | (?P<skip>   [^\S\n]+ | \#[^\n]* )
    | (?P<mark>   [\[\]{},=.\n] )
    | (?P<bare>   [^\s\[\]{},=."'\#]+ )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    line: int


class Lines:
    """The lines of one document: ``lines[("limit", "daily")]`` is 12."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Place, int] = {}
        self._arrays: dict[Place, int] = {}
        self._tokens = [*_tokens(text), _Token("\n", 0)]
        self._next = 0
        while self._next < len(self._tokens):
            self._statements()

    def __getitem__(self, place: Place) -> int | None:
        """The line of ``place``, else of the nearest section around it; None where that is not there."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place)

    def _peek(self) -> str:
        return self._tokens[self._next].text

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _statements(self) -> None:
        """One section: its header, if it has one, and its keys."""
        section: Place = ()
        if self._peek() == "[":
            section = self._header()
        while self._next < len(self._tokens) and self._peek() != "[":
            if self._peek() == "\n":
                self._take()
            else:
                self._pair(section)

    def _header(self) -> Place:
        line = self._take().line
        several = self._peek() == "["
        if several:
            self._take()
        section = self._inside_arrays(self._key("]"))
        self._take()
        if several:
            self._take()
            self._arrays[section] = self._arrays.get(section, -1) + 1
            self._note(section, line)
            section = (*section, self._arrays[section])
        for end in range(1, len(section)):
            self._note(section[:end], line)
        self._lines[section] = line  # also where a header of something inside it came first
        return section

    def _key(self, end: str) -> Place:
        """The parts of a dotted key, up to ``end``, which is left in place."""
        parts: list[str | int] = []
        while self._peek() != end:
            token = self._take()
            if token.text != ".":
                parts.append(_unquoted(token.text))
        return tuple(parts)

    def _inside_arrays(self, key: Place) -> Place:
        """``[watch.x]`` after a second ``[[watch]]`` belongs to that second one."""
        place: Place = ()
        for position, part in enumerate(key):
            place = (*place, part)
            if place in self._arrays and position < len(key) - 1:
                place = (*place, self._arrays[place])
        return place

    def _pair(self, section: Place) -> None:
        line = self._tokens[self._next].line
        place = section
        for part in self._key("="):
            place = (*place, part)
            self._note(place, line)
        self._take()
        self._value(place)

    def _value(self, place: Place) -> None:
        if self._peek() == "{":
            self._inside("}", place)
        elif self._peek() == "[":
            self._inside("]", place)
        else:
            while self._peek() not in {",", "]", "}", "\n"}:
                self._take()

    def _inside(self, end: str, place: Place) -> None:
        """An inline table or an array, with whatever it holds."""
        self._take()
        index = 0
        while self._peek() != end:
            if self._peek() in {",", "\n"}:
                self._take()
            elif end == "}":
                self._pair(place)
            else:
                self._note((*place, index), self._tokens[self._next].line)
                self._value((*place, index))
                index += 1
        self._take()

    def _note(self, place: Place, line: int) -> None:
        self._lines.setdefault(place, line)


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "skip":
            yield _Token(match[0], line)
        line += match[0].count("\n")


def _unquoted(key: str) -> str:
    """A key without its quotes. Escapes stay: they only cost the line of a key that nobody writes so."""
    return key[1:-1] if key[0] in "\"'" else key
