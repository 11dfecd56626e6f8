"""What the watcher relies on in watchdog's lower layer, which is not part of its public interface."""

import os
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from tests.waiting import WAIT_SECONDS

MASK = Mask(InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_ONLYDIR)
NAME, OTHER = CallbackId(1), CallbackId(2)


class Receiver:
    """A callback that notes what it is given, and may be made to hold up the thread that calls it."""

    def __init__(self) -> None:
        self.events: list[InotifyEvent] = []
        self.deleted: list[WatchDescriptor] = []
        self.overflows = 0
        self.free = threading.Event()
        self.free.set()
        self.news = threading.Condition()

    def on_event(self, event: InotifyEvent) -> None:
        self.free.wait(WAIT_SECONDS)
        self._note(lambda: self.events.append(event))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        self._note(lambda: self.deleted.append(wd))

    def on_queue_overflow(self) -> None:
        def count() -> None:
            self.overflows += 1

        self._note(count)

    def _note(self, what: Callable[[], None]) -> None:
        with self.news:
            what()
            self.news.notify_all()

    def wait_until(self, is_so: Callable[[], object]) -> None:
        with self.news:
            assert self.news.wait_for(is_so, WAIT_SECONDS)

    def names(self) -> list[bytes]:
        return [event.name for event in self.events]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def reader() -> Iterator[InotifyFD]:
    thread = InotifyFD()
    thread.start()
    yield thread
    thread.stop()
    thread.join()


def test_its_major_version_is_the_one_that_is_known_here() -> None:
    """Version 7 rewrote it, and so may 8: then read it again before the bound in pyproject.toml is moved."""
    assert metadata.version("watchdog").split(".")[0] == "7"


def test_an_event_has_its_watch_its_kind_and_its_name(reader: InotifyFD, receiver: Receiver, tmp_path: Path) -> None:
    """The number that arming gave; a name may be any bytes."""
    watch = reader.add_callback(os.fsencode(tmp_path), MASK, receiver, NAME)
    name = b"vm\xff\n.done"
    (tmp_path / os.fsdecode(name)).touch()
    receiver.wait_until(lambda: receiver.events)
    (event,) = receiver.events
    assert (event.wd, event.name, event.mask) == (watch, name, InotifyConstants.IN_CREATE)


def test_a_folder_is_armed_by_its_descriptor(reader: InotifyFD, receiver: Receiver, tmp_path: Path) -> None:
    """Whatever is at its path by then."""
    (tmp_path / "one").mkdir()
    descriptor = os.open(tmp_path / "one", os.O_RDONLY)
    (tmp_path / "one").rename(tmp_path / "other")
    reader.add_callback(f"/proc/self/fd/{descriptor}".encode(), MASK, receiver, NAME)
    os.close(descriptor)
    (tmp_path / "other" / "vm1.done").touch()
    receiver.wait_until(lambda: receiver.events)
    assert receiver.names() == [b"vm1.done"]


def test_the_same_folder_armed_again_is_the_same_watch_and_the_older_callback_can_be_taken_off(
    reader: InotifyFD, receiver: Receiver, tmp_path: Path
) -> None:
    """Under an id of its own each time, without a warning, and events continue."""
    before = reader.add_callback(os.fsencode(tmp_path), MASK, receiver, NAME)
    after = reader.add_callback(os.fsencode(tmp_path), MASK, receiver, OTHER)
    reader.remove_callbacks([(before, NAME)])
    (tmp_path / "vm1.done").touch()
    receiver.wait_until(lambda: receiver.events)
    assert (before == after, receiver.names(), receiver.deleted) == (True, [b"vm1.done"], [])


def test_a_folder_that_is_deleted_is_reported(reader: InotifyFD, receiver: Receiver, tmp_path: Path) -> None:
    """By the number of its watch."""
    (tmp_path / "sub").mkdir()
    watch = reader.add_callback(os.fsencode(tmp_path / "sub"), MASK, receiver, NAME)
    (tmp_path / "sub").rmdir()
    receiver.wait_until(lambda: receiver.deleted)
    assert receiver.deleted == [watch]


def test_an_overflow_is_reported_once_to_a_callback_of_many_watches(
    reader: InotifyFD, receiver: Receiver, tmp_path: Path
) -> None:
    """The queue of the kernel is filled while the thread is held up."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip(f"the queue holds {most} events here")
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        reader.add_callback(os.fsencode(tmp_path / str(number)), MASK, receiver, CallbackId(number))
    receiver.free.clear()
    for number in range(most + 5000):  # the thread has read some thousands of them already
        os.close(os.open(tmp_path / "0" / str(number), os.O_CREAT | os.O_WRONLY))
    receiver.free.set()
    receiver.wait_until(lambda: receiver.overflows)
    (tmp_path / "1" / "after").touch()
    receiver.wait_until(lambda: b"after" in receiver.names())
    assert receiver.overflows == 1
    assert len(receiver.events) < most + 5000


def test_what_a_callback_raises_ends_the_thread(
    reader: InotifyFD, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So ours raise nothing, and the thread is asked whether it is alive."""

    def fail(_event: InotifyEvent) -> None:
        raise OSError

    monkeypatch.setattr(receiver, "on_event", fail)
    reader.add_callback(os.fsencode(tmp_path), MASK, receiver, NAME)
    ended = threading.Event()
    before, threading.excepthook = threading.excepthook, lambda _: ended.set()
    try:
        (tmp_path / "vm1.done").touch()
        assert ended.wait(WAIT_SECONDS)
        reader.join(WAIT_SECONDS)
    finally:
        threading.excepthook = before
    assert not reader.is_alive()
