"""What differs between two recordings of the same name, pass by pass, and how it is shown."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tools.oracle import lines
from tools.oracle.accepted import ACCEPTED, Accepted, Difference
from tools.oracle.passes import Pass

_SHOWN = 20


def between(recording: str, expected: Path, got: Path, accepted: Sequence[Accepted] = ACCEPTED) -> list[Difference]:
    """All differences that were not asked for, in order."""
    nothing: Pass = {}
    pairs = zip_longest(lines.read(expected), lines.read(got), fillvalue=nothing)
    found = (one for number, pair in enumerate(pairs, 1) for one in _of_pass(recording, number, *pair))
    return [one for one in found if not any(entry.holds(one) for entry in accepted)]


def shown(differences: Sequence[Difference]) -> str:
    """For people: the first difference, how many there are of each section, and the others of the first pass."""
    if not differences:
        return "no difference"
    first = differences[0]
    passes = len({one.number for one in differences})
    sections = Counter(one.section for one in differences)
    counted = ", ".join(f"{count} in {section}" for section, count in sections.most_common())
    same = [one for one in differences[1:] if one.number == first.number]
    return "\n".join(
        [
            f"{first.recording}: {len(differences)} differences in {passes} passes ({counted})",
            f"first, in pass {first.number} ({first.at}):",
            *(_line(one) for one in [first, *same[:_SHOWN]]),
            *([f"  and {len(same) - _SHOWN} more in this pass"] if len(same) > _SHOWN else []),
        ]
    )


def _line(one: Difference) -> str:
    what = f"{one.section}[{one.name}]" if one.name else one.section
    return f"  {what}: expected {_value(one.expected)}, got {_value(one.got)}"


def _value(one: Any) -> str:
    return "nothing" if one is None else repr(one)


def _of_pass(recording: str, number: int, expected: Pass, got: Pass) -> Iterator[Difference]:
    at = str(expected.get("at") or got.get("at"))
    for section in sorted(expected.keys() | got.keys()):
        for name, old, new in _of_section(expected.get(section), got.get(section)):
            yield Difference(recording, number, at, section, name, old, new)


def _of_section(expected: Any, got: Any) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(expected, dict) and isinstance(got, dict):
        names = sorted(expected.keys() | got.keys())
        return ((name, expected.get(name), got.get(name)) for name in names if expected.get(name) != got.get(name))
    if isinstance(expected, list) and isinstance(got, list):
        return _of_list(expected, got)
    return [("", expected, got)] if expected != got else []


def _of_list(expected: list[Any], got: list[Any]) -> Iterable[tuple[str, Any, Any]]:
    """The first place from which two lists differ: all that follows is moved by it."""
    pairs = enumerate(zip_longest(expected, got))
    return [(f"place {place}", old, new) for place, (old, new) in pairs if old != new][:1]
