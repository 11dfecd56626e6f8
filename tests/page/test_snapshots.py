"""One look at a time for all who ask, taken anew when there is news, and never waited for without end."""

import threading
import time
from collections.abc import Iterator

import pytest

from core.errors import FaultError
from tests.exporters.client import wait_for
from tidegate.cli import snapshots
from tidegate.cli.snapshots import Snapshots


class Looks:
    """Counts looks; each waits until it may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[int] = []
        self.version = 0
        self.fault: Exception | None = None
        self.may_end = threading.Event()
        self.may_end.set()
        self.newest = Snapshots(self._make, lambda: self.version, self.ended.append).newest

    def _make(self) -> int:
        self.begun += 1
        number = self.begun
        self.may_end.wait(30)
        if self.fault is not None:
            raise self.fault
        return number


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Looks]:
    """Without the rest between two looks."""
    monkeypatch.setattr(snapshots, "_REST", 0.0)
    looks = Looks()
    yield looks
    looks.may_end.set()


def test_nothing_new_is_no_new_look(looks: Looks) -> None:
    """Whoever asks is given the same."""
    assert [looks.newest(5, 5) for _ in range(3)] == [(1, None)] * 3


def test_news_and_age_are_a_new_look_each(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the old one is ended, once nobody can be reading it."""
    looks.newest(5, 5)
    looks.version = 1
    assert looks.newest(5, 5) == (2, None)
    monkeypatch.setattr(snapshots, "FRESH_SECONDS", 0.0)
    assert looks.newest(5, 5) == (3, None)
    assert looks.ended == [1]


def test_while_a_look_is_taken_the_last_one_is_shown_and_no_other_is_begun(looks: Looks) -> None:
    """A page waits for it as long as it has patience."""
    looks.newest(5, 5)
    looks.may_end.clear()
    looks.version = 1
    assert [looks.newest(0.01, 5) for _ in range(3)] == [(1, None)] * 3
    assert looks.begun == 2
    looks.may_end.set()
    assert looks.newest(5, 5) == (2, None)


def test_a_look_that_has_no_end_is_told(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there was never one."""
    monkeypatch.setattr(snapshots, "_LONG_SECONDS", 0.0)
    looks.may_end.clear()
    look, trouble = looks.newest(0.01, 0.01)
    assert look is None
    assert trouble is not None
    assert trouble.endswith("has no end: does a disk hang?")


def test_a_look_that_fails_leaves_the_last_one_and_says_why(looks: Looks, caplog: pytest.LogCaptureFixture) -> None:
    """A fault in its own words, a bug in the log; and what comes after it is shown again."""
    looks.newest(5, 5)
    looks.fault, looks.version = FaultError("state.db: the disk is away"), 1
    assert looks.newest(5, 5) == (1, "state.db: the disk is away")
    looks.fault = ZeroDivisionError()
    assert looks.newest(5, 5) == (1, "a bug; the service's log says more")
    assert "ZeroDivisionError" in caplog.text
    looks.fault = None
    assert looks.newest(5, 5)[1] is None


def test_after_a_look_there_is_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """In which the last one is shown, however much news there is."""
    monkeypatch.setattr(snapshots, "_REST", 1e9)
    looks = Looks()
    assert looks.newest(5, 5) == (1, None)
    looks.version = 1
    assert looks.newest(5, 5) == (1, None)


def test_many_who_ask_at_once_share_one_look(looks: Looks) -> None:
    """The first one too."""
    looks.may_end.clear()
    answers: list[tuple[int | None, str | None]] = []
    asking = [threading.Thread(target=lambda: answers.append(looks.newest(30, 30))) for _ in range(8)]
    for one in asking:
        one.start()
    wait_for(lambda: looks.begun == 1)
    began = time.monotonic()
    looks.may_end.set()
    for one in asking:
        one.join()
    assert answers == [(1, None)] * 8
    assert time.monotonic() - began < 10
