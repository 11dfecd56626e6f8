"""The shipped alerting rules as they stand in their files, and Prometheus' own tool to try them with."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.host import ROOT
from tests.real_parts import needs_program

FOLDER = ROOT / "deploy" / "prometheus"
CORE = FOLDER / "core.rules.yml"
MORE = FOLDER / "more.rules.yml"
#: Where the pages are meant to lie, as every alert names it.
RUNBOOKS = "file:///usr/local/share/doc/tidegate/runbooks"
METRIC = re.compile(r"\btidegate_[a-z_]+")

_LABEL = re.compile(r'\{\{ (?:or )?\$labels\.(\w+)(?: "(\w+)")? \}\}')
_RULE = re.compile(r"^      - (alert|record): (\S+)$", re.MULTILINE)
_GROUP = re.compile(r"^  - name: (\S+)$", re.MULTILINE)
_FOLDED = re.compile(r"^( +)(\w+): >-\n((?:\1 +.*\n)+)", re.MULTILINE)
_KEY = re.compile(r"^ +(\w+): ?(.*)$", re.MULTILINE)


class Rule(NamedTuple):
    """One alert or recording rule: its keys whatever their depth, templates as they stand."""

    kind: str
    name: str
    keys: Mapping[str, str]


def groups(*files: Path) -> dict[str, list[Rule]]:
    """Group -> its rules, of these files."""
    found: dict[str, list[Rule]] = {}
    for file in files:
        _, *parts = _GROUP.split(file.read_text())
        found.update((name, _rules(text)) for name, text in zip(parts[::2], parts[1::2], strict=True))
    return found


def _rules(text: str) -> list[Rule]:
    _, *parts = _RULE.split(text)
    return [Rule(*one) for one in zip(parts[::3], parts[1::3], map(_keys, parts[2::3]), strict=True)]


def _keys(text: str) -> dict[str, str]:
    plain = _FOLDED.sub(lambda found: f"{found[1]}{found[2]}: {' '.join(found[3].split())}\n", text)
    return {key: json.loads(value) if value.startswith('"') else value for key, value in _KEY.findall(plain)}


def alerts(*files: Path) -> dict[str, Mapping[str, str]]:
    """Alert -> its keys, of these files or of all."""
    every = [rule for group in groups(*(files or (CORE, MORE))).values() for rule in group]
    return {rule.name: rule.keys for rule in every if rule.kind == "alert"}


def metrics(text: str) -> set[str]:
    """Names of families in a text."""
    histogram = r"^(tidegate_marker_record_seconds)_(count|bucket|sum)$"
    return {re.sub(histogram, r"\1", name) for name in METRIC.findall(text)}


def hurried(folder: Path) -> Path:
    """The shipped rules in a folder of their own, where each alert waits for a second before it fires."""
    folder.mkdir()
    for file in (CORE, MORE):
        text, waits = re.subn(r"^( +for: ).*$", r"\g<1>1s", file.read_text(), flags=re.MULTILINE)
        assert waits
        (folder / file.name).write_text(text)
    return folder


def snippet(file: str, page: Path = FOLDER / "README.md") -> str:
    """The configuration that a page shows for ``file``, as it stands there."""
    (found,) = re.findall(rf"`{re.escape(file)}`.*?```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return str(found)


def filled(text: str, labels: Mapping[str, str]) -> str:
    """``text`` with its labels in it, or what it says where there is none."""
    return _LABEL.sub(lambda found: labels.get(found[1], found[2] or ""), text)


def promtool(*words: str | Path) -> None:
    """Runs Prometheus' own tool, which has to find nothing to say."""
    needs_program("promtool")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
