"""The manual page: all that the help tells, in a form that those who show it understand."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.host import ROOT
from tidegate.cli.main import EXIT_CODES, tidegate


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("man") / "tidegate.1"
    with made.open("w") as file:
        subprocess.run([sys.executable, ROOT / "bootstrap" / "manual.py"], stdout=file, check=True)
    return made


@pytest.fixture(scope="module")
def shown(page: Path) -> str:
    """As a reader gets it, in a very wide terminal and without its bold letters."""
    command = ["groff", "-man", "-Tutf8", "-rLL=1000n", "-P-c", "-P-b", "-P-u", str(page)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commands(group: click.Group, above: click.Context) -> Iterator[click.Context]:
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=above)
        yield context
        if isinstance(command, click.Group):
            yield from commands(command, context)


def words(text: str) -> str:
    """Without regard to where a line is broken, and how hyphens and quotes are drawn."""
    drawn = text.translate(str.maketrans("\u2010\u2212\u2019\u2018`", "--'''"))
    return " ".join(drawn.split())


def test_every_command_and_every_option_is_in_it_with_its_help(shown: str) -> None:
    told = words(shown)
    above = click.Context(tidegate, info_name="tidegate")
    found = [above, *commands(tidegate, above)]
    assert len(found) > 25
    for context in found:
        assert context.command_path in told
        paragraphs = (context.command.help or "").replace("\b\n", "").split("\n\n")
        assert all(words(paragraph).rstrip(".") in told for paragraph in paragraphs)
        for parameter in context.command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None and record[1] and "--help" not in parameter.opts:
                assert f"{words(record[0])} {words(record[1])}" in told


def test_exit_codes_are_in_it(shown: str) -> None:
    for code, told in EXIT_CODES.items():
        assert f" {int(code)} {words(told)} " in words(shown)


def test_those_who_show_it_find_nothing_wrong(page: Path) -> None:
    """The day on which it was made is left out, so that the same program makes the same page."""
    groff = subprocess.run(["groff", "-man", "-ww", "-z", str(page)], capture_output=True, text=True, check=True)
    assert groff.stderr == ""
    mandoc = subprocess.run(["mandoc", "-Tlint", str(page)], capture_output=True, text=True, check=False)
    assert [line for line in mandoc.stdout.splitlines() if "missing date" not in line] == []


def test_no_line_of_it_is_a_request_by_mistake(page: Path) -> None:
    requests = {line.split()[0] for line in page.read_text().splitlines() if re.match(r"[.']", line)}
    assert requests <= {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".BR", ".nf", ".fi"}
