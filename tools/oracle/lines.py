"""The JSON lines of a recording. Keys are sorted, so that the same passes are always the same bytes.

A line holds what has changed since the line before: of a mapping the entries that are new or different, and under
``gone`` the names that are missing now. What is no mapping (lists, the time) stands in each line as it is.
So the three recordings take less than 4 MB together, uncompressed.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tools.oracle.passes import Pass


def write(file: Path, passes: Iterable[Pass]) -> None:
    """Writes a recording."""
    lines = (json.dumps(line, sort_keys=True, separators=(",", ":")) for line in _coded(passes))
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(file: Path) -> list[Pass]:
    """Reads a recording; each pass is whole again."""
    return list(_decoded(map(json.loads, file.read_text(encoding="utf-8").splitlines())))


def _coded(passes: Iterable[Pass]) -> Iterator[dict[str, Any]]:
    before: Pass = {}
    for number, one in enumerate(passes, 1):
        line: dict[str, Any] = {"pass": number}
        gone = {}
        for section, now in one.items():
            if not isinstance(now, dict):
                line[section] = now
                continue
            old = before.get(section, {})
            if changed := {name: value for name, value in now.items() if name not in old or old[name] != value}:
                line[section] = changed
            if missing := sorted(old.keys() - now.keys()):
                gone[section] = missing
        yield {**line, "gone": gone} if gone else line
        before = one


def _decoded(lines: Iterable[dict[str, Any]]) -> Iterator[Pass]:
    before: dict[str, Any] = {}
    for line in lines:
        gone = line.get("gone", {})
        now: dict[str, Any] = {}
        for section in before.keys() | line.keys() - {"pass", "gone"}:
            given, old = line.get(section, {}), before.get(section, {})
            if not isinstance(given, dict):
                now[section] = given
                continue
            now[section] = {**old, **given}
            for name in gone.get(section, ()):
                del now[section][name]
        yield now
        before = now
