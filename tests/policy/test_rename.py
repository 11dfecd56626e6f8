"""A VM that goes on under another name, and one that is held while its link is fetched."""

import subprocess
from pathlib import Path

import pytest

from core.errors import UsageError
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host, reasons

DAY = 24 * HOUR


@pytest.fixture
def clock() -> GivenClock:
    return GivenClock()


@pytest.fixture
def at(tmp_path: Path, clock: GivenClock) -> AtGivenTime:
    return AtGivenTime(Host(tmp_path / "host", daily=1000, offsite={"confirm": "report"}), clock)


def off_site(at: AtGivenTime, name: str, size: int = 100) -> None:
    at.host.dump(name, size)
    at.run("pass")
    at.run("synced", "--all")


def test_its_copies_and_the_word_of_the_admin_go_with_it(at: AtGivenTime, clock: GivenClock) -> None:
    """And nothing is left of the old name."""
    off_site(at, "old.img")
    at.run("force", "old")
    before = at.status()["old"]
    assert at.run("rename", "old", "new") == "old is new from now on\n"
    after = at.status()
    assert set(after) == {"new"}
    assert {**after["new"], "vm": "old"} == {**before, "offsite_age_seconds": after["new"]["offsite_age_seconds"]}
    clock.advance(HOUR)
    at.host.dump("new.img", 100)
    [released] = [one for one in at.json("pass")["decisions"] if one["verdict"] == "released"]
    assert (released["vm"], released["detail"]) == ("new", "forced by the admin")


def test_what_stands_keeps_its_name_until_a_dump_under_the_new_one_is_off_site(
    at: AtGivenTime, clock: GivenClock
) -> None:
    """A mirror is not left without a copy, and nothing is sent twice."""
    off_site(at, "old.img")
    at.run("rename", "old", "new")
    at.run("pass")
    assert set(at.host.exported()) == {"old.img"}
    clock.advance(DAY)
    at.host.dump("new.img", 200)
    at.run("pass")
    assert set(at.host.exported()) == {"old.img", "new.img"}
    at.run("synced", "--all")
    assert set(at.host.exported()) == {"new.img"}


def test_a_link_that_waits_is_the_new_ones(at: AtGivenTime, clock: GivenClock) -> None:
    """Its newer dump waits for it, or takes its place; and its report makes the VM fresh."""
    at.host.dump("old.img", 600)
    at.run("pass")
    at.run("rename", "old", "new")
    at.host.dump("new.img", 900)
    at.run("sync-started")
    assert reasons(at.json("pass"))["new.img"] == "outstanding"
    at.run("synced")
    assert at.status()["new"]["offsite_by"] == "report"


def test_a_vm_that_was_dumped_under_its_new_name_already_is_joined(at: AtGivenTime, clock: GivenClock) -> None:
    """The hypervisor knew first. Dumps of both names in one folder are no two VMs of one name."""
    at.host.configure(daily=150, offsite={"confirm": "report"})
    off_site(at, "old.img")
    clock.advance(HOUR)
    at.host.dump("old-2026-11-22.img", 300)
    at.host.dump("new.img", 200)
    assert set(reasons(at.json("pass")).values()) == {"oversize"}
    assert at.run("rename", "old", "new") == "old is new from now on; the dumps of new belong to it\n"
    [vm] = at.status().values()
    assert (vm["vm"], vm["offsite_by"], vm["newest_dump"]["path"]) == ("new", "report", "new.img")
    at.host.configure(daily=1000, offsite={"confirm": "report"})
    clock.advance(DAY)
    at.run("synced", "--all")
    assert reasons(at.json("pass")) == {"new.img": "released", "old-2026-11-22.img": "superseded"}


def test_two_histories_are_never_made_one(at: AtGivenTime) -> None:
    off_site(at, "old.img")
    off_site(at, "new.img")
    with pytest.raises(UsageError, match="new has copies of its own off-site"):
        at.run("rename", "old", "new")
    at.host.dump("third.img", 100)
    at.run("pass")
    with pytest.raises(UsageError, match="a dump of third is outstanding"):
        at.run("rename", "old", "third")
    assert set(at.status()) == {"old", "new", "third"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nobody", "new"), "Unknown VM 'nobody'"),
        (("old", "old"), "old has that name"),
        (("old", "a/b"), "'a/b' is not a usable name"),
        (("old", ""), "'' is not a usable name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(at: AtGivenTime, words: tuple[str, str], sentence: str) -> None:
    at.host.dump("old.img", 10)
    at.run("pass")
    with pytest.raises(UsageError, match=sentence):
        at.run("rename", *words)


def test_the_configuration_that_names_the_old_one_is_told(at: AtGivenTime, capsys: pytest.CaptureFixture[str]) -> None:
    at.host.configure(vms={"old": {"target": "3d"}})
    at.host.dump("old.img", 10)
    at.run("pass")
    at.run("rename", "old", "new")
    assert "still names old: add new" in capsys.readouterr().err


def test_a_hold_takes_an_unread_link_back_and_leaves_one_that_was_read(at: AtGivenTime, clock: GivenClock) -> None:
    """The storage may have it: its report still counts."""
    at.host.dump("vm1.img", 100)
    at.host.dump("vm2.img", 100)
    at.run("pass")
    subprocess.run(["cat", at.host.tree / "vm2.img"], check=True, capture_output=True)
    assert "its unread link was removed" in at.run("hold", "vm1")
    assert "its link stays" in at.run("hold", "vm2")
    assert set(at.host.exported()) == {"vm2.img"}
    at.run("synced", "--all")
    status = at.status()
    assert (status["vm1"]["offsite_by"], status["vm2"]["offsite_by"]) == (None, "report")
