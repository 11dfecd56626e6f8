"""``tidegate status --watch`` in a real terminal: it stays in place, and gives the terminal back."""

import os
import re
import signal
import sqlite3
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal, plain
from tests.host import Host

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, REST = "\x1b[H", "\x1b[J"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path / "host")
    for number in range(40):
        host.dump(f"vm{number:02}", 10)
    host.run("pass")
    return host


@contextmanager
def watching(host: Host, *, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    terminal = Terminal(host.command("status", "--watch"), columns=columns, lines=lines)
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()


def pictures(terminal: Terminal) -> list[list[str]]:
    """All whole ones so far."""
    drawn = re.findall(f"{re.escape(HOME)}(.*?){re.escape(REST)}", terminal.text, re.DOTALL)
    return [[line.removesuffix("\x1b[K") for line in plain(one)] for one in drawn]


def test_it_draws_in_place_again_and_again(host: Host) -> None:
    with watching(host) as terminal:
        place = terminal.wait_for(REST)
        host.mark("vm07", "failed")
        host.run("pass")
        terminal.wait_for("1 whose last dump failed", beyond=place)
        terminal.wait_for(REST, beyond=place)
        first, *_, last = pictures(terminal)
        assert terminal.text.startswith(ENTER)
        assert first[0].startswith("OK: 0 of 40 VMs off-site; 40 new VMs wait for their first copies")
        assert last[0].startswith("WARNING: 0 of 40 VMs off-site; 1 whose last dump failed; 40 new")
        assert all(len(picture) <= 24 for picture in pictures(terminal))


@pytest.mark.parametrize("how", ["Ctrl-C", "q", "SIGTERM", "SIGHUP"])
def test_it_ends_at_once_and_gives_the_terminal_back(host: Host, how: str) -> None:
    with watching(host) as terminal:
        before = termios.tcgetattr(terminal.ours)
        terminal.wait_for(REST)
        assert not termios.tcgetattr(terminal.ours)[3] & termios.ECHO
        if how.startswith("SIG"):
            terminal.process.send_signal(signal.Signals[how])
        else:
            terminal.press(b"\x03" if how == "Ctrl-C" else b"q")
        place = terminal.wait_for(LEAVE)
        assert terminal.process.wait(60) == 0
        assert "Traceback" not in terminal.text
        assert LEAVE not in terminal.text[place:]
        assert termios.tcgetattr(terminal.ours) == before


def test_another_size_is_another_picture(host: Host) -> None:
    with watching(host, columns=80, lines=24) as terminal:
        place = terminal.wait_for(REST)
        terminal.resize(40, 12)
        terminal.wait_for(REST, beyond=place)
        last = pictures(terminal)[-1]
        assert len(last) <= 12
        assert max(map(len, last)) <= 40


def test_mistakes_in_the_configuration_are_said_and_it_goes_on(host: Host) -> None:
    well = host.file.read_text()
    with watching(host) as terminal:
        place = terminal.wait_for(REST)
        host.file.write_text(well.replace("storage", "storeage"))
        place = terminal.wait_for("what was known before:", beyond=place)
        place = terminal.wait_for(REST, beyond=place)
        said = " ".join(pictures(terminal)[-1][:4])
        assert said.startswith("UNKNOWN: ")
        assert "storeage" in said
        host.file.write_text(well)
        terminal.wait_for(f"{HOME}\x1b[1;32mOK", beyond=place)


def test_a_state_that_somebody_keeps_is_said_and_it_goes_on(host: Host) -> None:
    with watching(host) as terminal:
        place = terminal.wait_for(REST)
        with closing(sqlite3.connect(host.state, isolation_level=None)) as greedy:
            greedy.execute("PRAGMA locking_mode = EXCLUSIVE")
            greedy.execute("BEGIN EXCLUSIVE")
            place = terminal.wait_for("database is locked", beyond=place)
            greedy.execute("COMMIT")
        terminal.wait_for(f"{HOME}\x1b[1;32mOK", beyond=place)


def test_a_terminal_that_is_gone_ends_it(host: Host) -> None:
    with watching(host) as terminal:
        terminal.wait_for(REST)
        os.close(terminal.ours)
        assert terminal.process.wait(60) == 0


def test_a_pipe_is_told_that_it_is_none(host: Host) -> None:
    assert "status: --watch needs a terminal" in host.run("status", "--watch", code=2).stderr
    assert "exclude each other" in host.run("status", "--watch", "--json", code=2).stderr
