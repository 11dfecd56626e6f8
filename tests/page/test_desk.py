"""What the service makes of its page's process, whatever becomes of that: pages or sentences, and in time."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from core.state.database import State
from exporters.page.desk import MOST_WAITING, Desk
from tests.clock import GivenClock
from tests.exporters.client import wait_for
from tests.host import ROOT
from tidegate.daemon.http_app import HttpApplication

#: A child that answers with its own number. What it is asked for says what it does instead.
_CHILD = """
import os, signal, sys
sys.path.insert(0, {root!r})
from exporters.server import HTML, Response
from exporters.page import wire
for target in wire.questions(0, float(sys.argv[1])):
    if target == "/die":
        os._exit(1)
    if target == "/hang":
        signal.pause()
    if target == "/babble":
        os.write(1, b"hello\\n")
        continue
    more = b"x" * (3 << 20) if target == "/long" else b""
    wire.tell(1, Response(200, HTML, b"<main><!--notice-->%d" % os.getpid() + more))
"""


def desk_of(folder: Path, idle: float = 60, io_timeout: float = 10) -> Desk:
    script = folder / "child.py"
    script.write_text(_CHILD.format(root=str(ROOT)))
    return Desk([sys.executable, str(script), str(idle)], io_timeout)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = desk_of(tmp_path)
    yield desk
    desk.close()


def child_of(desk: Desk, target: str = "/") -> int:
    answer = desk(target)
    assert answer.status is HTTPStatus.OK, answer.body
    return int(answer.body.partition(b"-->")[2])


def test_one_child_answers_all(desk: Desk) -> None:
    """It is started once, and keeps what it has looked at."""
    assert child_of(desk) == child_of(desk, "/other")


def test_an_answer_of_megabytes_comes_whole(desk: Desk) -> None:
    """Much longer than a pipe is, and the next one begins behind it."""
    assert len(desk("/long").body) > 3 << 20
    assert child_of(desk) == child_of(desk)


def test_a_child_that_was_killed_is_followed_by_another(desk: Desk) -> None:
    """Nobody notices."""
    before = child_of(desk)
    os.kill(before, signal.SIGKILL)
    assert child_of(desk) not in {0, before}


def test_a_child_that_ended_for_want_of_questions_is_followed_by_another(tmp_path: Path) -> None:
    """Its memory is given back, and it leaves no dead process behind."""
    desk = desk_of(tmp_path, idle=0.05)
    before = child_of(desk)
    wait_for(lambda: not Path(f"/proc/{before}").exists())
    assert child_of(desk) != before
    desk.close()


@pytest.mark.parametrize("target", ["/?vm=" + "\xe9" * 16_000, "/" + "x" * 70_000], ids=["in bytes", "in letters"])
def test_a_question_longer_than_a_pipe_reaches_no_child(desk: Desk, target: str) -> None:
    """It would end the one that has looked, or wait for ever for one that hangs, and every other page with it."""
    before = child_of(desk)
    assert desk(target).status is HTTPStatus.REQUEST_URI_TOO_LONG
    assert child_of(desk) == before


def test_one_that_always_dies_is_a_sentence(desk: Desk) -> None:
    """Not a 500, and the next question is answered."""
    answer = desk("/die")
    assert answer.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert (
        answer.body
        == b"There is no page now: the process that makes the pages has ended; the service's log says more.\n"
    )
    assert child_of(desk)


def test_one_that_says_nonsense_is_ended(desk: Desk) -> None:
    """What follows would be nonsense too."""
    before = child_of(desk)
    assert desk("/babble").status is HTTPStatus.SERVICE_UNAVAILABLE
    assert child_of(desk) != before


def test_one_that_hangs_leaves_the_last_page_which_says_so(tmp_path: Path) -> None:
    """After its time; and another one is started for the next question."""
    desk = desk_of(tmp_path, io_timeout=1.0)
    before = child_of(desk)
    os.kill(before, signal.SIGSTOP)
    told = desk("/").body
    assert told.startswith(b'<main><p class="notice" role="alert">No newer page than this one: none could be made')
    assert told.endswith(b"</p>%d" % before)
    assert child_of(desk) != before
    desk.close()


def test_a_page_that_was_never_made_is_a_sentence(tmp_path: Path) -> None:
    """Others may have been made before."""
    desk = desk_of(tmp_path, io_timeout=1.0)
    assert child_of(desk)
    answer = desk("/hang")
    assert answer.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.body == b"There is no page now: none could be made within 1 s; a disk may hang.\n"
    desk.close()


def test_more_than_a_few_who_wait_are_sent_away_at_once(tmp_path: Path) -> None:
    """The others of the server's seats stay free for the scrapes."""
    desk = desk_of(tmp_path, io_timeout=2.0)
    began = time.monotonic()
    waiting = [threading.Thread(target=desk, args=("/hang",)) for _ in range(MOST_WAITING)]
    for one in waiting:
        one.start()
    wait_for(lambda: desk._seats._value == 0)
    answer = desk("/")
    assert answer.body == b"Too many ask for pages at once; ask again in a moment.\n"
    assert time.monotonic() - began < 2.0
    for one in waiting:
        one.join()
    desk.close()


def test_the_service_itself_loads_nothing_that_makes_pages() -> None:
    """Neither templates nor the planner: they would be in its memory for good."""
    code = "import sys, tidegate.daemon.service; print(*{'jinja2', 'policy.planner.forecast'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_state_that_cannot_be_read_is_not_ready(tmp_path: Path) -> None:
    """Neither is a service that has not scanned yet. That it turns is another question."""
    state = State(tmp_path / "state.db")
    clock = GivenClock()
    site = HttpApplication(lambda: b"", tmp_path / "config.toml", state, clock)
    assert site("/-/ready")[::2] == (503, b"The first scan is not done yet.\n")
    site.has_scanned()
    assert site("/-/ready").status == 200
    state.close()
    for file in tmp_path.iterdir():
        file.write_bytes(b"no database")
    assert site("/-/ready").status == 503
    assert b"state.db: the state file is damaged" in site("/-/ready").body
    assert site("/-/healthy").status == 200
    clock.advance(121)
    assert site("/-/healthy")[::2] == (503, b"The watch service has not responded for 121 s.\n")
    site.alive()
    assert site("/-/healthy").status == 200
