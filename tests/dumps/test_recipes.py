"""The recipes of docs/DUMPS.md: each is a configuration that loads, its shells are well, and what can be had runs."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from core.config.load import load
from core.enums import AdapterName
from tests.dumps.house import tell
from tests.host import ROOT, Host

TEXT = (ROOT / "docs" / "DUMPS.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
#: Those that say how dumps are made.
RECIPES = [block for block in BLOCKS if re.search(r"^(command|adapter) = ", block, re.MULTILINE)]
SETS: dict[str, str] = {re.findall(r"\[backup_sets\.(\w+)\]", block)[0]: block for block in RECIPES}
#: What is quoted there for brevity: names of VMs hold no blanks in a recipe.
UNQUOTED = "SC2086"


def host_of(folder: Path, recipe: str, *, images: Path | None = None) -> Host:
    host = Host(folder)
    block = SETS[recipe] if images is None else SETS[recipe].replace("/srv/images", str(images))
    host.file.write_text(host.file.read_text() + block)
    return host


def test_each_recipe_has_a_name_of_its_own() -> None:
    """Somebody may take two of them into one file."""
    assert len(SETS) == len(RECIPES)


@pytest.mark.parametrize("recipe", SETS)
def test_a_recipe_is_a_configuration(tmp_path: Path, recipe: str) -> None:
    """With all of its keys."""
    dumping = load(host_of(tmp_path / "host", recipe).file).dumping_of(recipe)
    assert dumping is not None
    assert all(rule.command or rule.adapter is not AdapterName.COMMAND for rule in dumping.rules.values())


@pytest.mark.parametrize("recipe", SETS)
def test_the_shells_of_a_recipe_are_well(tmp_path: Path, recipe: str) -> None:
    """As shellcheck sees it; a pipe without pipefail is no dump."""
    table: dict[str, Any] = tomllib.loads(SETS[recipe])["backup_sets"][recipe]
    for shell, options, script in (table[key] for key in ("pre", "command", "post") if key in table):
        path = tmp_path / "script"
        path.write_text(f"#!/bin/{shell}\nset {options.replace('c', '') if len(options) > 2 else '-f'}\n{script}\n")
        done = subprocess.run(
            ["shellcheck", f"--exclude={UNQUOTED},SC2154", path], capture_output=True, text=True, check=False
        )
        assert done.stdout == ""
        assert "|" not in script.replace("||", "") or "pipefail" in script


def test_disk_images_are_dumped_as_the_recipe_says(tmp_path: Path) -> None:
    """And are what they were."""
    (tmp_path / "vm1.raw").write_bytes(b"data" * 50_000 + bytes(1_000_000))
    host = host_of(tmp_path / "host", "images", images=tmp_path)
    assert "1 dumped, 0 failed" in tell(host, "dump", "images")
    [dump] = host.dumps.glob("vm1-*.qcow2")
    subprocess.run(["qemu-img", "compare", tmp_path / "vm1.raw", dump], check=True, stdout=subprocess.DEVNULL)


def test_a_folder_is_dumped_as_the_recipe_says(tmp_path: Path) -> None:
    """Here of one below the root that is not large."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("content")
    host = Host(tmp_path / "host")
    block = SETS["folders"].replace('"etc"', '"data"').replace("tar -C /", f"tar -C {tmp_path}")
    host.file.write_text(host.file.read_text() + block)
    tell(host, "dump", "folders")
    [dump] = host.dumps.glob("*.tar.zst")
    unpacked = subprocess.run(["tar", "--zstd", "-xOf", dump, "data/file"], capture_output=True, text=True, check=True)
    assert unpacked.stdout == "content"
