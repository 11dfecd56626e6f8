"""The command that tells somebody: real processes, and none of them left behind."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from core.enums import News, Trouble
from core.state.alerts import Item, Key
from tidegate.notify import command, message

NOTHING: Mapping[str, str] = {}
ITEMS = [
    Item(Key(Trouble.STALE, "vm1"), News.NEW, 1_800_000_000, "vm1: too old"),
    Item(Key(Trouble.BLOCKED, "vm\n2"), News.OVER, 1_800_000_000, "vm\n2: oversize"),
]


def run(
    script: str, *, told: bytes = b"", seconds: float = 10.0, environment: Mapping[str, str] = NOTHING
) -> command.Ended:
    return command.run(["sh", "-c", script], told, environment, seconds)


LEAVES = """
import os, time
reader, writer = os.pipe()
if os.fork():
    os.read(reader, 1)
    os._exit(0)
os.setsid()
os.write(writer, b"x")
time.sleep(5)
"""


def is_alive(file: Path) -> bool:
    """Of the process whose number stands there."""
    state = Path(f"/proc/{file.read_text().strip()}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def goes(file: Path) -> bool:
    end = time.monotonic() + 10
    while is_alive(file):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_it_gets_the_news_as_json_and_in_its_environment(tmp_path: Path) -> None:
    environment = message.environment("pass", ITEMS)
    ended = run(
        f"cat > {tmp_path}/in; env > {tmp_path}/env", told=message.document("pass", ITEMS, 0.0), environment=environment
    )
    assert ended.is_ok
    told = json.loads((tmp_path / "in").read_text())
    assert (told["format"], told["run"], told["time"]) == (2, "pass", "1970-01-01T00:00:00Z")
    assert told["troubles"][0] == {
        "what": "stale",
        "subject": "vm1",
        "news": "new",
        "since": "2027-01-15T08:00:00Z",
        "detail": "vm1: too old",
    }
    given = (tmp_path / "env").read_text()
    assert "TIDEGATE_MESSAGE=vm1: too old\nover: vm\\n2: oversize\n" in given
    assert f"TIDEGATE_SUBJECT=tidegate on {told['host']}: vm1: too old and 1 more\n" in given


def test_thousands_of_troubles_fit_into_an_environment() -> None:
    many = [ITEMS[0]._replace(detail="ü" * 5000)] * 5000
    ended = run(
        'test "${#TIDEGATE_MESSAGE}" -gt 1000 && cat > /dev/null', environment=message.environment("pass", many)
    )
    assert ended.is_ok


def test_what_it_says_last_is_told_when_it_fails() -> None:
    assert run("echo well; echo 'no route\a' >&2; exit 7").summary == "sh ended with status 7: no route\\x07"
    assert run("kill -9 $$").summary == "sh was ended by SIGKILL"
    assert run("kill -35 $$").summary == "sh was ended by signal 35"


def test_one_that_cannot_be_run_is_a_sentence() -> None:
    assert command.run(["/no/such"], b"", {}, 1.0).summary == "/no/such cannot be run: No such file or directory"


def test_one_that_reads_nothing_of_much_ends_well() -> None:
    assert run("exit 0", told=b"x" * 10_000_000).is_ok


def test_one_that_prints_much_ends_well() -> None:
    assert run("head -c 10000000 /dev/zero").is_ok


@pytest.mark.parametrize("stubborn", ["", "trap '' TERM; "])
def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path, stubborn: str) -> None:
    began = time.monotonic()
    ended = run(f"{stubborn}sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/own; wait", seconds=0.5)
    assert time.monotonic() - began < 5.0
    assert ended.summary == "sh had not ended after 0.5 s, and was ended"
    assert goes(tmp_path / "child")
    assert goes(tmp_path / "own")


def test_what_it_leaves_running_is_ended_with_it_and_delays_nothing(tmp_path: Path) -> None:
    """One that prints without end holds the pipe, too."""
    ended = run(f"yes & echo $! > {tmp_path}/child; exit 0")
    assert ended.is_ok
    assert ended.seconds < 5.0
    assert goes(tmp_path / "child")


def test_one_that_leaves_its_group_delays_nothing(tmp_path: Path) -> None:
    """It is out of reach; but nobody waits for the end of its output."""
    ended = command.run([sys.executable, "-c", LEAVES], b"", {}, 10.0)
    assert ended.is_ok
    assert ended.seconds < 4.0
