"""What a command loads: dump scripts call ``mark`` once for each VM, and must not wait for a database to be loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host import ROOT, Host

HEAVY = {"sqlite3", "prometheus_client", "rich", "watchdog", "jinja2"}
#: What would each cost a plain `mark` a tenth of what it may take, or half of it.
NOT_LIGHT = {"click", "logging", "inspect", "dataclasses", "pathlib", "urllib", "uuid", "hashlib"}

#: Runs the command and then tells on stderr which modules stand loaded.
LOADED = """
import json, sys
from tidegate.cli.start import main
try:
    main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def loaded(*words: str) -> set[str]:
    """Top-level modules that stand loaded when the command has ended."""
    command = [sys.executable, "-c", LOADED, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "words",
    [["mark", "vm1"], ["mark", "vm1", "--failed", "--error", "no space left"], ["mark", "--help"], ["--help"]],
    ids=["done", "failed", "help", "list of commands"],
)
def test_a_marker_is_written_without_a_heavy_module(words: list[str], tmp_path: Path) -> None:
    """Neither SQLite nor prometheus_client nor rich is loaded: nor for the list of commands."""
    dump = Host(tmp_path).dump("vm1", 100, marked=False)
    assert loaded(*(str(dump) if word == "vm1" else word for word in words)) & HEAVY == set()


@pytest.mark.parametrize("words", [["vm1"], ["vm1", "--failed", "--error", "no space left"]], ids=["done", "failed"])
def test_a_marker_is_written_by_the_short_way(words: list[str], tmp_path: Path) -> None:
    """Not even the command line is loaded, nor what click, logging and dataclasses bring along."""
    dump = Host(tmp_path).dump("vm1", 100, marked=False)
    now = loaded("mark", *(str(dump) if word == "vm1" else word for word in words))
    assert now & (HEAVY | NOT_LIGHT) == set()
    assert loaded("mark", "--help") >= {"click", "logging", "inspect", "pathlib"}  # they would be seen


def test_what_loads_the_modules_would_be_seen(tmp_path: Path) -> None:
    """A pass loads SQLite: the look at the modules finds what is there."""
    host = Host(tmp_path)
    assert "sqlite3" in loaded("--config", str(host.file), "pass", "--json")
