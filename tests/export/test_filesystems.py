"""On every filesystem, as root and as the service's own user: links, what replaces them, and each fault by itself."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from policy.export import LinkFailure, Presence
from tests.export.faults import BROKEN, FAULTS, Fault, files
from tests.export.house import Content, House, at
from tests.mounts import FILESYSTEMS, Mount, mount
from tests.real_parts import needs_root
from tests.users import NOBODY, as_nobody, open_the_way

__all__ = ["mount"]  # the fixture

FOLDER = {"disk0": b"zero", "sub/disk1": b"one"}
OTHER_FOLDER = {"disk0": b"other", "more/disk2": b"two"}
DUMPS: dict[str, Content] = {"file": b"file", "folder": FOLDER, "well": b"well", "whole": FOLDER}
CASES = [
    pytest.param(filesystem, user, fault, id=f"{filesystem}-{user}-{name}")
    for name, fault in FAULTS.items()
    for filesystem in fault.filesystems
    for user in fault.users
]

#: Runs the block as the one whom the test is about.
AsUser = Callable[[], contextlib.AbstractContextManager[object]]


@pytest.fixture(params=FILESYSTEMS)
def disk(request: pytest.FixtureRequest, mount: Mount) -> Path:
    return mount(request.param)


@pytest.fixture(params=["root", "service"])
def as_user(request: pytest.FixtureRequest, disk: Path) -> AsUser:
    needs_root("becoming another user")
    open_the_way(disk)
    return as_nobody if request.param == "service" else contextlib.nullcontext


@pytest.fixture
def place(disk: Path, as_user: AsUser) -> House:
    """Dumps that belong to the one who links them, and beside their folder another one with the tree."""
    owner = NOBODY if as_user is as_nobody else 0
    for folder in (disk / "root", disk / "root" / "export"):
        folder.mkdir()
        os.chown(folder, owner, owner)
    with as_user():
        house = House(disk / "root", disk / "root" / "export" / ".rsync")
        for name, content in DUMPS.items():
            house.dump(name, content)
        file, inside = files(house)
        inside.unlink()
        inside.hardlink_to(file)
        house.tree.mkdir()
        house.staging.mkdir(mode=0o700)
    return house


@pytest.mark.parametrize(("disk", "as_user", "fault"), CASES, indirect=["disk", "as_user"])
def test_each_fault_is_told_as_such_gives_its_charge_back_and_stops_no_other(
    place: House, disk: Path, as_user: AsUser, fault: Fault
) -> None:
    requests = [place.request(dump) for dump in DUMPS]
    with fault.make(place, disk):
        before = place.visible()
        with as_user():
            outcomes = dict(zip(DUMPS, place.publish(*requests), strict=True))
        failed = {dump: one for dump, one in outcomes.items() if isinstance(one, LinkFailure)}
        assert failed.keys() == expected_to_fail(fault, as_user), outcomes
        for one in failed.values():
            assert f"{one.reason}: {one.detail}".startswith(fault.told)
            assert one.proven_absent
        assert {path for path in place.visible() - before if "/" not in path} == outcomes.keys() - failed.keys()
        assert place.staged() == []


def expected_to_fail(fault: Fault, as_user: AsUser) -> set[str]:
    if fault.spares_root and as_user is not as_nobody:
        return set()
    if fault.spares_files:
        return {"folder", "whole"}
    return set(DUMPS) if fault.of_all else set(BROKEN)


@pytest.mark.parametrize("old", [b"old", FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("new", [b"new", OTHER_FOLDER, None], ids=["by a file", "by a folder", "by itself"])
def test_a_link_is_replaced_and_taken_back_on_every_filesystem(
    place: House, as_user: AsUser, old: Content, new: Content | None
) -> None:
    """And its name is never absent."""
    seen = []
    with as_user():
        place.dump("old", old)
        place.released("old", "vm1")
        if new is not None:
            place.dump("new", new)
        with at("before rename", lambda: seen.append((place.tree / "vm1").exists())):
            recorded = place.released("old" if new is None else "new", "vm1", may_replace=True)
        assert place.export.presence("vm1", recorded) is Presence.INTACT
        assert place.staged() == []
        assert place.export.withdraw("vm1", recorded)
    assert seen == [True]
    assert place.visible() == set()
    assert place.staged() == []
