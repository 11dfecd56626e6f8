"""Whatever is written, its line is known; whatever is wrong, it is a sentence and no crash."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import assume, given
from hypothesis import strategies as st

from core.config.load import load
from core.config.messages import ConfigError, Lines, Place

TEXT = '''\
top = 1
"quoted key" = """
[not.a.section]
not_a_key = 2
""" # five quotes end one as well: """""
[a]
b.c = 'x = 1'
b . d = [ # an array
  "e = 1", [1,
  2], { f = 1, g.h = 2 },
]

[[watch]]
path = "one"
[watch.more]
deep = 1
[[watch]]
path = \'\'\'
two\'\'\'
[watch.more]
deep = { x = 1,
  y = [{ z = 1.5 }] }
["quoted section".'sub']
k = 2026-11-22 03:00:00
last = true'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 1),
        (("quoted key",), 2),
        (("a",), 6),
        (("a", "b", "c"), 7),
        (("a", "b", "d"), 8),
        (("a", "b", "d", 0), 9),
        (("a", "b", "d", 2, "g", "h"), 10),
        (("watch",), 13),
        (("watch", 0), 13),
        (("watch", 0, "path"), 14),
        (("watch", 0, "more", "deep"), 16),
        (("watch", 1), 17),
        (("watch", 1, "path"), 18),
        (("watch", 1, "more", "deep", "x"), 21),
        (("watch", 1, "more", "deep", "y", 0, "z"), 22),
        (("quoted section", "sub", "k"), 24),
        (("quoted section", "sub", "last"), 25),
        (("a", "missing"), 6),
        (("watch", 1, "missing"), 17),
        (("nowhere", "at all"), None),
        (("not_a_key",), None),
        (("not",), None),
    ],
)
def test_every_key_has_its_line_and_a_missing_one_that_of_its_section(place: Place, line: int | None) -> None:
    """Sections, arrays, dotted and quoted keys, inline tables; nothing inside a text is taken for a key."""
    tomli.loads(TEXT)
    assert Lines(TEXT)[place] == line


def places(value: Any, place: Place = ()) -> list[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, each in inner for found in places(each, (*place, key)))]


VALUES = st.sampled_from(
    ["1", '"x"', '"]"', "'#'", '""""a"\n= """', "[]", "[1,\n[2]]", "{}", "{ a.b = 1, c = [{ d = 1 }] }", "1.5e3", "inf"]
)
KEYS = st.sampled_from(["a", "b", "a.b", '"c d"', "a.'e'", "watch", "limit.daily"])
STATEMENTS = st.one_of(
    st.builds("{} = {} # x = 1".format, KEYS, VALUES),
    st.builds("[{}]".format, KEYS),
    st.builds("[[{}]]".format, KEYS),
    st.sampled_from(["", "  # [comment]"]),
)


@given(st.lists(STATEMENTS, max_size=12))
def test_every_place_of_every_document_has_a_line_of_it(statements: list[str]) -> None:
    """The scan is right for whatever the reader of TOML takes."""
    text = "\n".join(statements)
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError:
        assume(False)
    lines = Lines(text)
    for place in places(document)[1:]:
        line = lines[place]
        assert line is not None
        assert 1 <= line <= text.count("\n") + 1


SECTIONS = (
    "[state] [[watch]] [watch] [limit] [day] [pass] [staleness] [offsite] [markers] [backup_sets] [limits] "
    "[backup_sets.weekly] [exporters] [exporters.http] [exporters.textfile] [exporters.htp]"
)
KEYS_OF_CONFIG = (
    "path name export layout vm_pattern recursive mode scan_interval daily reserve oversize ends at_least "
    "quiet at timezone target max_dump_age storage confirm remove vms listen vm_series beyond_loopback hosts watch "
    "limit backup_sets dayly"
)
VALUES_OF_CONFIG = r"""
"dumps" "." "" "\u0001" "\u0085" "\U0001F600" "../x" "/" "~" "10GB" "-1GB" "20h" "0s" "x" "read" "presumed" "at"
"mirror" "collect" "12:00" "UTC" "Europe" "../etc/passwd" "{vm}" "{" "{vm!r}" "{}" "(?P<vm>.)" "(" "a:1"
"[::1]:1" "[x]:1" ":1" true 1 -1 1.5 nan inf [] [1] ["a"] [[]] {} {a=1} [{}] [{path="x"}] 2026-11-22 12:00:00
"""
DOCUMENTS = st.dictionaries(
    st.sampled_from(SECTIONS.split()),
    st.dictionaries(st.sampled_from(KEYS_OF_CONFIG.split()), st.sampled_from(VALUES_OF_CONFIG.split()), max_size=6),
    max_size=8,
)


@given(DOCUMENTS)
def test_whatever_stands_in_the_file_it_loads_or_every_line_says_what_is_wrong(
    document: dict[str, dict[str, str]],
) -> None:
    """No value of any type brings the reader down, and every mistake has one line."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text("\n".join(_written(*section) for section in document.items()))
        errors: tuple[str, ...] = ()
        try:
            load(file, preflight=False)
        except ConfigError as error:
            errors = error.errors
        assert all(line.startswith(f"{file}:") and line.isprintable() for line in errors)


def _written(header: str, keys: dict[str, str]) -> str:
    return "\n".join([header, *(f"{key} = {value}" for key, value in keys.items())])
