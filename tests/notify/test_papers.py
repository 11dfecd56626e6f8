"""docs/NOTIFY.md is true: its words are those of the program, and its examples work as they stand."""

import re
import tomllib
from pathlib import Path

import pytest

from core.enums import News, Trouble
from core.state.alerts import Item, Key
from tests.host import ROOT
from tidegate.notify import command as errand
from tidegate.notify import message

PAPER = (ROOT / "docs" / "NOTIFY.md").read_text()


def test_every_trouble_stands_in_the_table() -> None:
    rows = re.search(r"\| `on` \| is \|\n\|---\|---\|\n((?:\|.*\n)+)", PAPER)
    assert rows is not None
    named = [word for row in rows[1].splitlines() for word in re.findall(r"`([a-z_]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(Trouble)


def examples() -> list[list[str]]:
    (snippet,) = re.findall(r"```toml\n\[notify\]\n(.*?)```", PAPER, re.DOTALL)
    return [tomllib.loads(line.removeprefix("# "))["command"] for line in snippet.splitlines()]


@pytest.mark.parametrize(("command", "program"), list(zip(examples(), ["mail", "curl"], strict=True)))
def test_each_example_hands_the_words_on_as_they_are(
    command: list[str], program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of VMs are anybody's: no shell may read them a second time."""
    script = f"printf '%s\\n' \"$@\" > {tmp_path}/words; cat > {tmp_path}/in"
    (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    items = [Item(Key(Trouble.STALE, name), News.NEW, 0.0, f"{name}: old") for name in ("$(id)", '"; id; "', "`id`")]
    given = message.environment("pass", items)
    assert errand.run(command, b"", given, 10.0).is_ok
    told = (tmp_path / "words").read_text() + (tmp_path / "in").read_text()
    assert given["TIDEGATE_SUBJECT"] in told
    assert given["TIDEGATE_MESSAGE"] in told
