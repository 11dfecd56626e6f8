"""Kernel events are not complete: some were dropped, no watches are left, or the thread that reads them has died."""

import logging
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.waiting import until
from tests.watcher.site import Site, done
from tests.watcher.started import started
from watcher import folder, inotify
from watcher.inotify import Inotify

#: The kernel keeps so many events for each instance.
_QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
_WATCHES = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())


# --- overflow


@pytest.mark.skipif(_QUEUE > 20_000, reason="an overflow would take too many files")
def test_what_the_kernel_drops_while_the_service_stands_still_is_found_by_one_scan(site: Site) -> None:
    """A process that is stopped, a paused VM, a machine that swaps: the queue is finite."""
    burst = _QUEUE // 2 + 500  # touch makes two events
    with started(site) as service:
        service.process.send_signal(signal.SIGSTOP)
        subprocess.run(["sh", "-c", f'cd "$0" && seq -f vm%g.failed {burst} | xargs touch', site.dumps], check=True)
        service.process.send_signal(signal.SIGCONT)
        until(lambda: site.counted("markers", "failed") == burst)
        until(lambda: site.counted("watch_overflows") > 0)
        done(site.dumps, "after")
        site.records("after")
        assert "the kernel has dropped events" in service.log


@pytest.mark.skipif(_QUEUE > 20_000 or _WATCHES < 25_000, reason="this kernel's limits are others")
def test_an_overflow_over_twenty_thousand_folders_is_over_after_one_scan(site: Site) -> None:
    """Each has a watch of its own, whose arming must not fill the queue anew; what comes later gives events again."""
    many = 20_000
    for number in range(many):
        (site.dumps / f"set{number}").mkdir()
    with started(site) as service:
        service.process.send_signal(signal.SIGSTOP)
        for number in range(many):
            (site.dumps / f"set{number}" / "vm.failed").touch()
        service.process.send_signal(signal.SIGCONT)
        until(lambda: site.counted("markers", "failed") == many, "the scan has not found them all")
        for number in range(0, many, 1000):
            done(site.dumps / f"set{number}", "later")
        for number in range(0, many, 1000):
            site.records(f"set{number}/later")
        assert site.counted("watch_overflows") == 1


# --- no watches, no instances


def test_without_watches_for_all_folders_it_is_said_and_scans_do_the_rest(site: Site) -> None:
    """Some folders are watched and others are not: that must be visible, in the log as in the metrics."""
    site.host.configure(watch={"scan_interval": "2s"})
    for number in range(6):
        (site.dumps / f"set{number}").mkdir()
    with started(site, {"max_inotify_watches": 4}) as service:
        service.logs("fs.inotify.max_user_watches is used up; markers without an event are found by a scan every 2 s")
        until(lambda: (status := site.status()) is not None and status.listening is False)
        for number in range(6):
            done(site.dumps / f"set{number}", "vm")
        for number in range(6):
            site.records(f"set{number}/vm")
        until(lambda: site.counted("missed_events") > 0)
        assert service.log.count("max_user_watches") == 1


def test_a_folder_that_comes_when_no_watch_is_left_is_said_too(site: Site) -> None:
    """Not only at the start."""
    site.host.configure(watch={"scan_interval": "2s"})
    with started(site, {"max_inotify_watches": 2}) as service:
        until(lambda: (status := site.status()) is not None and status.listening is True)
        for name in ("a", "b", "c"):
            (site.dumps / name).mkdir()
            done(site.dumps / name, "vm")
        service.logs("fs.inotify.max_user_watches is used up")
        for name in ("a", "b", "c"):
            site.records(f"{name}/vm")
            done(site.dumps / name, "later")
        for name in ("a", "b", "c"):
            site.records(f"{name}/later")


def test_without_an_instance_it_is_said_and_scans_do_it_all(site: Site) -> None:
    """Other programs of the same user hold them."""
    site.host.configure(watch={"scan_interval": "2s"})
    with started(site, {"max_inotify_instances": 0}) as service:
        service.logs("fs.inotify.max_user_instances, or the limit of open files, is used up")
        done(site.dumps, "vm1")
        site.records("vm1")
        assert site.is_up()


def test_events_are_complete_again_when_there_is_room_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The admin raises the limit and restarts nothing."""
    monkeypatch.setattr(folder, "_DEGRADED_SECONDS", 0.2)
    caplog.set_level(logging.INFO, "tidegate.watcher")
    room = threading.Event()

    def scarce(*given: object) -> Inotify:
        if not room.is_set():
            raise OSError(24, os.strerror(24))
        return Inotify(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(inotify, "Inotify", scarce)
    with site.watched():
        until(lambda: (status := site.status()) is not None and status.listening is False)
        room.set()
        until(lambda: (status := site.status()) is not None and status.listening is True)
        done(site.dumps, "vm1")
        site.records("vm1")
    assert "dumps: all its folders are watched by kernel events again" in caplog.messages


# --- the thread that reads


def _reader() -> threading.Thread:
    [reader] = [thread for thread in threading.enumerate() if type(thread).__name__ == "_Reader"]
    return reader


def _break(reader: threading.Thread) -> None:
    """Its next read fails, whatever it reads."""

    def fail(*_: object) -> bytes:
        raise RuntimeError("broken by the test")

    reader._read_event_buffer = fail  # type: ignore[attr-defined]


def test_a_reader_that_dies_is_replaced_and_what_it_has_missed_is_found(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that has ended tells nobody; here it does. One that dies at once again waits for the next scan."""
    monkeypatch.setattr(inotify, "_SHORTEST_LIFE_SECONDS", 0.0)
    with site.watched():
        first = _reader()
        _break(first)
        done(site.dumps, "vm1")
        site.records("vm1")
        until(lambda: not first.is_alive())
        done(site.dumps, "vm2")
        site.records("vm2")
        assert _reader() is not first


def test_a_reader_that_dies_again_and_again_makes_no_scans_without_end(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then a scan now and then does it, and it is said."""
    monkeypatch.setattr(folder, "_DEGRADED_SECONDS", 1.0)
    with site.watched():
        _break(_reader())
        done(site.dumps, "vm1")
        until(lambda: any("its events fail again and again" in one for one in caplog.messages))
        done(site.dumps, "vm2")
        site.records("vm2")
        until(lambda: (status := site.status()) is not None and status.listening is True)
