"""A key is declared once; what is read of it is frozen, and a wrong one hides nothing else that is wrong."""

from pathlib import Path
from typing import Any

import pytest

from core.config import types
from core.config.messages import Messages, Place
from core.config.section import Reader, Section, json_schema, key, named_sections, optional_section, section, sections


class Inner(Section):
    size = key(types.size, "A size.", example="1 GB")
    flag = key(types.flag, "A flag.", default=False)


class Outer(Section):
    path = key(types.path, "A path.", example="x", in_folder=True)
    beside = key(types.path, "By default beside it.", default_of=lambda one: one["path"].with_name("y"), in_folder=True)
    word = key(types.text, "A word, renamed.", default="none", name="list")
    secret = key(types.text, "A secret.", default=None, is_secret=True)
    inner = section(Inner, "Always there.")
    maybe = optional_section(Inner, "There where it is written.")
    many = sections(Inner, "Several.", name="watch")
    named = named_sections(Inner, "By name.", name_of=types.name)


FOLDER = Path("/etc")
WHOLE: dict[str, Any] = {"path": "a/b", "inner": {"size": "1 kB"}, "watch": [{"size": "2 kB"}]}


def read(document: object) -> tuple[Outer, dict[Place, str]]:
    reader = Reader(FOLDER, Messages(Outer, document if isinstance(document, dict) else {}))
    return reader.read(Outer, document), {problem.place: problem.text for problem in reader.problems}


def test_what_is_not_written_has_its_default() -> None:
    """One of its own, one that follows from another key, none where there is no section."""
    found, problems = read(WHOLE)
    assert not problems
    assert (found.path, found.beside, found.word, found.maybe) == (Path("/etc/a/b"), Path("/etc/a/y"), "none", None)
    assert (found.inner.size, found.inner.flag, [one.size for one in found.many]) == (1000, False, [2000])
    assert found.named == {}
    assert found.given == {"path", "inner", "many"}


def test_every_mistake_is_found_and_what_is_right_stays() -> None:
    """What is wrong is None, and so is what would follow from it."""
    found, problems = read({"path": 7, "list": "x", "inner": {"flag": 1}, "maybe": 5, "named": {"a/b": {}}})
    assert problems.keys() == {
        ("path",),
        ("inner", "size"),
        ("inner", "flag"),
        ("maybe",),
        ("watch",),
        ("named", "a/b"),
        ("named", "a/b", "size"),
    }
    assert [found.values()[name] for name in ("path", "beside", "word")] == [None, None, "x"]
    assert found.wrong == {"path", "many"}
    assert found.inner.wrong == {"size", "flag"}
    assert found.many == ()


@pytest.mark.parametrize("document", [None, 7, "x", [], [{}]])
def test_what_is_no_section_is_one_mistake(document: object) -> None:
    found, problems = read(document)
    assert list(problems) == [()]
    assert found.inner.wrong == {"size", "flag"}


def test_a_misspelt_key_is_not_missing_as_well() -> None:
    found, problems = read(WHOLE | {"inner": {"sise": "1 kB"}})
    assert problems == {("inner", "sise"): "unknown key, did you mean `size`?"}
    assert found.inner.wrong == {"size"}


def test_a_misspelt_section_is_not_missing_as_well() -> None:
    found, problems = read({"path": "a", "iner": {"size": "1 kB"}, "watch": WHOLE["watch"]})
    assert problems == {("iner",): "unknown section, did you mean [inner]?"}
    assert found.inner.wrong == {"size", "flag"}


def test_it_is_frozen_and_one_that_differs_is_another() -> None:
    """And a name that it does not have is a mistake of the program."""
    found, _ = read(WHOLE)
    other = found.replace(word="more")
    assert (found.word, other.word) == ("none", "more")
    assert found != other == found.replace(word="more")
    assert hash(found.inner) == hash(Inner(size=1000))
    with pytest.raises(AttributeError, match="Outer is frozen"):
        found.word = "x"
    with pytest.raises(TypeError, match="Outer has no words"):
        found.replace(words="x")


def test_a_secret_is_not_shown() -> None:
    found, _ = read(WHOLE | {"secret": "hidden"})
    assert found.secret == "hidden"
    assert "hidden" not in repr(found)


def test_the_json_schema_has_what_may_and_what_must_be_written() -> None:
    schema = json_schema(Outer)
    assert schema["required"] == ["path", "inner", "watch"]
    assert schema["properties"]["list"] == {"type": "string", "description": "A word, renamed."}
    assert schema["properties"]["maybe"]["required"] == ["size"]
    assert schema["properties"]["named"]["additionalProperties"]["properties"]["flag"]["type"] == "boolean"
