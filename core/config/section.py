"""How a section of the file is declared and read. Each key is declared once: how it is read, its default, what it is.

    class Limit(Section):
        daily = key(types.size_above_zero, "How much one sync may find.", example="10 GB")
        reserve = key(types.size, "Part of it that is kept free.", default=0)

pydantic did this before. One model of one key takes 107 ms of CPU and 17 MB over bare Python, which is 13 times what
Python takes to start and end and more than a whole command is meant to take; all of this takes 45 ms with what it
imports, and every command imports most of that anyway. Nearly every key had a function of ours as its validator.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

from core.config.messages import NO_SECTION, NO_WATCH, ONE_OF_SEVERAL, Messages, Place, Problem, missing, near_key
from core.config.types import JSON_SCHEMAS, TEXT

_T = TypeVar("_T")
_D = TypeVar("_D")
_S = TypeVar("_S", bound="Section")

#: In place of the default of a key that must be there.
_NO_DEFAULT: Any = object()


class Key:
    """One key of a section, or the sections of one name below it.

    ``about``: a sentence of what it is. ``name``: as the file has it; ``attribute``: as the section has it.
    ``default_of`` makes the default of the attributes above; it raises KeyError where one of them is wrong.
    ``in_folder``: ``read`` is given the folder of the file too, where relative paths start.
    ``kind``: how a section below is read, ``is_list`` of several, ``name_of`` of one for each name of the admin's.
    """

    def __init__(
        self,
        about: str,
        *,
        read: Callable[..., object] = lambda value: value,
        name: str | None = None,
        default: object = _NO_DEFAULT,
        default_of: Callable[[Mapping[str, Any]], object] | None = None,
        example: str | None = None,
        in_folder: bool = False,
        is_secret: bool = False,
        kind: "type[Section] | None" = None,
        is_list: bool = False,
        name_of: Callable[[object], str] | None = None,
    ) -> None:
        self.about, self.read, self.name, self.attribute = about, read, name or "", ""
        self.default, self.default_of, self.example = default, default_of, example
        self.in_folder, self.is_secret = in_folder, is_secret
        self.kind, self.is_list, self.name_of = kind, is_list, name_of

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = self.name or attribute

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is _NO_DEFAULT and self.default_of is None

    @property
    def stand_in(self) -> object:
        """The value where it is wrong: None, or sections as they are without any key."""
        if self.kind is None:
            return None
        if self.is_list or self.name_of is not None:
            return () if self.is_list else {}
        return all_wrong(self.kind) if self.is_required else None


# To a type checker a declaration is the value that instances have.


def key(
    read: Callable[..., _T],
    about: str,
    *,
    default: _D = _NO_DEFAULT,
    default_of: Callable[[Mapping[str, Any]], _D] | None = None,
    name: str | None = None,
    example: str | None = None,
    in_folder: bool = False,
    is_secret: bool = False,
) -> _T | _D:
    """Declares a key. ``read`` makes a value of what is written, or raises ValueError with a sentence."""
    more: dict[str, Any] = {"name": name, "example": example, "in_folder": in_folder, "is_secret": is_secret}
    return cast("_T | _D", Key(about, read=read, default=default, default_of=default_of, **more))


def section(kind: type[_S], about: str, *, name: str | None = None) -> _S:
    """Declares a section that is always there: where it is not written, its keys have their defaults."""
    return cast("_S", Key(about, name=name, kind=kind))


def optional_section(kind: type[_S], about: str, *, name: str | None = None) -> _S | None:
    """Declares a section that is None where it is not written."""
    return cast("_S | None", Key(about, name=name, kind=kind, default=None))


def sections(kind: type[_S], about: str, *, name: str) -> tuple[_S, ...]:
    """Declares ``[[name]]``, at least one."""
    return cast("tuple[_S, ...]", Key(about, name=name, kind=kind, is_list=True))


def named_sections(kind: type[_S], about: str, *, name_of: Callable[[object], str]) -> dict[str, _S]:
    """Declares sections with names of the admin's, which ``name_of`` reads."""
    return cast("dict[str, _S]", Key(about, kind=kind, name_of=name_of, default={}))


class Section:
    """One section, frozen. ``given``: attributes that were written; ``wrong``: those whose value is wrong or missing.

    One with wrong attributes is only seen by ``core.config.rules``, which looks for further mistakes in the others.
    """

    keys: ClassVar[dict[str, Key]] = {}
    given: frozenset[str]
    wrong: frozenset[str]

    def __init_subclass__(cls) -> None:
        own = {each.name: each for each in vars(cls).values() if isinstance(each, Key)}
        cls.keys = cls.keys | own

    def __init__(self, wrong: frozenset[str] = frozenset(), **given: Any) -> None:
        """Attributes that are not given have their defaults, those that are wrong their stand-ins."""
        self._see_that_there_are(given)
        right: dict[str, Any] = {}
        for each in self.keys.values():
            if each.attribute in given:
                right[each.attribute] = given[each.attribute]
            elif each.attribute not in wrong:
                # KeyError: it follows from one that is wrong.
                with suppress(KeyError):
                    right[each.attribute] = each.default if each.default_of is None else each.default_of(right)
        values = {each.attribute: right.get(each.attribute, each.stand_in) for each in self.keys.values()}
        self.__dict__.update(values, given=frozenset(given), wrong=wrong)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values() == other.values()

    def __hash__(self) -> int:
        return hash((type(self), *self.values().values()))

    def __repr__(self) -> str:
        values = self.values()
        shown = (f"{one.attribute}={values[one.attribute]!r}" for one in self.keys.values() if not one.is_secret)
        return f"{type(self).__name__}({', '.join(shown)})"

    def values(self) -> dict[str, Any]:
        """Attribute -> value."""
        return {name: value for name, value in vars(self).items() if name not in ("given", "wrong")}

    def replace(self, **changes: Any) -> Self:
        """The same with other values."""
        self._see_that_there_are(changes)
        copy = object.__new__(type(self))
        copy.__dict__.update(vars(self), **changes)
        return copy

    def _see_that_there_are(self, attributes: Iterable[str]) -> None:
        if unknown := [name for name in attributes if not hasattr(type(self), name)]:
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")


def all_wrong(kind: type[_S]) -> _S:
    """A section of which no key can be used."""
    return kind(wrong=frozenset(each.attribute for each in kind.keys.values()))


class Reader:
    """Reads sections, and keeps every mistake."""

    def __init__(self, folder: Path, messages: Messages) -> None:
        self._folder = folder
        self._messages = messages
        self.problems: list[Problem] = []

    def read(self, kind: type[_S], table: object, place: Place = ()) -> _S:
        """A section, right or wrong. A key that is only misspelt is not reported a second time as missing."""
        if not isinstance(table, dict):
            self._report(place, NO_SECTION)
            return all_wrong(kind)
        values: dict[str, Any] = {}
        wrong = {kind.keys[name].attribute for name in self._unknown(kind, table, place)}
        for each in kind.keys.values():
            at = (*place, each.name)
            try:
                if each.name in table:
                    values[each.attribute] = self._value(each, table[each.name], at)
                elif each.is_required and each.attribute not in wrong:
                    values[each.attribute] = self._missing(each, at)
            except ValueError as error:
                self._report(at, str(error))
                wrong.add(each.attribute)
        return kind(frozenset(wrong - values.keys()), **values)

    def _value(self, key: Key, written: object, place: Place) -> object:
        if key.kind is None:
            return key.read(written, self._folder) if key.in_folder else key.read(written)
        if key.is_list:
            return self._list(key.kind, written, place)
        if key.name_of is None:
            return self.read(key.kind, written, place)
        return self._named(key.kind, key.name_of, written, place)

    def _list(self, kind: type[Section], written: object, place: Place) -> tuple[Section, ...]:
        if not isinstance(written, list):
            raise ValueError(ONE_OF_SEVERAL)  # noqa: TRY004
        if not written:
            raise ValueError(NO_WATCH)
        return tuple(self.read(kind, each, (*place, index)) for index, each in enumerate(written))

    def _named(
        self, kind: type[Section], name_of: Callable[[object], str], written: object, place: Place
    ) -> dict[str, Section]:
        if not isinstance(written, dict):
            raise ValueError(NO_SECTION)  # noqa: TRY004
        found = {}
        for name, table in written.items():
            try:
                name_of(name)
            except ValueError as error:
                self._report((*place, name), str(error))
            found[name] = self.read(kind, table, (*place, name))
        return found

    def _missing(self, key: Key, place: Place) -> object:
        """A section that is not there misses the same keys as an empty one, and the keys are what is reported."""
        if key.kind is not None and not key.is_list:
            return self.read(key.kind, {}, place)
        raise ValueError(NO_WATCH if key.is_list else missing(key))

    def _unknown(self, kind: type[Section], table: Mapping[str, Any], place: Place) -> Iterator[str]:
        """Reports the keys that the section does not have; the known ones that they mean."""
        for name in [name for name in table if name not in kind.keys]:
            self._report((*place, name), self._messages.unknown((*place, name), table[name]))
            if (near := near_key(kind, name)) is not None:
                yield near

    def _report(self, place: Place, text: str) -> None:
        self.problems.append(Problem(place, text))


def json_schema(kind: type[Section]) -> dict[str, Any]:
    """What may be written in a section and those below it, for editors that check TOML with such a schema."""
    properties = {each.name: {"description": each.about, **_schema_of(each)} for each in kind.keys.values()}
    needed = [name for name, each in kind.keys.items() if _needs(each)]
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": needed} if needed else {})


def _needs(key: Key) -> bool:
    """Whether it must be written: a section whose keys all have defaults may be left out."""
    if key.kind is None or key.is_list:
        return key.is_required
    return key.is_required and any(map(_needs, key.kind.keys.values()))


def _schema_of(key: Key) -> Mapping[str, Any]:
    if key.kind is None:
        example = {} if key.example is None else {"examples": [key.example]}
        return {**JSON_SCHEMAS.get(key.read, TEXT), **example}
    inner = json_schema(key.kind)
    if key.is_list:
        return {"type": "array", "items": inner, "minItems": 1}
    return inner if key.name_of is None else {"type": "object", "additionalProperties": inner}
