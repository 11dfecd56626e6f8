"""Kernel events: each way of making a marker puts its dump into the queue, and nothing else does."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mounts import Mount
from tests.real_parts import needs_root
from tests.waiting import until
from tests.watcher.place import Place, open_files
from watcher.event_queue import EventQueue, Pending
from watcher.inotify import FolderEvents
from watcher.walk import list_markers
from watcher.watch_tree import WatchTree

NEVER = float("inf")
LAST = "last.of.all"


class Events:
    """The events of the dump folder of a place, and what they have put into the queue."""

    def __init__(self, place: Place) -> None:
        self.dumps = place.watch.path
        self.tree = WatchTree(place.config, place.watch)
        self.queue = EventQueue()
        self.events = FolderEvents(self.tree, self.queue, lambda: 0.0, 60.0)
        self.events.prepare()
        self.arm()

    def arm(self) -> None:
        """As a scan does: each folder before it is listed."""
        with self.tree.open_root() as root:
            list_markers(self.tree, root, [""], self.events.arm)

    def wait(self) -> None:
        """Until something is in the queue."""
        until(lambda: self.queue.due() < NEVER)

    def pending(self) -> Pending:
        """All that events put into the queue until the marker that is made now; events come in order."""
        (self.dumps / f"{LAST}.done").write_text("")
        dumps, folders, scan = dict[str, None](), dict[str, None](), False
        while LAST not in dumps:
            self.wait()
            taken = self.queue.take(1000, 0.0)
            dumps |= dict.fromkeys(taken.dumps)
            folders |= dict.fromkeys(taken.folders)
            scan |= taken.scan
        return Pending(list(dumps)[:-1], list(folders), scan)

    def named(self) -> list[str]:
        """The dumps of it."""
        return self.pending().dumps

    def folders(self) -> set[str]:
        """The folders of it."""
        return set(self.pending().folders)


@pytest.fixture
def events(place: Place) -> Iterator[Events]:
    with open_files():
        events = Events(place)
        yield events
        events.events.close()


# --- which events count


def touch(marker: Path, _: Path) -> None:
    subprocess.run(["touch", marker], check=True)


def redirect(marker: Path, _: Path) -> None:
    subprocess.run(["sh", "-c", 'echo "{}" > "$1"', "sh", marker], check=True)


def rename_beside(marker: Path, _: Path) -> None:
    aside = marker.with_name("aside.tmp")
    aside.touch()
    aside.rename(marker)


def rename_in(marker: Path, elsewhere: Path) -> None:
    (elsewhere / "marker").touch()
    (elsewhere / "marker").rename(marker)


def copy(marker: Path, elsewhere: Path) -> None:
    (elsewhere / "marker").touch()
    shutil.copy2(elsewhere / "marker", marker)


def link(marker: Path, elsewhere: Path) -> None:
    (elsewhere / "marker").touch()
    os.link(elsewhere / "marker", marker)


def symlink(marker: Path, _: Path) -> None:
    marker.symlink_to("/etc/passwd")


def fifo(marker: Path, _: Path) -> None:
    os.mkfifo(marker)


@pytest.mark.parametrize("make", [touch, redirect, rename_beside, rename_in, copy])
@pytest.mark.parametrize("name", ["vm1", "sub/vm1", "v\udcff\n1"])
def test_a_marker_that_is_whole_is_queued_at_once(
    make: Callable[[Path, Path], None], name: str, events: Events, tmp_path: Path
) -> None:
    """For its dump, by its path in the watch folder."""
    (events.dumps / "sub").mkdir()
    events.arm()
    make(events.dumps / f"{name}.done", tmp_path)
    assert events.named() == [name]


@pytest.mark.parametrize("make", [link, symlink, fifo])
def test_a_marker_that_nobody_closes_is_queued_a_moment_later(
    make: Callable[[Path, Path], None], events: Events, tmp_path: Path
) -> None:
    """It might be one that is still written into."""
    make(events.dumps / "vm1.done", tmp_path)
    events.wait()
    assert events.queue.due() == pytest.approx(0.5)
    assert events.queue.take(10, 0.5).dumps == ["vm1"]


def rewrite(marker: Path) -> None:
    marker.write_text("{}")


def touch_again(marker: Path) -> None:
    os.utime(marker)  # as a busybox touches: without opening it


def remove(marker: Path) -> None:
    marker.unlink()


def move_away(marker: Path) -> None:
    marker.rename(marker.with_name("other"))


@pytest.mark.parametrize("change", [rewrite, touch_again, remove, move_away])
@pytest.mark.parametrize("kind", ["done", "failed", "running"])
def test_a_marker_that_changes_or_goes_is_queued(change: Callable[[Path], None], kind: str, events: Events) -> None:
    """Of every kind."""
    (events.dumps / f"vm1.{kind}").touch()
    events.named()
    change(events.dumps / f"vm1.{kind}")
    assert events.named() == ["vm1"]


def test_dumps_and_whatever_else_is_written_queue_nothing(events: Events) -> None:
    """A storm of them leaves nothing to hold in memory."""
    for number in range(500):
        (events.dumps / f"vm{number}.img").write_bytes(b"x")
        (events.dumps / f".vm{number}.done").touch()
    (events.dumps / "vm1.img").read_bytes()
    (events.dumps / ".done").touch()
    assert events.named() == []
    assert events.queue.due() == NEVER


# --- folders


def test_a_folder_that_comes_or_goes_is_queued(events: Events, tmp_path: Path) -> None:
    """What is in it by then gives no event: it is scanned."""
    (events.dumps / "made" / "deep").mkdir(parents=True)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved").rename(events.dumps / "moved")
    assert events.folders() == {"made", "moved"}
    events.arm()
    (events.dumps / "made" / "deep").rmdir()
    (events.dumps / "moved").rename(tmp_path / "moved")
    assert events.folders() == {"made/deep", "moved"}


def test_folders_that_nobody_looks_into_queue_nothing(events: Events) -> None:
    """The export tree, its staging folder, and other dot names."""
    for name in (".rsync", ".rsync.staging", ".hidden"):
        (events.dumps / name).mkdir()
        (events.dumps / name / "vm1.done").touch()
    assert events.pending() == Pending([], [])


def test_a_folder_with_another_time_or_mode_queues_nothing(events: Events) -> None:
    """rsync gives every folder its time when it has filled it."""
    (events.dumps / "sub").mkdir()
    events.arm()
    events.folders()
    for path in (events.dumps, events.dumps / "sub"):
        os.utime(path, (1, 1))
        path.chmod(0o750)
    assert events.pending() == Pending([], [])


def test_without_recursion_no_folder_is_queued(tmp_path: Path) -> None:
    """``recursive = false``."""
    place = Place(tmp_path, recursive=False)
    events = Events(place)
    (events.dumps / "sub").mkdir()
    assert events.folders() == set()
    events.events.close()
    place.close()


def test_a_folder_that_was_renamed_is_queued_under_its_new_name(events: Events) -> None:
    """The kernel still watches it under the number that it had."""
    (events.dumps / "one" / "deep").mkdir(parents=True)
    events.arm()
    (events.dumps / "one").rename(events.dumps / "other")
    assert events.folders() == {"one", "other"}
    events.arm()
    (events.dumps / "other" / "deep" / "vm1.done").write_text("")
    assert events.named() == ["other/deep/vm1"]


def test_a_folder_that_was_moved_out_is_queued_no_more(events: Events, tmp_path: Path) -> None:
    """Its markers are not those of anything here."""
    (events.dumps / "sub" / "deep").mkdir(parents=True)
    events.arm()
    (events.dumps / "sub").rename(tmp_path / "out")
    events.folders()
    (tmp_path / "out" / "vm1.done").touch()
    (tmp_path / "out" / "deep" / "vm1.done").touch()
    assert events.named() == []


def test_a_folder_deleted_and_made_again_is_armed_again(events: Events) -> None:
    """Also where it gets the number of its inode again."""
    for _ in range(3):
        (events.dumps / "sub").mkdir()
        assert events.folders() == {"sub"}
        events.arm()
        (events.dumps / "sub" / "vm1.done").write_text("")
        assert events.named() == ["sub/vm1"]
        shutil.rmtree(events.dumps / "sub")
        assert events.folders() == {"sub"}


def test_armed_twice_is_queued_once_and_without_a_word(events: Events) -> None:
    """Each scan arms everything."""
    for _ in range(3):
        events.arm()
    (events.dumps / "vm1.done").write_text("")
    assert events.named() == ["vm1"]


# --- the watch folder itself


def test_a_watch_folder_that_goes_calls_for_a_scan(events: Events) -> None:
    """Renamed, and deleted."""
    events.dumps.rename(events.dumps.with_name("away"))
    events.wait()
    assert events.queue.take(1, 0.0).scan
    assert not events.events.watches_root()


def test_a_watch_folder_that_is_unmounted_calls_for_a_scan(mount: Mount, tmp_path: Path) -> None:
    """Else no event would come any more and all would look well."""
    needs_root("a mount")
    disk = mount("tmpfs")
    place = Place(tmp_path, path=str(disk))
    events = Events(place)
    subprocess.run(["umount", disk], check=True)
    events.wait()
    assert events.queue.take(1, 0.0).scan
    assert not events.events.watches_root()
    events.events.close()
    place.close()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)  # for the fixture to unmount


def test_another_folder_in_the_place_of_the_watch_folder_is_armed_by_the_next_scan(events: Events) -> None:
    """And the old one gives no events any more, wherever it is now."""
    unmounted = events.dumps.with_name("away")
    events.dumps.rename(unmounted)
    events.dumps.mkdir()
    events.arm()
    assert events.events.watches_root()
    (unmounted / "vm1.done").touch()
    (events.dumps / "vm2.done").write_text("")
    assert events.named() == ["vm2"]


# --- trouble


def test_when_the_thread_that_reads_fails_a_scan_is_called_for(
    events: Events, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It never ends silently."""

    def fail(_event: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr(events.events, "on_event", fail)
    (events.dumps / "vm1.done").touch()
    events.wait()
    assert events.queue.take(1, 0.0).scan
    inotify = events.events._inotify
    assert inotify is not None
    until(lambda: not inotify.is_alive())
    assert "no such luck" in caplog.text


def test_what_is_closed_is_queued_no_more(place: Place) -> None:
    """And leaves no descriptor behind."""
    with open_files():
        events = Events(place)
        (events.dumps / "sub").mkdir()
        events.arm()
        events.folders()
        events.events.close()
        (events.dumps / "vm1.done").touch()
    assert events.queue.due() == NEVER


@pytest.mark.parametrize("folders", [1, 100])
def test_none_of_a_burst_is_lost(folders: int, place: Place) -> None:
    """Ten thousand markers by temp and rename in the same folder, as fast as they can be made.

    Where the reader gets so little of the machine that the kernel's queue overflows, it is reported.
    """
    for number in range(folders):
        (place.dumps / str(number)).mkdir()
    events = Events(place)
    made = [f"{number % folders}/vm{number}" for number in range(10_000)]
    for name in made:
        aside = f"{place.dumps}/{name}.tmp"
        os.close(os.open(aside, os.O_CREAT | os.O_WRONLY))
        os.rename(aside, f"{place.dumps}/{name}.done")
    assert events.named() == made or events.queue.take(1, 0.0).overflows > 0
    events.events.close()
