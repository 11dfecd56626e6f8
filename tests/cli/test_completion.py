"""Completion in the real shells, and what it offers whatever becomes of configuration and state."""

import os
import resource
import shlex
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.host import Host
from tidegate.cli.main import COMMANDS

VMS = ("alpha", "beta.qcow", "betamax", "gone", "仮想", "a b", "$(reboot)")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """VMs of plain and of odd names, one of them retired, and two backup sets."""
    sets = {"nightly": {"target": "2d"}, "weekly": {"target": "9d"}}
    host = Host(tmp_path_factory.mktemp("host"), backup_sets=sets)
    for number, vm in enumerate(VMS):
        host.dump(f"dump{number}", 10, vm=vm)
    host.run("pass")
    host.run("retire", "gone")
    return host


def offered(host: Host, words: str) -> list[str]:
    """What a shell is told for the last of these words, which is begun."""
    line = f"tidegate --config {shlex.quote(str(host.file))} {words}"
    asked = {"_TIDEGATE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = subprocess.run(
        ["tidegate"], env={**os.environ, **asked}, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return [line.removeprefix("plain,") for line in done.stdout.split()]


def test_commands_and_options(host: Host) -> None:
    assert offered(host, "") == [*COMMANDS]
    assert offered(host, "ex") == ["explain", "export-metrics"]
    assert offered(host, "state ver") == ["verify"]
    assert offered(host, "status --ch") == ["--check"]
    assert offered(host, "completion z") == ["zsh"]


@pytest.mark.parametrize("command", ["explain", "history", "locate", "restore", "hold", "unhold", "force", "retire"])
def test_vms_that_live_and_whose_names_a_shell_leaves_as_they_are(host: Host, command: str) -> None:
    assert offered(host, f"{command} ") == ["alpha", "beta.qcow", "betamax", "仮想"]
    assert offered(host, f"{command} bet") == ["beta.qcow", "betamax"]


def test_backup_sets_and_watch_folders_of_the_configuration(host: Host) -> None:
    assert offered(host, "dump ") == ["nightly", "weekly"]
    assert offered(host, "synced --watch du") == ["dumps"]
    assert offered(host, "forecast --without al") == ["alpha"]


def test_nothing_is_offered_and_nothing_said_where_nothing_can_be_read(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    assert offered(host, "explain ") == []
    host.state.write_bytes(b"no database" * 1000)
    assert offered(host, "explain ") == []
    for damaged in ("[state\n", "state = 7\nwatch = [7]\nbackup_sets = 7\n", "[state]\npath = 7\n", "\x00"):
        host.file.write_text(damaged)
        assert offered(host, "explain ") == offered(host, "dump ") == offered(host, "synced --watch ") == []
    host.file.unlink()
    assert offered(host, "explain ") == []


def test_a_state_that_somebody_keeps_is_not_waited_for(host: Host, tmp_path: Path) -> None:
    offered(host, "explain ")  # warms the caches
    with closing(sqlite3.connect(host.state, isolation_level=None)) as greedy:
        greedy.execute("PRAGMA locking_mode = EXCLUSIVE")
        greedy.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert offered(host, "explain ") == []
        assert time.monotonic() - began < 10  # the driver's own patience and ours differ by more than this


def test_it_costs_no_more_than_a_hand_notices(host: Host) -> None:
    """Neither the state's library nor the configuration's is loaded for it."""
    offered(host, "explain be")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    offered(host, "explain be")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


# --- the shells themselves

_SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(tidegate completion bash)"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "bindkey -e; autoload -Uz compinit && compinit -u -D; source <(tidegate completion zsh)",
    ),
}


@pytest.fixture(params=_SHELLS)
def shell(request: pytest.FixtureRequest, host: Host) -> Iterator[Terminal]:
    """A shell in a terminal, in the host's folder, that completes."""
    command, setting_up = _SHELLS[request.param]
    started = ["env", f"--chdir={host.folder}", *command]
    terminal = Terminal(started, columns=200, environment={"PS1": "ready> ", "HOME": str(host.folder)})
    try:
        terminal.wait_for("ready> ")
        terminal.press(f"{setting_up}; echo is set' 'up\n".encode())
        terminal.wait_for("is set up")
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tidegate expl", "tidegate explain"),
        ("tidegate explain al", "tidegate explain alpha"),
        ("tidegate dump week", "tidegate dump weekly"),
        ("tidegate status --ch", "tidegate status --check"),
        ("tidegate state ver", "tidegate state verify"),
    ],
)
def test_the_shell_completes_what_was_begun(shell: Terminal, typed: str, completed: str) -> None:
    """Then the line is shown by the shell itself: Ctrl-A, echo, Enter."""
    shell.press(f"{typed}\t\x01echo shown: \n".encode())
    shell.wait_for(f"shown: {completed}")


def test_fish_completes_too(host: Host) -> None:
    def completed(typed: str) -> list[str]:
        script = f"tidegate completion fish | source; complete -C {shlex.quote(typed)}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", script],
            cwd=host.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    assert completed("tidegate expl") == ["explain"]
    assert completed("tidegate explain bet") == ["beta.qcow", "betamax"]
    assert completed("tidegate dump week") == ["weekly"]
