"""The shipped unit files, as systemd's own tools read them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import units
from tests.real_parts import needs_program
from tests.users import needs_capabilities

ROOT = units.FOLDER.parents[1]
UNITS = (*units.SERVICES, *units.TIMERS)
#: 2.0, as the tool counts it.
THRESHOLD = 20


@pytest.fixture(autouse=True)
def systemd_analyze() -> None:
    needs_program("systemd-analyze")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_systemd_finds_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    """A key that is misspelt or not allowed there is only a line in a journal, and then it is not in effect."""
    for unit in UNITS:
        text = (units.FOLDER / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/opt/tidegate/bin/tidegate", shutil.which("true") or ""))
    done = run("systemd-analyze", "verify", *(tmp_path / unit for unit in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", units.SERVICES)
def test_the_services_are_exposed_by_2_0_at_most(unit: str) -> None:
    """What an update of the units gives away is seen here."""
    done = run("systemd-analyze", "security", "--offline=yes", f"--threshold={THRESHOLD}", units.FOLDER / unit)
    assert done.returncode == 0, done.stdout + done.stderr
    (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(exposure) <= THRESHOLD / 10


@pytest.mark.parametrize("unit", units.SERVICES)
def test_what_lets_pings_out_is_understood_and_gives_nothing_else_away(unit: str, tmp_path: Path) -> None:
    """systemd reads what is put beside a unit as if it stood at its end."""
    program = shutil.which("true") or ""
    beside = tmp_path / unit
    text = (units.FOLDER / unit).read_text().replace("/opt/tidegate/bin/tidegate", program)
    beside.write_text(f"{text}\n{(units.FOLDER / 'notify.conf').read_text()}")
    done = run("systemd-analyze", "verify", beside)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = run("systemd-analyze", "security", "--offline=yes", "--threshold=23", beside)
    assert done.returncode == 0, done.stdout


def test_what_opens_or_closes_a_unit_goes_to_those_that_it_is_for() -> None:
    """What lies in tidegate-.service.d counts for the daemon of rsync and for the dumps, which root makes."""
    linking = {f"/etc/systemd/system/{unit}.d/" for unit in units.LINKING}
    says = [
        line for line in (units.FOLDER / "README.md").read_text().splitlines() if "systemd/system/tidegate-" in line
    ]
    told = [(units.FOLDER / "notify.conf").read_text(), *(line for line in says if "dumps.conf" not in line)]
    assert len(told) == 3
    for text in told:
        assert set(re.findall(r"/etc/systemd/system/tidegate-[a-z@.-]*\.d/", text)) == linking


@pytest.mark.parametrize("unit", units.SERVICES)
def test_dumps_and_export_tree_are_under_one_path_that_may_be_written(unit: str) -> None:
    """Two are two mounts, and no hard link leads from one to the other."""
    assert len(units.setting(unit, "ReadWritePaths").split()) == 1


def test_both_services_may_do_the_same() -> None:
    """The service's own daily pass is its child, and has what it has."""
    watch, one_pass = (dict(units.settings(unit)) for unit in units.LINKING)
    same = (
        "User",
        "Group",
        "AmbientCapabilities",
        "CapabilityBoundingSet",
        "StateDirectory",
        "ReadWritePaths",
        "UMask",
    )
    assert [watch[key] for key in same] == [one_pass[key] for key in same]
    assert watch["AmbientCapabilities"] == watch["CapabilityBoundingSet"]


def test_the_watchdog_waits_longer_than_the_loop_takes_to_turn() -> None:
    """A ping is sent by a turn, half the time after the last one at the earliest; a turn is 10 s at the longest."""
    from watcher import service

    waits = float(units.setting("tidegate-watch.service", "WatchdogSec"))
    assert waits > waits / 2 + 2 * service._LONGEST_WAIT_SECONDS
    assert float(units.setting("tidegate-watch.service", "TimeoutStopSec")) > 2 * service._END_SECONDS


def test_the_commands_of_the_units_are_commands() -> None:
    """With the option that they are given."""
    for unit in units.SERVICES:
        program, *arguments = units.setting(unit, "ExecStart").split()
        assert program == "/opt/tidegate/bin/tidegate"
        assert run(sys.executable, "-m", "tidegate", *arguments, "--help").returncode == 0


@pytest.mark.parametrize(("unit", "hour"), list(zip(units.TIMERS, ["12:00", "20:00"], strict=True)))
def test_the_timers_run_once_a_day_and_make_up_for_what_was_missed(unit: str, hour: str) -> None:
    """`systemd-analyze calendar` understands it."""
    timer = dict(units.settings(unit))
    assert timer["Persistent"] == "yes"
    assert "RandomizedDelaySec" in timer
    done = run("systemd-analyze", "calendar", "--base-time=2026-11-22 00:00:00", "--iterations=2", timer["OnCalendar"])
    assert done.returncode == 0, done.stderr
    assert re.findall(r"2026-\d\d-\d\d \d\d:\d\d", done.stdout) == [f"2026-11-22 {hour}", f"2026-11-23 {hour}"]


def test_the_user_and_the_states_folder_are_made_as_the_units_expect_them(tmp_path: Path) -> None:
    """With systemd's own tools, in an empty root."""
    needs_capabilities()
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", units.FOLDER / "tidegate.sysusers.conf")
    assert made.returncode == 0, made.stderr
    made = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", units.FOLDER / "tidegate.tmpfiles.conf")
    assert made.returncode == 0, made.stderr
    name, _, uid, gid, *_, shell = (tmp_path / "etc" / "passwd").read_text().strip().split(":")
    state = (tmp_path / "var" / "lib" / "tidegate").stat()
    assert (name, shell) == (units.setting("tidegate-watch.service", "User"), "/usr/sbin/nologin")
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (int(uid), int(gid), 0o750)


def test_every_file_of_the_folder_is_in_its_readme() -> None:
    """With the place where it goes."""
    text = (units.FOLDER / "README.md").read_text()
    assert [path.name for path in units.FOLDER.iterdir() if path.name not in text and path.name != "README.md"] == []
