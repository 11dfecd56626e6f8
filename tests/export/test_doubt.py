"""Where it is in doubt whether a link stands, its charge stays taken."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from policy.export import LinkFailure, Presence, Published
from tests.export.house import House, at

FOLDER = {"disk0": b"zero", "sub/disk1": b"one"}


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> Iterator[None]:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if fails(descriptor):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


def test_a_failing_fsync_leaves_all_links_in_doubt_and_their_charge_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand now, and may not after a power cut: the next pass looks."""
    house.dump("vm1")
    house.dump("vm2", FOLDER)
    house.dump("vm3")
    house.released("vm3")
    requests = [house.request("vm1"), house.request("vm2"), house.request("vm1", "vm3")]
    with failing(monkeypatch, lambda descriptor: os.path.samestat(os.fstat(descriptor), house.tree.stat())):
        one, two, taken = house.publish(*requests)
    for outcome in (one, two):
        assert isinstance(outcome, LinkFailure)
        assert outcome.detail.startswith("EIO: ")
        assert not outcome.proven_absent
    assert isinstance(taken, LinkFailure)
    assert taken.proven_absent
    assert house.export.presence("vm2", requests[1].identity) is Presence.INTACT


def test_a_folder_that_cannot_be_made_lasting_does_not_appear(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.dump("vm1", FOLDER)
    house.dump("vm2")
    requests = [house.request("vm1"), house.request("vm2")]
    house.publish(house.request("vm2", "other"))
    with failing(monkeypatch, lambda descriptor: not os.path.samestat(os.fstat(descriptor), house.tree.stat())):
        folder, file = house.publish(*requests)
    assert isinstance(folder, LinkFailure)
    assert folder.proven_absent
    assert isinstance(file, Published)
    assert house.visible() == {"vm2", "other"}


def test_a_failed_link_whose_files_stand_there_all_the_same_keeps_its_charge(house: House) -> None:
    """Somebody linked the very dump by hand at that instant: it will be sent."""
    dump = house.dump("vm1")
    request = house.request("vm1")
    house.tree.mkdir()
    with at("before link", lambda: os.link(dump, house.tree / "vm1")):
        [outcome] = house.publish(request)
    assert isinstance(outcome, LinkFailure)
    assert not outcome.proven_absent
