"""The state file cannot be written: locked by somebody, its disk full, its folder read-only. Nothing seen is lost."""

import threading
from functools import partial
from pathlib import Path

import pytest

from core.state import counters
from core.state.database import State
from tests.waiting import until
from tests.watcher.disks import Disk, Disks, read_only
from tests.watcher.site import Site, done
from watcher import folder


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again after a second, then two, up to a minute; in a test that is sooner."""
    monkeypatch.setattr(folder, "_FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(folder, "_LONGEST_RETRY_SECONDS", 0.2)


@pytest.fixture
def apart(tmp_path: Path, disks: Disks) -> tuple[Site, Disk]:
    """A site whose state has a small disk to itself."""
    disk = disks("tmpfs")
    folder = tmp_path / "state"
    folder.mkdir()
    disk.mount(folder, "size=1m")
    site = Site(tmp_path / "host")
    site.host.configure(watch={"scan_interval": "1h"}, state={"path": str(folder / "state.db")})
    again = Site.__new__(Site)
    again.__dict__ |= site.__dict__ | {"config": site.host.config(), "state": State(folder / "state.db")}
    return again, disk


def complained(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return any("nothing is lost, next try" in one and words in one for one in list(caplog.messages))


def recovers(site: Site) -> None:
    """What was marked meanwhile is recorded, what was removed is withdrawn, and what comes is recorded."""
    until(lambda: site.waiting() == {"vm3", "set/vm2"}, "what was marked meanwhile was never recorded")
    done(site.dumps, "vm4")
    site.records("vm4")


def test_while_somebody_holds_the_lock_markers_wait_and_are_recorded_once_it_is_free(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A minute is waited for a lock; then its holder is logged, and it is waited for again."""
    other = State(site.config.state.path)
    monkeypatch.setattr(site.state, "write", partial(site.state.write, wait=0.1))
    free, held = threading.Event(), threading.Event()

    def hold() -> None:
        with other.write():
            held.set()
            free.wait()

    holder = threading.Thread(target=hold)
    with site.watched():
        done(site.dumps, "vm1")
        site.records("vm1")
        holder.start()
        held.wait()
        try:
            (site.dumps / "set").mkdir()
            done(site.dumps / "set", "vm2")
            done(site.dumps, "vm3")
            (site.dumps / "vm1.done").unlink()
            until(lambda: complained(caplog, "is in use by process"))
            assert site.waiting() == {"vm1"}
        finally:
            free.set()
            holder.join()
        recovers(site)
    times = dict(site.times().buckets)
    assert times["+Inf"] == 4
    assert times[f"{counters.DELAY_BOUNDS[-1]:g}"] == 4


def test_while_the_disk_of_the_state_is_full_markers_wait(
    apart: tuple[Site, Disk], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log; reading goes on, so that the metrics do."""
    site, _ = apart
    filler = site.config.state.path.parent / "filler"
    with site.watched():
        done(site.dumps, "vm1")
        site.records("vm1")
        _fill(filler)
        for number in range(400):  # more than the room that the state has made itself before
            done(site.dumps, f"many{number}")
        until(lambda: complained(caplog, "cannot be used"), "the full disk was never met")
        assert site.status() is not None
        (site.dumps / "vm1.done").unlink()
        filler.unlink()
        until(lambda: len(site.waiting()) == 400)
        done(site.dumps, "vm4")
        site.records("vm4")


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        for size in (4096, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue


def test_while_the_folder_of_the_state_is_read_only_markers_wait(
    apart: tuple[Site, Disk], caplog: pytest.LogCaptureFixture
) -> None:
    """As a filesystem becomes that finds itself broken."""
    site, _ = apart
    with site.watched():
        done(site.dumps, "vm1")
        site.records("vm1")
        with read_only(site.config.state.path.parent):
            (site.dumps / "set").mkdir()
            done(site.dumps / "set", "vm2")
            done(site.dumps, "vm3")
            (site.dumps / "vm1.done").unlink()
            until(lambda: complained(caplog, "Read-only file system"))
            assert site.waiting() == {"vm1"}
        recovers(site)
