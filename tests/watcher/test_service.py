"""The service: what is marked is recorded soon, whatever happens at the same moment, and none of it twice."""

import datetime
import os
import re
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from core import failpoints
from core.clock import SystemClock
from core.config.settings import PassSettings
from core.enums import DumpState, MarkerResult
from core.errors import BusyError
from tests.waiting import WAIT_SECONDS, until
from tests.watcher.site import Site, done
from watcher import folder, service
from watcher.event_queue import EventQueue
from watcher.service import Watcher


class Hook:
    """Does something the first time that a trace point is passed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, point: str, what: object) -> None:
        self._point = point
        self._what = what
        self.passed = Counter[str]()
        monkeypatch.setattr(failpoints, "hook", self)

    def __call__(self, name: str) -> None:
        self.passed[name] += 1
        if name == self._point and self.passed[name] == 1 and callable(self._what):
            self._what()


# --- nothing falls between


@pytest.mark.parametrize("point", ["opened", "armed", "scanned", "observed", "recorded"])
def test_a_marker_made_at_any_instant_of_the_first_scan_is_recorded(
    point: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a folder is listed it is listened to: what the list misses, an event tells."""
    done(site.dumps, "vm1")
    Hook(monkeypatch, point, lambda: done(site.dumps, "late"))
    with site.watched():
        site.records("late")


def test_a_marker_in_a_folder_that_is_just_being_made_is_recorded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the folder was armed and before it was listed, and after it was listed."""
    with site.watched():
        made = iter(["early", "late"])
        passed = Counter[str]()

        def mark(point: str) -> None:
            passed[point] += 1
            if point in ("armed", "scanned") and passed[point] == 1:
                done(site.dumps / "new", next(made))

        monkeypatch.setattr(failpoints, "hook", mark)
        (site.dumps / "new").mkdir()
        site.records("new/early")
        site.records("new/late")


def test_a_dump_made_anew_and_a_marker_removed_are_recorded_too(site: Site) -> None:
    """While it runs, without a scan."""
    with site.watched():
        done(site.dumps, "vm1", b"old")
        until(lambda: site.states("vm1") == [DumpState.PENDING])
        done(site.dumps, "vm1", b"new")
        until(lambda: site.states("vm1") == [DumpState.SUPERSEDED, DumpState.PENDING])
        (site.dumps / "vm1.done").unlink()
        until(lambda: site.states("vm1") == [DumpState.SUPERSEDED, DumpState.REVOKED])


def test_after_an_overflow_nothing_is_missing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that reads events is held up until the kernel's queue has run over."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip(f"the queue holds {most} events here")
    free = threading.Event()
    real = EventQueue.dump

    def held_up(queue: EventQueue, path: str) -> None:
        free.wait(WAIT_SECONDS)
        real(queue, path)

    with site.watched():
        monkeypatch.setattr(EventQueue, "dump", held_up)
        for number in range(most + 5000):
            os.close(os.open(site.dumps / f"vm{number % 50}.done", os.O_CREAT | os.O_WRONLY))
            os.unlink(site.dumps / f"vm{number % 50}.done")
        done(site.dumps, "last")
        free.set()
        site.records("last")
        until(lambda: site.counted("watch_overflows") > 0)


# --- one watcher, which ends well


def test_a_second_watcher_is_told_who_the_first_is(site: Site) -> None:
    """And does nothing."""
    with site.watched(), pytest.raises(BusyError, match=rf"process {os.getpid()} ") as rejection:
        Watcher(site.config, site.state, SystemClock()).run()
    assert re.search(r"are already watched by .*; nothing was done, retry later", str(rejection.value))


def test_what_was_seen_is_recorded_before_it_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped in the midst of its work."""
    with site.watched() as watcher:
        Hook(monkeypatch, "observed", watcher.stop)
        for number in range(200):
            done(site.dumps, f"vm{number}")
        done(site.dumps, "last")
    recorded = site.waiting()
    assert recorded
    with site.watched():
        assert site.waiting() == {f"vm{number}" for number in range(200)} | {"last"}
    assert site.counted("markers", MarkerResult.RECORDED) == 201


def test_it_ends_soon_while_markers_rain_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What events have reported by then is recorded; what comes meanwhile is left to the next start."""
    rain = Rain(site, monkeypatch)
    with site.watched():
        rain.begin()
        site.records("vm20")
        stopped = time.monotonic()
    assert time.monotonic() - stopped < service._END_SECONDS / 2
    assert len(site.waiting()) == rain.fallen - 1
    monkeypatch.undo()
    with site.watched():
        assert len(site.waiting()) == rain.fallen
    assert site.counted("markers", MarkerResult.RECORDED) == rain.fallen


class Rain:
    """While any marker is recorded the next one is made, and reported."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fallen = 0
        self._folder = site.dumps
        self._heard = threading.Event()
        real = EventQueue.dump

        def name(queue: EventQueue, path: str) -> None:
            real(queue, path)
            self._heard.set()

        monkeypatch.setattr(EventQueue, "dump", name)
        monkeypatch.setattr(failpoints, "hook", lambda point: self._fall() if point == "observed" else None)

    def begin(self) -> None:
        self._mark()

    def _fall(self) -> None:
        self._heard.clear()
        self._mark()
        assert self._heard.wait(WAIT_SECONDS)

    def _mark(self) -> None:
        name = f"vm{self.fallen}"
        self.fallen += 1  # before its marker is reported: then the other thread works
        done(self._folder, name)


def test_while_the_state_is_locked_what_rings_is_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a pass of many thousand dumps, or by somebody who forgot it."""
    write = site.state.write
    monkeypatch.setattr(site.state, "write", lambda: write(wait=0.05))
    monkeypatch.setattr(folder, "_FIRST_RETRY_SECONDS", 0.05)
    with site.watched():
        hook = Hook(monkeypatch, "", None)
        with write():
            done(site.dumps, "vm1")
            until(lambda: hook.passed["observed"] >= 2)
            assert not site.is_recorded("vm1")
        site.records("vm1")


def test_recording_goes_on_while_the_daily_pass_runs(site: Site) -> None:
    """The pass has a thread, and in the real service a process, of its own."""
    begun, may_end = threading.Event(), threading.Event()

    def run() -> None:
        begun.set()
        may_end.wait(WAIT_SECONDS)

    site.config = site.config.replace(daily_pass=PassSettings(at=datetime.time()))
    with site.watched(run_pass=run):
        assert begun.wait(WAIT_SECONDS)
        done(site.dumps, "vm1")
        site.records("vm1")
        may_end.set()


def test_several_folders_are_followed_at_once(site: Site) -> None:
    """Each under its own name."""
    other = site.beside("other")
    with site.watched():
        done(site.dumps, "vm1")
        done(other, "vm1")
        site.records("vm1")
        site.records("vm1", "other")
