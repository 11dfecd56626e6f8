"""On a terminal one sees how far the dumps are; in a pipe there is nothing but what a log may hold."""

import os
import pty
import re
import subprocess
from pathlib import Path

from tests.dumps.house import house, shell
from tests.host import ROOT

#: Longer than two turns of who draws.
SLOW = "for part in 1 2 3; do head -c 1000000 /dev/zero >> $OUT; sleep 0.5; done"


def test_on_a_terminal_a_bar_shows_what_is_written(tmp_path: Path) -> None:
    """What is logged meanwhile stands on lines of its own."""
    host = house(tmp_path / "host", "vm1", "vm2", script=SLOW, parallel=2, own={"vm2": {"command": shell("exit 3")}})
    ours, theirs = pty.openpty()
    run = subprocess.Popen(host.command("dump", "weekly"), cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    drawn = b""
    while part := read(ours):
        drawn += part
    os.close(ours)
    stdout, _ = run.communicate()
    assert run.returncode == 1
    assert "1 dumped, 1 failed" in stdout
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode()).replace("\r", "\n").splitlines()
    assert any(re.match(r"vm1 .* [12]\.0/\? MB ", line) for line in lines)
    assert "tidegate: vm2: its dump failed: sh ended with status 3" in [line.strip() for line in lines]


def read(terminal: int) -> bytes:
    """b"" when nobody has it open any more, which a terminal calls an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_in_a_pipe_nothing_is_drawn(tmp_path: Path) -> None:
    """cron would mail it."""
    host = house(tmp_path / "host", script=SLOW)
    assert host.run("dump", "weekly").stderr == ""
