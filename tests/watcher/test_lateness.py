"""How late markers are recorded is seen and not assumed: the times, and what only scans have found."""

import os
import threading
from pathlib import Path

import pytest

from core.state import counters
from core.state.database import State
from tests.waiting import until
from tests.watcher.site import Site, done
from watcher import event_queue
from watcher.inotify import FolderEvents


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that comes later than two seconds after its scan is none; in a test that is sooner."""
    monkeypatch.setattr(event_queue, "_GRACE_SECONDS", 0.2)


def in_all(site: Site) -> int:
    return dict(site.times().buckets)["+Inf"]


def test_the_time_from_a_marker_to_its_record_is_counted_once_for_each(site: Site) -> None:
    """By the marker's own ctime, so that a service that was late is seen whatever kept it."""
    with site.watched():
        for number in range(5):
            done(site.dumps, f"vm{number}")
        until(lambda: in_all(site) == 5)
        (site.dumps / "vm0.done").touch()  # said anew
        until(lambda: in_all(site) == 6)
    assert dict(site.times().buckets)["10"] == 6
    assert 0 < site.times().sum < 60


def test_what_stood_there_before_the_first_scan_ever_does_not_count_and_what_came_in_a_break_does(site: Site) -> None:
    """Old dumps say nothing of us; those that waited for a service that was down do."""
    done(site.dumps, "old")
    with site.watched():
        pass
    assert in_all(site) == 0
    done(site.dumps, "vm1")
    with site.watched():
        assert in_all(site) == 1


def test_a_dump_that_is_looked_at_again_is_not_late(site: Site) -> None:
    """Its marker was recorded when it came."""
    (site.dumps / "vm1.done").touch()
    with site.watched() as watcher:
        done(site.dumps, "vm2")
        site.records("vm2")
        (site.dumps / "vm1").write_bytes(b"x")
        os.utime(site.dumps / "vm1", (0, 0))
        watcher._folders[0].request_scan()
        until(lambda: "vm1" in site.waiting())
    assert in_all(site) == 1


def test_the_times_outlive_the_service_and_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """They are in the state; a negative time counts as none."""
    for _ in range(2):
        state = State(tmp_path / "state.db")
        with state.write() as connection:
            counters.count_delays(connection, [-5.0, 0.01, 0.02, 4000.0])
            counters.count_delays(connection, [])
        state.close()
    with State(tmp_path / "state.db").read() as connection:
        found = counters.delays(counters.counters(connection))
    assert found.sum == pytest.approx(8000.06)
    assert [count for _, count in found.buckets] == [4] + [6] * (len(counters.DELAY_BOUNDS) - 1) + [8]


# --- what no event has reported


def test_a_scan_beside_living_events_misses_no_event(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often one comes in between, and though it often is the first to see a marker."""
    monkeypatch.setattr(event_queue, "_GRACE_SECONDS", 2.0)
    with site.watched() as watcher:
        for number in range(200):
            done(site.dumps, f"vm{number}")
            if number % 20 == 0:
                (site.dumps / f"set{number}").mkdir()
                done(site.dumps / f"set{number}", "vm")
            watcher._folders[0].request_scan()
        until(lambda: len(site.waiting()) == 210)
        end = threading.Event()
        end.wait(2.5)  # in which they would be counted
    assert site.counted("missed_events") == 0


def test_what_only_a_scan_finds_is_counted_for_its_folder(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a filesystem that gives no events for what another host writes."""
    done(site.dumps, "before")
    site.beside("second")
    monkeypatch.setattr(FolderEvents, "on_event", lambda *_: None)
    with site.watched() as watcher:
        for number in range(3):
            done(site.dumps, f"vm{number}")
        assert not site.is_recorded("vm0")
        for folder in watcher._folders:
            folder.request_scan()
        until(lambda: site.counted("missed_events") == 3)
    assert site.counted("missed_events", "second") == 0
    assert any("found 3 markers without an event" in one for one in caplog.messages)


def test_polling_announces_nothing_and_counts_nothing(tmp_path: Path) -> None:
    """There a scan is how it is meant to be found."""
    site = Site(tmp_path, mode="poll", scan_interval="1s")
    with site.watched():
        done(site.dumps, "vm1")
        site.records("vm1")
        done(site.dumps, "vm2")
        site.records("vm2")
    assert site.counted("missed_events") == 0
    status = site.status()
    assert status is not None
    assert status.listening is None
