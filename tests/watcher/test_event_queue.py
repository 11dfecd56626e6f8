"""What waits to be looked at: each dump once, in order, and never without bound."""

import threading
from collections.abc import Callable

import pytest

from watcher import event_queue
from watcher.event_queue import UNCLOSED_SECONDS, EventQueue, MissedEvents, Pending, RetryQueue

NOW, NEVER = float("-inf"), float("inf")
AT = 100.0
CLOSED = AT + UNCLOSED_SECONDS

Events = Callable[[EventQueue], object]


@pytest.fixture
def queue() -> EventQueue:
    return EventQueue()


#: Events that come -> when there is something to take, and what is taken then.
EVENTS: dict[str, tuple[list[Events], float, Pending]] = {
    "none": ([], NEVER, Pending([], [])),
    "a marker": ([lambda q: q.dump("vm1")], NOW, Pending(["vm1"], [])),
    "three times": ([lambda q: q.dump("vm2"), lambda q: q.dump("vm1"), lambda q: q.dump("vm2")], NOW,
                    Pending(["vm2", "vm1"], [])),
    "created, not closed": ([lambda q: q.created("vm1", AT)], CLOSED, Pending(["vm1"], [])),
    "created twice": ([lambda q: q.created("vm1", AT), lambda q: q.created("vm1", AT + 1)], CLOSED,
                      Pending(["vm1"], [])),
    "created and closed": ([lambda q: q.created("vm1", AT), lambda q: q.dump("vm1")], NOW, Pending(["vm1"], [])),
    "touched": ([lambda q: q.touched("vm1")], NOW, Pending(["vm1"], [])),
    "created and touched": ([lambda q: q.created("vm1", AT), lambda q: q.touched("vm1")], CLOSED,
                            Pending(["vm1"], [])),
    "closed and created anew": ([lambda q: q.dump("vm1"), lambda q: q.created("vm1", AT)], NOW, Pending(["vm1"], [])),
    "a folder": ([lambda q: q.folder("set"), lambda q: q.folder("set")], NOW, Pending([], ["set"])),
    "a scan": ([lambda q: q.scan(), lambda q: q.scan()], NOW, Pending([], [], scan=True)),
    "overflows": ([lambda q: q.overflow(), lambda q: q.overflow()], NOW, Pending([], [], scan=True, overflows=2)),
    "a scan, which covers the rest": (
        [lambda q: q.dump("vm1"), lambda q: q.created("vm2", AT), lambda q: q.folder("set"), lambda q: q.scan()], NOW,
        Pending(["vm1", "vm2"], ["set"], scan=True)),
}  # fmt: skip


@pytest.mark.parametrize(("events", "due", "taken"), EVENTS.values(), ids=list(EVENTS))
def test_what_is_due_and_what_is_taken(events: list[Events], due: float, taken: Pending, queue: EventQueue) -> None:
    """Once: then there is nothing."""
    for event in events:
        event(queue)
    assert queue.due() == due
    assert queue.take(10, max(AT, due)) == taken
    assert (queue.due(), queue.take(10, NEVER)) == (NEVER, Pending([], []))


def test_a_marker_that_was_created_is_left_to_its_writer_for_a_moment(queue: EventQueue) -> None:
    """It may be empty until it is closed; a hard link is never closed."""
    queue.created("vm1", AT)
    assert queue.take(10, CLOSED - 0.1).dumps == []
    assert queue.take(10, CLOSED).dumps == ["vm1"]


def test_dumps_are_taken_in_portions(queue: EventQueue) -> None:
    """One transaction each; at the end all that there are."""
    for number in range(7):
        queue.dump(str(number))
    assert [queue.take(2, AT).dumps for _ in range(2)] == [["0", "1"], ["2", "3"]]
    queue.created("unclosed", AT)
    assert queue.take(2, AT, everything=True).dumps == ["4", "5", "6", "unclosed"]


def test_what_could_not_be_recorded_is_there_again(queue: EventQueue) -> None:
    """And still once; overflows are counted by whoever has taken them."""
    queue.dump("vm1")
    queue.dump("vm2")
    queue.folder("set")
    queue.overflow()
    taken = queue.take(1, AT)
    queue.dump("vm1")
    queue.put_back(taken)
    again = queue.take(1, AT)
    assert (sorted(again.dumps), again.folders, again.scan, again.overflows) == (["vm1", "vm2"], ["set"], True, 0)


@pytest.mark.parametrize("kind", ["dump", "folder", "created"])
def test_more_than_a_memory_should_hold_becomes_one_scan(
    kind: str, monkeypatch: pytest.MonkeyPatch, queue: EventQueue
) -> None:
    """It finds them all."""
    monkeypatch.setattr(event_queue, "MAX_ENTRIES", 10)
    for number in range(8):
        queue.dump(f"vm{number}")
    for number in range(3):
        getattr(queue, kind)(f"other {number}", *([0.0] if kind == "created" else []))
    assert queue.due() == NOW
    taken = queue.take(100, AT)
    assert (taken.dumps, taken.folders, taken.scan, taken.is_complete) == ([], [], True, False)
    assert queue.take(100, NEVER).is_complete


WAKES: dict[str, Events] = {
    "a marker": lambda queue: queue.dump("vm1"),
    "a marker that is not closed": lambda queue: queue.created("vm1", 0.0),
    "a folder": lambda queue: queue.folder("set"),
    "a scan": lambda queue: queue.scan(),
    "an overflow": lambda queue: queue.overflow(),
    "the end": lambda queue: queue.close(),
}


@pytest.mark.parametrize("event", WAKES.values(), ids=list(WAKES))
def test_a_wait_ends_with_the_first_event_and_with_the_end(event: Events, queue: EventQueue) -> None:
    """At once, also where it came before the wait."""
    timer = threading.Timer(0.05, event, [queue])
    timer.start()
    queue.wait(0.0, 60.0)
    timer.join()
    queue.wait(0.0, 60.0)


# --- dumps that came after their markers


def test_an_incomplete_dump_is_looked_at_again_for_a_minute_and_then_left_to_the_scan() -> None:
    """Soon at first."""
    retries, now, looks = RetryQueue(), 0.0, []
    retries.add(["vm1"], now)
    while (now := retries.due()) < NEVER:
        assert retries.take(10, now - 0.1) == []
        assert retries.take(10, now) == ["vm1"]
        looks.append(now)
    assert looks == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


def test_retries_are_bounded_and_taken_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is found by a scan."""
    monkeypatch.setattr(event_queue, "_MAX_RETRIES", 10)
    retries = RetryQueue()
    retries.add((f"vm{number}" for number in range(25)), 0.0)
    assert [len(retries.take(7, 1.0)) for _ in range(3)] == [7, 3, 0]


# --- what no event has reported


def test_finds_of_a_scan_are_counted_once_their_event_is_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose event comes are not; of very many the rest is counted at once."""
    monkeypatch.setattr(event_queue, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(event_queue, "_MAX_FINDS", 10)
    missed = MissedEvents()
    missed.found([*(f"vm{number}" for number in range(9)), "set/vm", *(f"rest{number}" for number in range(15))], 1.0)
    missed.reported(["vm1"], ["set"])
    assert missed.due() == NOW
    assert [missed.take(1.0), missed.take(1.1)] == [15, 0]
    assert missed.due() == pytest.approx(1.2)
    assert missed.take(1.3) == 8
    missed.put_back(8)
    assert (missed.due(), missed.take(1.3), missed.due()) == (NOW, 8, NEVER)
