"""What runs dumps and passes: shell functions, cron, systemd, Jenkins. Their shell is run here for real.

Of the Jenkinsfiles the ``sh`` steps are taken out and run; what is around them is read, and no Jenkins runs it here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dumps.house import house
from tests.host import ROOT, Host, reasons

pytestmark = pytest.mark.slow

DEPLOY = ROOT / "deploy"
FUNCTIONS = DEPLOY / "shell" / "tidegate.sh"
CRON = DEPLOY / "cron" / "tidegate"
JENKINSFILES = sorted((DEPLOY / "jenkins").glob("*.Jenkinsfile"))
CONFIG = "/etc/tidegate/config.toml"
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder for PATH with ``tidegate`` in it, as it is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "tidegate"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m tidegate "$@"\n')
    script.chmod(0o755)
    return folder


def run(script: str, folder: Path, *, shell: str = "sh", **environment: str) -> subprocess.CompletedProcess[str]:
    words = ["busybox", "sh"] if shell == "busybox" else [shell]
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*words, "-c", script], env={**path, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def shellchecked(script: str, tmp_path: Path) -> str:
    """What shellcheck has to say of a script of sh."""
    file = tmp_path / "script.sh"
    file.write_text(f"#!/bin/sh\n{script}\n")
    return subprocess.run(["shellcheck", file], capture_output=True, text=True, check=False).stdout


# --- shell functions


def without_tidegate(tmp_path: Path) -> Path:
    """A PATH on which there is none: the functions do with what every host has."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("rm", "mv", "sync", "date", "cat", "false"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def test_shellcheck_finds_nothing_to_say_about_the_functions() -> None:
    """In any POSIX shell."""
    done = subprocess.run(["shellcheck", FUNCTIONS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("installed", [True, False], ids=["with tidegate", "without"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_dump_by_the_function_is_whole_marked_and_leaves(
    tmp_path: Path, bin_folder: Path, shell: str, *, installed: bool
) -> None:
    """The same where Tidegate is installed and where it is not, also under ``set -eu``."""
    host = Host(tmp_path / "host")
    path = {} if installed else {"PATH": str(without_tidegate(tmp_path))}
    program = shutil.which(shell) or shell
    x = host.dumps / "vm1.img"
    script = f". {FUNCTIONS}; set -eu; tidegate_dump {x} echo content; echo went on"
    words = [program, "sh", "-c", script] if shell == "busybox" else [program, "-c", script]
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **path}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
    assert {one.name for one in host.dumps.iterdir()} == {"vm1.img", "vm1.img.done"}
    assert ("started" in (host.dumps / "vm1.img.done").read_text()) is installed
    assert reasons(host.json("pass")) == {"vm1.img": "released"}


@pytest.mark.parametrize("installed", [True, False], ids=["with tidegate", "without"])
def test_a_dump_by_the_function_that_fails_is_told_with_the_status_of_its_command(
    tmp_path: Path, bin_folder: Path, *, installed: bool
) -> None:
    """And nothing of it is left."""
    host = Host(tmp_path / "host")
    path = {} if installed else {"PATH": str(without_tidegate(tmp_path))}
    x = host.dumps / "vm1.img"
    script = f". {FUNCTIONS}; sh() {{ echo half; return 7; }}; tidegate_dump {x} sh"
    done = run(script, bin_folder, shell="/bin/sh", **path)
    assert done.returncode == 7
    assert {one.name for one in host.dumps.iterdir()} == {"vm1.img.failed"}
    if installed:
        assert json.loads((host.dumps / "vm1.img.failed").read_text())["error"] == "sh ended with status 7"


def test_the_function_overwrites_nothing(tmp_path: Path, bin_folder: Path) -> None:
    """What may stand in the export tree would be rewritten with it."""
    host = Host(tmp_path / "host")
    x = host.dump("vm1.img", 100)
    done = run(f". {FUNCTIONS}; tidegate_dump {x} echo content", bin_folder)
    assert (done.returncode, x.stat().st_size) == (1, 100)
    assert "dump to a new name each time" in done.stderr


# --- cron


def jobs() -> list[str]:
    """The commands of the lines that are jobs, as sh gets them."""
    lines = [line for line in CRON.read_text().splitlines() if re.match(r"[0-9*]", line)]
    assert not any("%" in line for line in lines)  # to cron it is a line break
    return [re.split(r"\s+", line, maxsplit=6)[6] for line in lines]


def test_a_job_of_cron_prints_only_where_something_failed(tmp_path: Path, bin_folder: Path) -> None:
    """And ends with the status."""
    host = house(tmp_path / "host", "vm1", script=f"test ! -e {tmp_path}/broken && echo a > $OUT")
    dump, one_pass = [job.replace(CONFIG, str(host.file)) for job in jobs()]
    for job in (dump, one_pass):
        assert shellchecked(job, tmp_path) == ""
    done = run(dump, bin_folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert host.exported() == {"vm1": 2}
    (tmp_path / "broken").touch()
    done = run(dump, bin_folder)
    assert done.returncode == 1
    assert "0 dumped, 1 failed" in done.stdout
    assert run(one_pass, bin_folder).returncode == 1  # --strict: the failed dump is told until there is a good one


# --- systemd


def test_systemd_finds_nothing_to_say_about_the_dumps_units(tmp_path: Path) -> None:
    """With the name of a set in the place of the template's."""
    units = []
    for kind in ("service", "timer"):
        text = (DEPLOY / "systemd" / f"tidegate-dump@.{kind}").read_text()
        text = text.replace("/opt/tidegate/bin/tidegate", shutil.which("true") or "")
        (tmp_path / f"tidegate-dump@.{kind}").write_text(text)
        units.append(tmp_path / f"tidegate-dump@weekly.{kind}")
        units[-1].symlink_to(f"tidegate-dump@.{kind}")
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_waits_longer_for_its_end_than_post_may_take() -> None:
    """Else it would be killed while it cleans up."""
    from dumps.attempt import POST_SECONDS
    from dumps.commands import GRACE_SECONDS

    unit = (DEPLOY / "systemd" / "tidegate-dump@.service").read_text()
    [minutes] = re.findall(r"^TimeoutStopSec=(\d+)min$", unit, re.MULTILINE)
    assert int(minutes) * 60 > POST_SECONDS + 2 * GRACE_SECONDS


# --- Jenkins


def steps(jenkinsfile: Path) -> list[str]:
    """Its ``sh`` steps, in their order."""
    return re.findall(r"\bsh\(.*?script: '''(.*?)'''", jenkinsfile.read_text(), re.DOTALL)


def test_each_shell_step_of_a_jenkinsfile_was_found() -> None:
    """None is written in a way that these tests would overlook."""
    for jenkinsfile in JENKINSFILES:
        assert len(steps(jenkinsfile)) == len(re.findall(r"\bsh\b", jenkinsfile.read_text())) > 0


@pytest.mark.parametrize("jenkinsfile", JENKINSFILES, ids=lambda path: path.stem)
def test_the_shell_steps_of_a_jenkinsfile_run(tmp_path: Path, bin_folder: Path, jenkinsfile: Path) -> None:
    """With its environment: 0 where all is well, 1 where a VM failed, and the others leave all the same."""
    host = house(tmp_path / "host", "vm1", "vm2", script=f"test ! -e {tmp_path}/$VM.broken && echo a > $OUT")
    [tidegate] = re.findall(r"TIDEGATE = '(.*)'", jenkinsfile.read_text())
    tidegate = tidegate.replace("/opt/tidegate/bin", str(bin_folder)).replace(CONFIG, str(host.file))
    given = {"TIDEGATE": tidegate, "BACKUP_SET": "weekly"}
    (tmp_path / "vm2.broken").touch()
    host.run("dump", "weekly", code=1)
    main, *after = steps(jenkinsfile)
    assert run(f"set -xe\n{main}", bin_folder, **given).returncode == 1
    assert set(host.exported()) == {"vm1"}
    (tmp_path / "vm2.broken").unlink()
    host.run("dump", "weekly", "--then-pass")
    for step in (main, *after):
        done = run(f"set -xe\n{step}", bin_folder, **given)
        assert done.returncode == 0, done.stdout + done.stderr
    assert set(host.exported()) == {"vm1", "vm2"}


def test_every_way_a_jenkinsfile_ends_is_one_of_ours() -> None:
    """The numbers in it are exit codes that the commands have."""
    for jenkinsfile in JENKINSFILES:
        assert set(re.findall(r"status [=!]= (\d+)", jenkinsfile.read_text())) <= {"0", "1", "75"}
