"""The frame holds what it promises: packages, locks, contracts, the Makefile and its scripts."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from core.version import __version__

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PYPROJECT["tool"]["hatch"]["build"]["packages"]
LOCKS = sorted(ROOT.glob("requirements*.lock"))

# --- packages ---------------------------------------------------------------------------------------------


def test_no_other_distribution_claims_the_names_of_our_packages() -> None:
    """Names as plain as ``policy`` are ours only because the application has an environment of its own."""
    claims = metadata.packages_distributions()
    others = {name: set(claims.get(name, ())) - {"tidegate"} for name in PACKAGES}
    assert others == {name: set() for name in PACKAGES}
    assert not set(PACKAGES) & sys.stdlib_module_names


def test_every_package_at_the_root_is_shipped_typed_and_held_to_the_contracts() -> None:
    """A new room is named in all three places, or it would be missing from one without a word."""
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert set(PACKAGES) == found
    assert set(PYPROJECT["tool"]["mypy"]["files"]) == found | {"deploy", "tests", "tools"}
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == found


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(tmp_path: Path) -> None:
    """Templates, dashboards and rules are found in an installed Tidegate too."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_version_is_said_in_one_place() -> None:
    """The installed distribution and the program say the same."""
    assert metadata.version("tidegate") == __version__


# --- dependencies and locks -------------------------------------------------------------------------------


def pinned(lock: Path) -> dict[str, str]:
    """Name and version of every requirement of a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) ", lock.read_text(), re.MULTILINE))


def test_every_dependency_says_why_it_is_there() -> None:
    """A requirement without a reason beside it is one that nobody can take out again."""
    text = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|build|dev) = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert len(lists) == 3
    lines = "".join(lists).splitlines()
    assert [line for line in lines if not re.fullmatch(r' {4}"[^"]+", *# .{20,}', line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_every_version_by_hash_and_names_no_place_to_fetch_it_from(lock: Path) -> None:
    """A fresh machine gets the files that were tested, from whatever index its admin has set."""
    requirements = [block for block in re.split(r"\n(?=\S)", lock.read_text()) if not block.startswith("#")]
    assert len(requirements) == len(pinned(lock))
    assert [block for block in requirements if "--hash=sha256:" not in block] == []
    assert not re.search(r"://|^--", lock.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PYPROJECT["project"]["dependencies"]),
        ("requirements-build.lock", PYPROJECT["build-system"]["requires"]),
        ("requirements-build.lock", PYPROJECT["dependency-groups"]["build"]),
        ("requirements-dev.lock", PYPROJECT["dependency-groups"]["dev"]),
    ],
    ids=["run", "build-system", "build", "dev"],
)
def test_a_lock_holds_what_pyproject_asks_for(lock: str, wanted: list[str]) -> None:
    """A dependency that was added or raised is in the lock, or `make lock` was forgotten."""
    versions = pinned(ROOT / lock)
    unmet = [
        str(requirement)
        for requirement in map(Requirement, wanted)
        if versions.get(canonicalize_name(requirement.name), "none") not in requirement.specifier
    ]
    assert unmet == []


def test_what_is_installed_is_what_was_tested() -> None:
    """The locks to run and to build from are cut out of the one that the tests run with."""
    tested = pinned(ROOT / "requirements-dev.lock")
    for lock in LOCKS:
        assert pinned(lock).items() <= tested.items()


# --- contracts of imports ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("watcher/__init__.py", "import policy", "house"),
        ("dumps/place.py", "import watcher", "house"),
        ("core/units.py", "import exporters", "house"),
        ("policy/__init__.py", "import tidegate.cli", "house"),
        ("policy/reconcile/mounts.py", "import policy.passes.run", "policy"),
        ("policy/operations/vms.py", "import policy.sync", "policy"),
        ("policy/planner/model.py", "import time", "planner-world"),
        ("policy/planner/__init__.py", "from pathlib import Path", "planner-world"),
        ("core/enums.py", "import random", "planner-world"),
        ("policy/planner/model.py", "import sqlite3", "planner-world"),
        ("policy/planner/model.py", "from core.clock import Clock", "planner-house"),
        ("policy/planner/model.py", "import core.state", "planner-house"),
    ],
)
def test_an_import_that_crosses_a_wall_breaks_its_contract(
    module: str, line: str, contract: str, tmp_path: Path
) -> None:
    """The contracts of pyproject.toml are seen to fail, each on the import that it is there for."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    outcome = subprocess.run(
        ["lint-imports", "--no-cache", "--no-logo", "--contract", contract],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "Contracts: 0 kept, 1 broken." in outcome.stdout


# --- documents --------------------------------------------------------------------------------------------


def test_a_path_that_a_document_names_exists() -> None:
    """A file that was moved is found where CONTRIBUTING and the others send the reader. What was once is history."""
    rooms = [path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "build", "var"))]
    named = re.compile(rf"(?<![\w./-])(?:{'|'.join(rooms)})/[\w./*-]*\w\*?")
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    missing = [
        (document.name, path)
        for document in documents
        if document.name != "CHANGELOG.md"
        for span in re.findall(r"`([^`\n]+)`", document.read_text().replace("```", ""))
        for path in named.findall(span)
        if not any(ROOT.glob(path))
    ]
    assert missing == []


# --- the Makefile and its scripts -------------------------------------------------------------------------


def run(*command: str) -> str:
    """What a command that must succeed prints."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_alone_prints_the_targets() -> None:
    """`make help` is the contract: what it lists is supported, and it is what one gets without asking."""
    listed = [line.split()[0] for line in run("make", "--no-print-directory").splitlines()]
    everyday = ["help", "demo", "run", "test", "test-all", "lint", "format"]
    assert listed == [
        *everyday,
        "bench",
        "bench-policy",
        "soak",
        "torture",
        "year",
        "life",
        "dashboard",
        "pictures",
        "page-shots",
        "race",
        "fuzz",
        "lock",
        "man",
        "install",
        "clean",
    ]


class Machine:
    """A machine where one is not root, made of a PATH with few programs in it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("basename", "dirname", "mkdir", "mktemp", "rm"):
            (self.bin / name).symlink_to(shutil.which(name) or name)
        self.program("id", "echo 1000")
        self.program("python3", f'exec {sys.executable} "$@"')
        for name in re.findall(r"want(?:_unpacked)? ([\w.-]+) ", (ROOT / "bootstrap" / "machine").read_text()):
            self.program(name)
        # A copy: the checkout itself may have a promtool under build/.
        (folder / "bootstrap").mkdir()
        self.script = Path(shutil.copy(ROOT / "bootstrap" / "machine", folder / "bootstrap"))

    def program(self, name: str, body: str = "") -> None:
        """Puts a program of this name on the machine."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def lacks(self, *names: str) -> None:
        """Takes programs off the machine; ``ensurepip`` is taken out of its Python."""
        for name in names:
            if name == "ensurepip":
                self.program("python3", f'case "$2" in *ensurepip*) exit 1 ;; esac; exec {sys.executable} "$@"')
            else:
                (self.bin / name).unlink()

    def asked_for(self, purpose: str) -> tuple[int, str]:
        """The exit code and the words of ``bootstrap/machine`` for one purpose."""
        outcome = subprocess.run(
            [self.script, "python3", purpose],
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            check=False,
        )
        return outcome.returncode, outcome.stdout + outcome.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_machine_that_has_everything_is_left_alone(machine: Machine) -> None:
    """Nothing is said and nothing is done."""
    assert machine.asked_for("test-all") == (0, "")


def test_what_is_missing_is_said_in_one_sentence_with_the_way_to_get_it(machine: Machine) -> None:
    """All that the target needs, at once: nobody should come back three times."""
    machine.program("apt-get", "exit 100")
    machine.lacks("ensurepip", "rsync", "systemd-analyze", "promtool")
    assert machine.asked_for("test") == (
        1,
        "tidegate: missing on this machine: python3-venv rsync systemd promtool; run `apt-get update && apt-get"
        " install --no-install-recommends python3-venv rsync systemd` as root, then try again.\n",
    )


def test_promtool_is_not_asked_for_as_a_package_that_brings_a_service(machine: Machine) -> None:
    """With apt-get's lists up to date it is fetched without root; so that is all that is asked for."""
    machine.program("apt-get", "exit 100")
    machine.lacks("promtool")
    code, said = machine.asked_for("test")
    assert code == 1
    assert said.endswith("missing on this machine: promtool; run `apt-get update` as root, then try again.\n")


def test_a_machine_without_apt_is_told_the_names_that_debian_uses(machine: Machine) -> None:
    """Other systems ship the same programs: the sentence does not send their admin to apt-get."""
    machine.lacks("rsync", "promtool")
    assert machine.asked_for("test") == (
        1,
        "tidegate: missing on this machine: rsync promtool; install what Debian calls rsync prometheus,"
        " then try again.\n",
    )


def test_a_target_asks_only_for_what_it_needs(machine: Machine) -> None:
    """The quick tests need no browser and no hypervisor, the demo no promtool, and an installation no rsync."""
    machine.lacks("chromium", "virsh", "prometheus")
    assert machine.asked_for("test") == (0, "")
    machine.lacks("promtool", "systemd-analyze")
    assert machine.asked_for("demo") == (0, "")
    machine.lacks("rsync")
    assert machine.asked_for("python") == (0, "")


def test_a_python_that_is_too_old_is_named_with_its_version(machine: Machine) -> None:
    """The sentence says what is there, what is needed and how another Python is named."""
    machine.program("python3", 'case "$2" in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac')
    assert machine.asked_for("demo") == (
        1,
        "tidegate: Python 3.11 or newer is needed and python3 is 3.9.2: install a newer one and name it,"
        " as in `make PYTHON=python3.13 demo`.\n",
    )
