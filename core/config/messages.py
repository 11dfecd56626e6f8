"""From what pydantic reports to sentences for the admin: what is wrong, and what would be right."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from core.config import tables
from core.config.errors import Place, Problem
from core.config.types import did_you_mean
from core.filenames import printable

#: Sections that hold sections with names of the admin's.
_OF_NAMES = {names[:1] for names in tables.SECTIONS if names[1:] == ("*",)}
#: What pydantic calls a section that is something else.
_NO_SECTION = frozenset({"model_type", "dict_type"})


def problems(error: ValidationError) -> list[Problem]:
    """One problem for each mistake. A key that is only misspelt is not told a second time as missing."""
    details = [(_place(detail), detail) for detail in error.errors(include_url=False, include_input=True)]
    meant = tuple(_meant(place) for place, detail in details if detail["type"] == "extra_forbidden")
    return [
        Problem(place, _sentence(place, detail))
        for place, detail in details
        if not (detail["type"] == "missing" and any(near and place[: len(near)] == near for near in meant))
    ]


def label(place: Place, document: Mapping[str, Any]) -> str:
    """How a place is called: ``[limit] daily``, ``[[watch]] path``, ``[exporters.http]``."""
    names = tuple(printable(str(part)) for part in place if not isinstance(part, int))
    if _is_section(place, document):
        return _bracketed(names)
    return f"{_bracketed(names[:-1])} {names[-1]}".lstrip()


def _is_section(place: Place, document: Mapping[str, Any]) -> bool:
    if _pattern(place) in tables.SECTIONS or place[-1] in _keys(place[:-1]):
        return _pattern(place) in {*tables.SECTIONS, *_OF_NAMES}
    value: Any = document
    for part in place:
        value = value[part]
    return _looks_like_a_section(value)


def _looks_like_a_section(value: object) -> bool:
    """What stands in brackets: ``[[…]]`` reads as a list of sections."""
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _bracketed(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return "[[watch]]" if names == ("watch",) else f"[{'.'.join(names)}]"


def _place(detail: ErrorDetails) -> Place:
    return tuple(part for part in detail["loc"] if part != "[key]")


def _pattern(place: Place) -> tuple[str, ...]:
    """The key of ``place`` in SECTIONS, if it is there."""
    names = tuple(part for part in place if isinstance(part, str))
    return (names[0], "*") if len(names) == 2 and (names[0],) in _OF_NAMES else names


def _sentence(place: Place, detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "extra_forbidden":
        return _unknown(place, is_section=_looks_like_a_section(detail["input"]))
    if kind in {"missing", "too_short"}:
        return f"missing; {_description(place)}"
    if kind in _NO_SECTION:
        return "must be a section; write its name in brackets on a line of its own and its keys below"
    if kind == "list_type" and place == ("watch",):
        return "write [[watch]] with two brackets on each side: there may be more than one"
    raise AssertionError(f"no sentence for {kind}")  # a bug: a kind of error that the tables cannot give


def _description(place: Place) -> str:
    fields = tables.SECTIONS[_pattern(place[:-1])].model_fields
    return str(fields[str(place[-1])].description)


def _keys(section: Place) -> list[str]:
    fields = tables.SECTIONS[_pattern(section)].model_fields
    return [field.alias or name for name, field in fields.items()]


def _meant(place: Place) -> Place | None:
    """The known place that an unknown one stands for, if one is near."""
    for key in _keys(place[:-1]):
        if did_you_mean(str(place[-1]), _keys(place[:-1])) == did_you_mean(key, [key]):
            return (*place[:-1], key)
    return None


def _unknown(place: Place, *, is_section: bool) -> str:
    kind = "section" if is_section else "key"
    homes = [_bracketed(at) for at, table in tables.SECTIONS.items() if at and place[-1] in table.model_fields]
    if homes and not is_section:
        return f"unknown key; it belongs in {' or '.join(homes)}"
    if (near := _meant(place)) is not None:
        return f"unknown {kind}, did you mean {_called(near)}?"
    return f"unknown {kind}; known here: {', '.join(_called((*place[:-1], key)) for key in _keys(place[:-1]))}"


def _called(place: Place) -> str:
    """A known place, as it is called in a sentence about another one of its section."""
    names = tuple(part for part in place if isinstance(part, str))
    is_section = names in {*tables.SECTIONS, *_OF_NAMES}
    return _bracketed(names) if is_section else f"`{names[-1]}`"
