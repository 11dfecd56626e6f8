"""The hook, called as Proxmox's own code called one: 36 recorded scenarios, and the markers that each must leave.

``tests/data/vzdump/transcript.json``: arguments, environment, working folder, and the files of DUMPDIR with their
sizes (a folder has none) at each call.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.host import ROOT

HOOK = ROOT / "deploy" / "proxmox" / "tidegate-vzdump-hook"
RECORDED_FOLDER = "/var/lib/vz/dump"
MARKERS = (".done", ".failed", ".running")
SCENARIOS = {
    one["scenario"]: one for one in json.loads((ROOT / "tests/data/vzdump/transcript.json").read_text())["scenarios"]
}

#: Guest and kind of each marker that is left. The recorded vzdump failed where its own hook did; ours does not.
EXPECTED = {
    "qemu, running, snapshot": {"100 done"},
    "qemu, running, suspend": {"100 done"},
    "qemu, running, stop": {"100 done"},
    "qemu, not running, snapshot asked for": {"110 done"},
    "lxc, running, suspend": {"102 done"},
    "lxc, running, snapshot asked for, storage has none": {"102 done"},
    "lxc, running, stop": {"102 done"},
    "lxc, not running": {"101 done"},
    "qemu, archive fails": {"100 failed"},
    "three guests, the one in the middle fails": {"100 done", "101 failed", "103 done"},
    "guest that is not there": {"999 failed"},
    "limit of backups reached": {"101 failed"},
    "vzdump itself gets SIGTERM": {"100 failed"},
    "Stop of the web interface": {"100 failed"},
    "vzdump gets SIGKILL, then another job": {"100 failed", "101 done"},
    "to stdout": set(),
    "to a dumpdir": {"101 done"},
    "to a dumpdir, relative": {"101 done"},
    "to a Proxmox Backup Server": set(),
    "to a storage that is not there": set(),
    "compress 0": {"100 done", "101 done"},
    "compress lzo": {"100 done", "101 done"},
    "compress gzip": {"100 done", "101 done"},
    "notes and protected": {"101 done"},
    "prune, storage": {"101 done"},
    "prune, dumpdir": {"101 done"},
    "fleecing": {"100 done"},
    "the hook ends with 1 in job-init": set(),
    "the hook ends with 1 in job-start": set(),
    "the hook ends with 1 in backup-start": {"100 failed", "101 failed"},
    "the hook ends with 1 in pre-stop": {"100 failed", "101 done"},
    "the hook ends with 1 in backup-end": {"100 failed", "101 failed"},
    "the hook ends with 1 in log-end": {"100 done", "101 done"},
    "the hook ends with 1 in job-end": {"100 done", "101 done"},
    "the hook ends with 1 in backup-abort": {"100 failed", "101 done"},
    "the hook is not there": set(),
}


def lay(folder: Path, files: Mapping[str, int | None]) -> None:
    """Puts what vzdump had in the folder there; markers are the hook's."""
    wanted = {name.rstrip("/"): size for name, size in files.items()}
    for path in folder.iterdir():
        if path.name not in wanted and not path.name.startswith(".") and path.suffix not in MARKERS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, size in wanted.items():
        path = folder / name
        if size is None:
            path.mkdir(exist_ok=True)
        elif not path.exists() or path.stat().st_size != size:
            path.touch()
            os.truncate(path, size)


def play(folder: Path, part: Mapping[str, Any]) -> None:
    for call in part["calls"]:
        lay(folder, call["files"] or {})
        told = call["env"]
        environment = {key: value.replace(RECORDED_FOLDER, str(folder), 1) for key, value in told.items()}
        inside = not told.get("DUMPDIR", "/").startswith("/")
        cwd = folder.parent if inside else Path("/")
        ran = subprocess.run([HOOK, *call["argv"]], env=environment, cwd=cwd, check=False, capture_output=True)
        assert (ran.returncode, ran.stderr) == (0, b"")
    lay(folder, part["files_after"] or {})


def left_in(folder: Path) -> set[str]:
    """VM and kind of every marker, and the name of anything else of the hook's."""
    found = set()
    for path in folder.iterdir():
        if path.suffix in MARKERS:
            found.add(f"{json.loads(path.read_text())['vm']} {path.suffix[1:]}")
        elif path.name.startswith("."):
            found.add(path.name)
    return found


def test_every_recorded_scenario_has_its_markers() -> None:
    assert set(SCENARIOS) == set(EXPECTED)


@pytest.mark.parametrize("scenario", EXPECTED)
@pytest.mark.parametrize("name", ["dump", "dump of [a] host"])
def test_markers_after_a_recorded_job(tmp_path: Path, scenario: str, name: str) -> None:
    folder = tmp_path / ("dump" if "relative" in scenario else name)
    folder.mkdir()
    one = SCENARIOS[scenario]
    lay(folder, one["files_before"])
    play(folder, one)
    if "then" in one:
        play(folder, one["then"])
    assert left_in(folder) == EXPECTED[scenario]


def test_the_done_marker_comes_after_the_guest_is_up_again(tmp_path: Path) -> None:
    """A container in mode stop is started only after backup-end has returned."""
    one = SCENARIOS["lxc, running, stop"]
    phases = [call["argv"][0] for call in one["calls"]]
    for phase, kind in (("backup-start", ".running"), ("backup-end", ".running"), ("log-end", ".done")):
        folder = tmp_path / phase
        folder.mkdir()
        end = phases.index(phase) + 1
        play(folder, {"calls": one["calls"][:end], "files_after": one["calls"][end - 1]["files"]})
        assert [path.suffix for path in folder.iterdir() if path.suffix in MARKERS] == [kind]


def test_a_job_that_was_killed_after_the_archive_was_complete_is_finished_by_the_next(tmp_path: Path) -> None:
    one = SCENARIOS["qemu, running, snapshot"]
    phases = [call["argv"][0] for call in one["calls"]]
    end = phases.index("backup-end") + 1
    play(tmp_path, {"calls": one["calls"][:end], "files_after": one["calls"][end - 1]["files"]})
    play(tmp_path, {"calls": [{**one["calls"][1], "files": one["files_after"]}], "files_after": one["files_after"]})
    assert left_in(tmp_path) == {"100 done"}
