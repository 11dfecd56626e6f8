"""The pages that the alerts point to: one each, and nothing in them that does not exist."""

import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import click
import pytest

from exporters.exposition import CATALOGUE
from tests.deploy import rules
from tests.host import ROOT
from tests.shown_commands import BLOCK, mentioned, pasted, understood

PAGES = {page.stem: page for page in sorted((ROOT / "docs" / "runbooks").iterdir())}
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
LINK = re.compile(r"\]\(([^)]+)\)")


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert set(PAGES) == set(rules.alerts())
    for name, keys in rules.alerts().items():
        assert keys["runbook_url"] == f"{rules.RUNBOOKS}/{name}.md"


def test_the_readme_shows_how_all_of_them_get_another_place(tmp_path: Path) -> None:
    """One word in one command: no alert is left behind."""
    (line,) = re.findall(r"^sed .*$", (rules.FOLDER / "README.md").read_text(), re.MULTILINE)
    copies = [Path(shutil.copy(file, tmp_path)) for file in (rules.CORE, rules.MORE)]
    subprocess.run(line.replace("/etc/prometheus/tidegate", str(tmp_path)), shell=True, check=True)
    for name, keys in rules.alerts(*copies).items():
        assert keys["runbook_url"] == f"https://wiki.example.org/tidegate/{name}.md"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_means_what_it_costs_how_to_look_and_what_to_do(name: str) -> None:
    text = PAGES[name].read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert all(part.strip() for part in re.split(r"^#+ .*$", text, flags=re.MULTILINE)[2:])
    diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
    assert BLOCK.search(diagnosis), "no command to paste"


def test_a_metric_that_a_page_names_exists() -> None:
    known = {family.name for family in CATALOGUE}
    for name, page in PAGES.items():
        assert rules.metrics(page.read_text()) <= known, name


@pytest.mark.parametrize("name", PAGES)
def test_a_command_in_a_page_exists_with_its_options(name: str) -> None:
    """In the alert's own text too."""
    said = rules.alerts()[name]["description"]
    filled = rules.filled(said, dict.fromkeys(("vm", "watch", "reason"), "vm1"))
    for words in pasted(PAGES[name].read_text()):
        understood(words)
    for words in mentioned(PAGES[name].read_text() + filled):
        with suppress(click.MissingParameter):  # `tidegate dump` is spoken of, not called
            understood(words)


@pytest.mark.parametrize("line", ["tidegate explian vm1", "tidegate check --whom backup", "tidegate explain | head"])
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    (words,) = pasted(f"```sh\n{line}\n```\n")
    with pytest.raises(click.UsageError):
        understood(words)


def test_what_is_pasted_is_shell(tmp_path: Path) -> None:
    for name, page in PAGES.items():
        script = tmp_path / f"{name}.sh"
        script.write_text("".join(BLOCK.findall(page.read_text())))
        done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), name


def test_a_page_links_to_what_there_is() -> None:
    for name, page in PAGES.items():
        for target in LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), (name, target)
