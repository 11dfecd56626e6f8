"""What is wrong with a configuration, as lines for the admin: file, line, key, what is wrong and what would be right.

config.toml:12: [limit] dayly: unknown key, did you mean `daily`?
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import UsageError
from core.filenames import printable

if TYPE_CHECKING:
    from core.config.section import Key, Section


#: Where something stands in the document: keys, and indices where a section may stand several times.
Place = tuple[str | int, ...]
#: A section by its names; ``*`` is a name that the admin chooses.
_Path = tuple[str, ...]

NO_WATCH = 'missing. Write at least one dump folder: [[watch]], and below it path = "var/dumps"'
NO_SECTION = "must be a section; write its name in brackets on a line of its own and its keys below"
ONE_OF_SEVERAL = "write [[watch]] with two brackets on each side: there may be more than one"

#: What a TOML text consists of.
_SYNTAX = r"""
  (?P<string> \"\"\"(?:\\[\s\S]|[^\\])*?\"{3,5} | '''[\s\S]*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
| (?P<skip>   [^\S\n]+ | \#[^\n]* )
| (?P<mark>   [\[\]{},=.\n] )
| (?P<bare>   [^\s\[\]{},=."'\#]+ )
"""


class Problem(NamedTuple):
    """One mistake: where it is, and what is wrong with what would be right.

    ``may_pass``: it is no mistake of the file if what it names comes back, as a disk does that is plugged in later.
    """

    place: Place
    text: str
    may_pass: bool = False


class ConfigError(UsageError):
    """Everything that is wrong with one configuration file. ``errors`` has one line for each mistake."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def choice(words: Iterable[str]) -> str:
    """``"a", "b" or "c"``."""
    *rest, last = (f'"{word}"' for word in words)
    return f"{', '.join(rest)} or {last}" if rest else last


def did_you_mean(word: str, known: Iterable[str], form: str = "`{}`") -> str:
    """``, did you mean `daily`?`` where one of ``known`` is near, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {form.format(near[0])}?" if near else ""


def missing(key: "Key") -> str:
    """What the key is, and an example of it."""
    return f"missing. {key.about} Write it like {key.name} = {json.dumps(key.example)}"


def near_key(kind: "type[Section]", name: str) -> str | None:
    """The key that an unknown one means, if one is near."""
    names = list(kind.keys)
    return next((key for key in names if did_you_mean(name, names) == did_you_mean(key, [key])), None)


class Messages:
    """Sentences about a document that is read as ``root``."""

    def __init__(self, root: "type[Section]", document: Mapping[str, Any]) -> None:
        self._root = root
        self._document = document

    @cached_property
    def _sections(self) -> "dict[_Path, type[Section]]":
        return dict(sections_of(self._root))

    @cached_property
    def _of_names(self) -> set[_Path]:
        """Sections that have sections with names of the admin's."""
        return {names[:1] for names in self._sections if names[1:] == ("*",)}

    def lines(self, file: Path, text: str, problems: Iterable[Problem]) -> Iterator[str]:
        """In the order of the file; what belongs to no line comes last."""
        lines = Lines(text)
        for problem in sorted(problems, key=lambda problem: lines[problem.place] or math.inf):
            line = lines[problem.place]
            where = f"{file}:{line}" if line else f"{file}"
            yield f"{where}: {self._label(problem.place)}: {problem.text}"

    def unknown(self, place: Place, value: object) -> str:
        """A key that its section does not have, or a section that there is not."""
        is_section = _looks_like_a_section(value)
        kind = "section" if is_section else "key"
        homes = [_bracketed(at) for at, section in self._sections.items() if at and place[-1] in section.keys]
        if homes and not is_section:
            return f"unknown key; it belongs in {' or '.join(homes)}"
        section = self._sections[self._pattern(place[:-1])]
        if (near := near_key(section, str(place[-1]))) is not None:
            return f"unknown {kind}, did you mean {self._called((*place[:-1], near))}?"
        return f"unknown {kind}; known here: {', '.join(self._called((*place[:-1], key)) for key in section.keys)}"

    def _label(self, place: Place) -> str:
        """How a place is called: ``[limit] daily``, ``[[watch]] path``, ``[exporters.http]``."""
        names = tuple(printable(str(part)) for part in place if not isinstance(part, int))
        if self._is_section(place):
            return _bracketed(names)
        return f"{_bracketed(names[:-1])} {names[-1]}".lstrip()

    def _is_section(self, place: Place) -> bool:
        pattern = self._pattern(place)
        if pattern in self._sections or place[-1] in self._sections[self._pattern(place[:-1])].keys:
            return pattern in {*self._sections, *self._of_names}
        value: Any = self._document
        for part in place:
            value = value[part]
        return _looks_like_a_section(value)

    def _pattern(self, place: Place) -> _Path:
        """The key of ``place`` among the sections, if it is there."""
        names = tuple(part for part in place if isinstance(part, str))
        return (names[0], "*") if len(names) == 2 and (names[0],) in self._of_names else names

    def _called(self, place: Place) -> str:
        """A known place, as it is called in a sentence about another one of its section."""
        names = tuple(part for part in place if isinstance(part, str))
        is_section = names in {*self._sections, *self._of_names}
        return _bracketed(names) if is_section else f"`{names[-1]}`"


def sections_of(kind: "type[Section]", at: _Path = ()) -> "Iterator[tuple[_Path, type[Section]]]":
    """Every section of the file and how it is read."""
    yield at, kind
    for key in kind.keys.values():
        if key.kind is not None:
            yield from sections_of(key.kind, (*at, key.name, *(() if key.name_of is None else ("*",))))


def _looks_like_a_section(value: object) -> bool:
    """What stands in brackets: ``[[…]]`` reads as a list of sections."""
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _bracketed(names: _Path) -> str:
    if not names:
        return ""
    return "[[watch]]" if names == ("watch",) else f"[{'.'.join(names)}]"


class _Token(NamedTuple):
    text: str
    line: int


class Lines:
    """On which line of a TOML text each key is: ``lines[("limit", "daily")]`` is 12.

    A reader of TOML forgets the lines. This one goes once over the tokens of a text that is known to be good TOML and
    keeps nothing but the lines: sections, ``[[arrays]]``, dotted and quoted keys, inline tables.
    """

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
    for match in re.finditer(_SYNTAX, text, re.VERBOSE):
        if match.lastgroup != "skip":
            yield _Token(match[0], line)
        line += match[0].count("\n")


def _unquoted(key: str) -> str:
    """A key without its quotes. Escapes stay: they only cost the line of a key that nobody writes so."""
    return key[1:-1] if key[0] in "\"'" else key
