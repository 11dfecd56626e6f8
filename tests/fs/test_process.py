"""Real processes, none of which is left behind."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from core import process
from core.process import PIPE, Child


def run(script: str, *, seconds: float = 10.0, most_bytes: int = 100, given: bytes = b"") -> process.Finished:
    return process.run(["sh", "-c", script], seconds, most_bytes=most_bytes, given=given)


def is_gone(file: Path) -> bool:
    """Of the process whose number stands there: within ten seconds."""
    end = time.monotonic() + 10
    state = Path(f"/proc/{file.read_text().strip()}/stat")
    while time.monotonic() < end:
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_what_it_prints_is_kept_apart() -> None:
    assert run("cat; echo no >&2; exit 3", given=b"yes") == (3, b"yes", b"no\n", True)


def test_of_much_the_end_is_kept() -> None:
    """The rest costs no memory."""
    ended = run("head -c 10000000 /dev/zero; echo end")
    assert ended.output.endswith(b"\0end\n")
    assert (len(ended.output), ended.is_whole) == (100, False)


def test_nothing_goes_through_a_shell(tmp_path: Path) -> None:
    ended = process.run(["echo", "$HOME;", f"> {tmp_path}/x"], 10.0, most_bytes=100)
    assert ended.output == f"$HOME; > {tmp_path}/x\n".encode()


def test_it_has_no_terminal_and_a_group_of_its_own() -> None:
    ended = process.run([sys.executable, "-c", "import os; print(os.getpgrp() == os.getpid())"], 10.0, most_bytes=100)
    assert ended.output == b"True\n"


def test_one_that_cannot_be_run_raises() -> None:
    with pytest.raises(FileNotFoundError):
        process.run(["/no/such"], 1.0, most_bytes=100)


@pytest.mark.parametrize("stubborn", ["", "trap '' TERM; "])
def test_one_whose_time_is_over_is_ended_with_all_that_it_started(tmp_path: Path, stubborn: str) -> None:
    ended = run(f"{stubborn}sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/own; wait", seconds=0.5)
    assert ended.status is None
    assert is_gone(tmp_path / "child")
    assert is_gone(tmp_path / "own")


def test_what_it_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    assert run(f"yes & echo $! > {tmp_path}/child; exit 0").status == 0
    assert is_gone(tmp_path / "child")


def test_a_block_that_raises_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "child"
    script = f"sleep 1000 & echo $! > {file}.new; mv {file}.new {file}; wait"

    def interrupted() -> None:
        with Child(["sh", "-c", script]):
            while not file.exists():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert is_gone(file)


def test_a_block_that_ends_leaves_alone_what_was_left_running(tmp_path: Path) -> None:
    """A command before a dump may start what its dump needs."""
    with Child(["sh", "-c", "sleep 1000 & echo $!"], stdout=PIPE) as child:
        assert child.stdout is not None
        left = int(child.stdout.readline())
        assert child.wait() == 0
    os.kill(left, 0)
    os.kill(left, signal.SIGKILL)


def test_its_end_can_be_waited_for() -> None:
    with Child(["sleep", "0.1"]) as child:
        assert process.wait_for([child.descriptor], 0.0) == set()
        assert process.wait_for([child.descriptor], 10.0) == {child.descriptor}
        assert child.wait(10.0) == 0


def test_it_inherits_what_it_is_given_and_nothing_else(tmp_path: Path) -> None:
    with (tmp_path / "given").open("w") as given, (tmp_path / "kept").open("w") as kept:
        os.set_inheritable(kept.fileno(), True)
        script = f"echo x >&{given.fileno()}; echo x >&{kept.fileno()}"
        with Child(["bash", "-c", script], inherited=[given.fileno()]) as child:
            assert child.wait() == 1
    assert ((tmp_path / "given").read_text(), (tmp_path / "kept").read_text()) == ("x\n", "")


def test_how_it_ended_is_told_in_words() -> None:
    assert process.how_it_ended(3) == "ended with status 3"
    assert process.how_it_ended(-15) == "was ended by SIGTERM"
    assert process.how_it_ended(-35) == "was ended by signal 35"


def test_the_last_line_with_words_is_shown_without_control_characters() -> None:
    assert process.last_line(b"well\nno route\a\n\n  \n") == "no route\\x07"
    assert process.last_line(b"10%\r100%\r") == "100%"
    assert process.last_line(b"") == ""
