"""The doorbell: each way of making a marker rings for its dump, and nothing else rings."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mounts import Mount, mount
from tests.watcher.place import Place, open_files
from watcher.inotify import Doorbell
from watcher.rings import Rings
from watcher.walk import list_markers
from watcher.watch_tree import Ground

__all__ = ["mount"]

IO_TIMEOUT = 60
LAST = "last.of.all"


class Bell:
    """A doorbell on the dump folder of a place, and what it rings for."""

    def __init__(self, place: Place) -> None:
        self.dumps = place.watch.path
        self.ground = Ground(place.config, place.watch)
        self.condition = threading.Condition()
        self.rings = Rings(self.condition)
        self.bell = Doorbell(self.ground, self.rings, lambda: 0.0)
        self.arm()

    def arm(self) -> None:
        """As a scan does: each folder before it is listed."""
        with self.ground.open_root() as root:
            list_markers(self.ground, root, [""], self.bell.arm)

    def wait(self) -> None:
        """Until something has rung."""
        with self.condition:
            assert self.condition.wait_for(lambda: self.rings.due() is not None, IO_TIMEOUT)

    def names(self) -> list[str]:
        """Everything that rings until the marker that is made now; events come in order."""
        (self.dumps / f"{LAST}.done").write_text("")
        heard: list[str] = []
        while LAST not in heard:
            self.wait()
            heard += [name for name in self.rings.take_names(1000, 0.0) if name not in heard]
        return heard[:-1]

    def unclosed(self) -> list[str]:
        """What was made and never closed."""
        self.wait()
        return self.rings.take_names(1000, float("inf"))

    def folders(self) -> set[str]:
        """The folders that have rung until now."""
        self.names()
        return set(self.rings.take_folders())


@pytest.fixture
def bell(place: Place) -> Iterator[Bell]:
    with open_files():
        bell = Bell(place)
        yield bell
        bell.bell.close()


# --- what rings


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
def test_a_marker_that_is_whole_rings_at_once(
    make: Callable[[Path, Path], None], name: str, bell: Bell, tmp_path: Path
) -> None:
    """For its dump, by its path in the watch folder."""
    (bell.dumps / "sub").mkdir()
    bell.arm()
    make(bell.dumps / f"{name}.done", tmp_path)
    assert bell.names() == [name]


@pytest.mark.parametrize("make", [link, symlink, fifo])
def test_a_marker_that_nobody_closes_rings_a_moment_later(
    make: Callable[[Path, Path], None], bell: Bell, tmp_path: Path
) -> None:
    """It might be one that is still written into."""
    make(bell.dumps / "vm1.done", tmp_path)
    bell.wait()
    assert bell.rings.due() == pytest.approx(0.5)
    assert bell.unclosed() == ["vm1"]


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
def test_a_marker_that_changes_or_goes_rings(change: Callable[[Path], None], kind: str, bell: Bell) -> None:
    """Of every kind."""
    (bell.dumps / f"vm1.{kind}").touch()
    bell.names()
    change(bell.dumps / f"vm1.{kind}")
    assert bell.names() == ["vm1"]


def test_dumps_and_whatever_else_is_written_ring_nothing(bell: Bell) -> None:
    """A storm of them leaves nothing to hold in memory."""
    for number in range(500):
        (bell.dumps / f"vm{number}.img").write_bytes(b"x")
        (bell.dumps / f".vm{number}.done").touch()
    (bell.dumps / "vm1.img").read_bytes()
    (bell.dumps / ".done").touch()
    assert bell.names() == []
    assert bell.rings.take_names(1, float("inf")) == []


# --- folders


def test_a_folder_that_comes_or_goes_rings_for_itself(bell: Bell, tmp_path: Path) -> None:
    """What is in it by then tells no event: it is scanned."""
    (bell.dumps / "made" / "deep").mkdir(parents=True)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved").rename(bell.dumps / "moved")
    assert bell.folders() == {"made", "moved"}
    bell.arm()
    (bell.dumps / "made" / "deep").rmdir()
    (bell.dumps / "moved").rename(tmp_path / "moved")
    assert bell.folders() == {"made/deep", "moved"}


def test_folders_that_nobody_looks_into_ring_nothing(bell: Bell) -> None:
    """The export tree, its staging folder, and other dot names."""
    for name in (".rsync", ".rsync.staging", ".hidden"):
        (bell.dumps / name).mkdir()
        (bell.dumps / name / "vm1.done").touch()
    assert (bell.folders(), bell.names()) == (set(), [])


def test_a_folder_with_another_time_or_mode_rings_nothing(bell: Bell) -> None:
    """rsync gives every folder its time when it has filled it."""
    (bell.dumps / "sub").mkdir()
    bell.arm()
    bell.folders()
    for path in (bell.dumps, bell.dumps / "sub"):
        os.utime(path, (1, 1))
        path.chmod(0o750)
    assert (bell.folders(), bell.names()) == (set(), [])


def test_without_recursion_no_folder_rings(tmp_path: Path) -> None:
    """``recursive = false``."""
    place = Place(tmp_path, recursive=False)
    bell = Bell(place)
    (bell.dumps / "sub").mkdir()
    assert bell.folders() == set()
    bell.bell.close()
    place.close()


def test_a_folder_that_was_renamed_rings_under_its_new_name(bell: Bell) -> None:
    """The kernel goes on watching it under the number that it had."""
    (bell.dumps / "one" / "deep").mkdir(parents=True)
    bell.arm()
    (bell.dumps / "one").rename(bell.dumps / "other")
    assert bell.folders() == {"one", "other"}
    bell.arm()
    (bell.dumps / "other" / "deep" / "vm1.done").write_text("")
    assert bell.names() == ["other/deep/vm1"]


def test_a_folder_that_was_moved_out_rings_no_more(bell: Bell, tmp_path: Path) -> None:
    """Its markers are not those of anything here."""
    (bell.dumps / "sub" / "deep").mkdir(parents=True)
    bell.arm()
    (bell.dumps / "sub").rename(tmp_path / "out")
    bell.folders()
    (tmp_path / "out" / "vm1.done").touch()
    (tmp_path / "out" / "deep" / "vm1.done").touch()
    assert bell.names() == []


def test_a_folder_deleted_and_made_again_is_armed_again(bell: Bell) -> None:
    """Also where it gets the number of its inode again."""
    for _ in range(3):
        (bell.dumps / "sub").mkdir()
        assert bell.folders() == {"sub"}
        bell.arm()
        (bell.dumps / "sub" / "vm1.done").write_text("")
        assert bell.names() == ["sub/vm1"]
        shutil.rmtree(bell.dumps / "sub")
        assert bell.folders() == {"sub"}


def test_armed_twice_rings_once_and_without_a_word(bell: Bell) -> None:
    """Each scan arms everything."""
    for _ in range(3):
        bell.arm()
    (bell.dumps / "vm1.done").write_text("")
    assert bell.names() == ["vm1"]


# --- the watch folder itself


def test_a_watch_folder_that_goes_calls_for_a_scan(bell: Bell) -> None:
    """Renamed, and deleted."""
    bell.dumps.rename(bell.dumps.with_name("away"))
    bell.wait()
    assert bell.rings.take_scan() is not None
    assert not bell.bell.hears_root()


def test_a_watch_folder_that_is_unmounted_calls_for_a_scan(mount: Mount, tmp_path: Path) -> None:
    """Without it the doorbell would be deaf and look alive."""
    disk = mount("tmpfs")
    if not os.path.ismount(disk):
        pytest.skip("a mount needs root")
    place = Place(tmp_path, path=str(disk))
    bell = Bell(place)
    subprocess.run(["umount", disk], check=True)
    bell.wait()
    assert bell.rings.take_scan() is not None
    assert not bell.bell.hears_root()
    bell.bell.close()
    place.close()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)  # for the fixture to unmount


def test_another_folder_in_the_place_of_the_watch_folder_is_armed_by_the_next_scan(bell: Bell) -> None:
    """And the old one rings no more, wherever it stands now."""
    unmounted = bell.dumps.with_name("away")
    bell.dumps.rename(unmounted)
    bell.dumps.mkdir()
    bell.arm()
    assert bell.bell.hears_root()
    (unmounted / "vm1.done").touch()
    (bell.dumps / "vm2.done").write_text("")
    assert bell.names() == ["vm2"]


# --- trouble


def test_when_its_thread_fails_a_scan_is_called_for(
    bell: Bell, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It never goes deaf without a word."""

    def fail(_event: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr(bell.bell, "on_event", fail)
    (bell.dumps / "vm1.done").touch()
    bell.wait()
    assert bell.rings.take_scan() is not None
    bell.bell._reader.join(IO_TIMEOUT)
    assert not bell.bell.is_alive()
    assert "no such luck" in caplog.text


def test_what_is_closed_rings_no_more(place: Place) -> None:
    """And leaves no descriptor behind."""
    with open_files():
        bell = Bell(place)
        (bell.dumps / "sub").mkdir()
        bell.arm()
        bell.folders()
        bell.bell.close()
        (bell.dumps / "vm1.done").touch()
    assert bell.rings.due() is None


@pytest.mark.parametrize("folders", [1, 100])
def test_none_of_a_burst_is_lost(folders: int, place: Place) -> None:
    """Ten thousand markers by temp and rename in the same folder, as fast as they can be made.

    Where the reader gets so little of the machine that the kernel's queue overflows, it is told of it.
    """
    for number in range(folders):
        (place.dumps / str(number)).mkdir()
    bell = Bell(place)
    made = [f"{number % folders}/vm{number}" for number in range(10_000)]
    for name in made:
        aside = f"{place.dumps}/{name}.tmp"
        os.close(os.open(aside, os.O_CREAT | os.O_WRONLY))
        os.rename(aside, f"{place.dumps}/{name}.done")
    heard = bell.names()
    assert heard == made or bell.rings.take_overflows() > 0
    bell.bell.close()
