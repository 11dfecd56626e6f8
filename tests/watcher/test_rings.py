"""What waits to be looked at: each name once, in order, and never without bound."""

import threading

import pytest

from watcher import rings as module
from watcher.rings import UNCLOSED_SECONDS, Rings

LATER = float("inf")


@pytest.fixture
def rings() -> Rings:
    return Rings(threading.Condition())


def test_a_name_stands_once_however_often_it_rings(rings: Rings) -> None:
    """In the order of the first ring."""
    for name in ("vm2", "vm1", "vm2"):
        rings.name(name)
    assert rings.take_names(10, 0.0) == ["vm2", "vm1"]
    assert rings.take_names(10, LATER) == []


def test_names_are_taken_in_portions(rings: Rings) -> None:
    """One transaction each."""
    for number in range(5):
        rings.name(str(number))
    assert [rings.take_names(2, 0.0) for _ in range(4)] == [["0", "1"], ["2", "3"], ["4"], []]


def test_what_could_not_be_recorded_is_there_again(rings: Rings) -> None:
    """And still once."""
    rings.name("vm1")
    rings.name("vm2")
    taken = rings.take_names(1, 0.0)
    rings.name("vm1")
    rings.put_back(taken)
    assert sorted(rings.take_names(10, 0.0)) == ["vm1", "vm2"]


def test_a_marker_that_was_made_is_left_to_its_writer_for_a_moment(rings: Rings) -> None:
    """It may be empty until it is closed; a hard link is never closed."""
    rings.unclosed("vm1", 100.0)
    assert rings.due() == 100.0 + UNCLOSED_SECONDS
    assert rings.take_names(10, 100.0 + UNCLOSED_SECONDS / 2) == []
    assert rings.take_names(10, 100.0 + UNCLOSED_SECONDS) == ["vm1"]


def test_a_marker_that_is_closed_waits_no_longer(rings: Rings) -> None:
    """And is looked at once."""
    rings.unclosed("vm1", 100.0)
    rings.name("vm1")
    assert rings.due() == 0.0
    assert rings.take_names(10, 100.0) == ["vm1"]
    assert rings.due() is None


def test_a_marker_that_is_touched_rings_unless_it_was_just_made(rings: Rings) -> None:
    """Its writer has yet to close it."""
    rings.touched("vm1")
    rings.unclosed("vm2", 100.0)
    rings.touched("vm2")
    assert rings.take_names(10, 100.0) == ["vm1"]


@pytest.mark.parametrize("ring", ["name", "folder"])
def test_whatever_rings_is_due_now(ring: str, rings: Rings) -> None:
    """Until it is taken."""
    assert rings.due() is None
    getattr(rings, ring)("x")
    assert rings.due() == 0.0
    rings.take_names(10, 0.0)
    rings.take_folders()
    assert rings.due() is None


def test_a_scan_covers_the_folders_that_rang_before_it(rings: Rings) -> None:
    """They need none of their own."""
    rings.folder("a")
    rings.scan()
    rings.take_scan()
    assert (rings.take_folders(), rings.due()) == ([], None)


def test_overflows_are_counted_and_call_for_a_scan(rings: Rings) -> None:
    """Each is told to the admin once."""
    rings.overflow()
    rings.overflow()
    assert rings.due() == 0.0
    assert [rings.take_overflows(), rings.take_overflows()] == [2, 0]


def test_more_names_than_a_memory_should_hold_become_one_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds them all."""
    monkeypatch.setattr(module, "MOST_NAMES", 10)
    rings = Rings(threading.Condition())
    for number in range(8):
        rings.name(f"name {number}")
    for number in range(3):
        rings.unclosed(f"unclosed {number}", 0.0)
    assert rings.take_names(100, LATER) == []
    assert rings.due() == 0.0


def test_whoever_waits_is_told_of_the_first_name(rings: Rings) -> None:
    """Within the wait and not at its end."""
    condition = threading.Condition()
    rings = Rings(condition)
    with condition:
        threading.Thread(target=rings.name, args=("vm1",)).start()
        assert condition.wait_for(lambda: rings.due() == 0.0, timeout=60)
