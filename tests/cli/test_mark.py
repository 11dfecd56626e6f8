"""``mark`` understands plain words by itself: what it does with them is what click would have done."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.host import ROOT
from tidegate.cli.mark import mark
from tidegate.cli.marking import OPTIONS, understand

WORDS = st.lists(
    st.sampled_from([f"--{name}" for name in OPTIONS])
    | st.sampled_from(
        ["--exit-status=1", "--exit-status= 7", "--vm=", "--vm=a", "--failed=1", "--fail", "--", "-", "-x"]
    )
    | st.sampled_from(["vm1", "folder/vm1", "", "1", "a=b", "--", "-", "-x"])
    | st.text(st.characters(exclude_characters="\0"), max_size=3),  # no argument holds it
    max_size=6,
)


def by_click(words: list[str]) -> dict[str, Any] | None:
    """None: they are refused, or ask for help."""
    try:
        return mark.make_context("mark", list(words), resilient_parsing=False).params
    except (click.UsageError, click.exceptions.Exit):
        return None


@given(WORDS)
@example(["vm1"])
@example(["vm1", "--failed", "--error", "no space left", "--exit-status", "28"])
@example(["--vm", "db1", "--backup-set=weekly", "vm1"])
@example(["vm1", "--error", "--failed"])
def test_what_is_understood_is_what_click_understands(words: list[str]) -> None:
    """Whatever is not plain is left to it."""
    said = understand(words)
    assert said is None or said == by_click(words)


@pytest.mark.parametrize(
    "words",
    [
        ["vm1"],
        ["folder/vm1", "--running"],
        ["--failed", "--error", "no space left", "--exit-status", "28", "vm1"],
        ["vm1", "--vm", "db1", "--backup-set=weekly", "--started", "2026-11-22T03:00:00Z", "--sha256", "0" * 64],
    ],
    ids=["done", "running", "failed", "all that is said"],
)
def test_plain_words_are_understood(words: list[str]) -> None:
    """Without click."""
    assert understand(words) == by_click(words) is not None


def run(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """The real command, started as an admin or a script may start it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tidegate", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("before", [[], ["-v"], ["--log-format", "json"]], ids=["plain", "verbose", "json"])
def test_it_writes_the_same_marker_by_either_way(before: list[str], tmp_path: Path) -> None:
    """Options of the whole command line take the long way."""
    (tmp_path / "vm1").write_bytes(b"a dump")
    words = ["vm1", "--vm", "db1", "--exit-status", "0", "--finished", "2026-11-22T03:00:00Z"]
    ended = run(*before, "mark", *words, folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    told = {"format": 1, "vm": "db1", "exit_status": 0, "finished": "2026-11-22T03:00:00Z", "size": 6}
    assert json.loads((tmp_path / "vm1.done").read_text()) == told


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["gone"], 2, "tidegate: mark: gone: the marker's dump is not there; no marker was written\n"),
        (["vm1", "--failed", "--running"], 2, "tidegate: mark: --failed and --running exclude each other\n"),
        (["vm1", "--started", "now"], 2, "tidegate: mark: --started: 'now' is not a time with an offset"),
        (["vm1", "--vm", "../x"], 2, "tidegate: mark: --vm: '../x' is not a usable name\n"),
        (["vm1", "--sha256", "e3b0"], 2, "tidegate: mark: --sha256: 'e3b0' is not 64 hexadecimal digits\n"),
        (["vm1.done"], 2, "tidegate: mark: vm1.done is itself named as a marker; name the dump: vm1\n"),
        (["sub/.."], 2, "tidegate: mark: 'sub/..' is no name of a dump\n"),
        (["no/vm1"], 3, "tidegate: mark: no/vm1: the marker cannot be written: No such file or directory\n"),
        (["vm1", "--exit-status", "x"], 2, "Error: Invalid value for '--exit-status': 'x' is not a valid integer.\n"),
        (["vm1", "--vn", "db1"], 2, "Error: No such option '--vn'"),
        (["vm1", "vm2"], 2, "Error: Got unexpected extra argument (vm2)\n"),
        ([], 2, "Error: Missing argument 'DUMP'.\n"),
    ],
)
def test_a_mistake_is_told_as_by_every_command(words: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    """With its exit code, and once."""
    (tmp_path / "vm1").write_bytes(b"a dump")
    ended = run("mark", *words, folder=tmp_path)
    assert ended.returncode == code
    assert ended.stderr.count(sentence) == 1
    assert not [path.name for path in tmp_path.iterdir() if path.name != "vm1"]


def test_a_mistake_is_told_to_the_journal_in_its_manner(tmp_path: Path) -> None:
    """A dump script under systemd."""
    script = 'exec 2>"$0" && JOURNAL_STREAM=$(stat -Lc %d:%i "$0") exec "$@"'
    said = tmp_path / "journal"
    command = ["sh", "-c", script, str(said), sys.executable, "-m", "tidegate", "mark", str(tmp_path / "gone")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 2
    assert said.read_text().startswith("<3>mark: ")
