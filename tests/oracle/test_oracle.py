"""The program does in each pass what it did before the rebuild, but for what was asked for.

All three recordings are made anew, in full: two months of 200 VMs, forty days of sixty VMs, ten days of the demo.
"""

from pathlib import Path

import pytest

from tools.oracle import differences, lines, recordings
from tools.oracle.accepted import Accepted

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", recordings.RECORDINGS)
def test_each_pass_does_what_was_recorded(name: str, tmp_path: Path) -> None:
    """A difference that was asked for goes into ``tools.oracle.accepted``, a new word into ``tools.oracle.terms``."""
    got = recordings.record(name, tmp_path)
    found = differences.between(name, recordings.file_of(recordings.RECORDED, name), got)
    assert not found, differences.shown(found)


PASSES = [
    {"at": "first", "released": ["a", "b"], "tree": {"a": 1, "b": 2}},
    {"at": "second", "released": [], "tree": {"b": 3}},
    {"at": "third", "released": ["b", "a"], "tree": {}},
]


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines.write(tmp_path / "one", PASSES)
    assert lines.read(tmp_path / "one") == PASSES


def test_a_difference_names_the_pass_and_both_values_and_can_be_accepted(tmp_path: Path) -> None:
    lines.write(tmp_path / "one", PASSES)
    lines.write(tmp_path / "other", [PASSES[0], {"at": "second", "released": ["a"], "tree": {"b": 4}}])
    found = differences.between("life", tmp_path / "one", tmp_path / "other")
    assert [(one.number, one.section, one.name, one.expected, one.got) for one in found[:2]] == [
        (2, "released", "place 0", None, "a"),
        (2, "tree", "b", 3, 4),
    ]
    assert "in pass 2 (second):\n  released[place 0]: expected nothing, got 'a'\n" in differences.shown(found)
    assert {one.number for one in found} == {2, 3}
    asked = [Accepted(lambda one: one.number > 1, "a test")]
    assert differences.between("life", tmp_path / "one", tmp_path / "other", asked) == []
