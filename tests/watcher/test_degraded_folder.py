"""Folders that go, come again, are moved or closed to us while the watcher runs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.users import NOBODY, as_nobody, open_the_way
from tests.waiting import until
from tests.watcher.site import Site, done
from watcher import folder


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no event tells of is looked for so often; in a test that is sooner."""
    monkeypatch.setattr(folder, "_ROOT_SECONDS", 0.1)
    monkeypatch.setattr(folder, "_DEGRADED_SECONDS", 0.5)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "host")


def _rename(site: Site) -> None:
    site.dumps.rename(site.host.folder / "aside")


def test_a_watch_folder_that_is_deleted_and_made_again_is_followed_again(site: Site) -> None:
    """The watch of the kernel went with it."""
    done(site.dumps, "vm1")
    with site.watched():
        shutil.rmtree(site.dumps)
        assert "it cannot be opened: No such file" in site.goes_down()
        site.dumps.mkdir()
        done(site.dumps, "vm2")
        until(lambda: site.waiting() == {"vm2"})
        site.comes_up()
        done(site.dumps, "vm3")
        site.records("vm3")


def test_a_watch_folder_that_is_renamed_away_keeps_its_dumps_until_there_is_another(site: Site) -> None:
    """While there is none nothing counts as removed; in a new one on the same disk what is missing was removed."""
    done(site.dumps, "vm1")
    with site.watched():
        _rename(site)
        assert "it cannot be opened: No such file" in site.goes_down()
        site.dumps.mkdir()
        until(lambda: "is its disk mounted?" in site.goes_down())
        assert site.waiting() == {"vm1"}
        done(site.dumps, "vm2")
        site.comes_up()
        until(lambda: site.waiting() == {"vm2"})
        done(site.dumps, "vm3")
        site.records("vm3")


def test_a_watch_folder_that_was_renamed_and_comes_back_is_the_same(site: Site) -> None:
    """As a disk that is renumbered: what is on it proves it."""
    done(site.dumps, "vm1")
    with site.watched():
        _rename(site)
        site.goes_down()
        (site.host.folder / "aside").rename(site.dumps)
        site.comes_up()
        done(site.dumps, "vm2")
        site.records("vm2")
    assert site.waiting() == {"vm1", "vm2"}


def test_a_folder_above_it_that_is_renamed_is_noticed(tmp_path: Path) -> None:
    """No event reports that: the kernel's watch continues, at a path that leads nowhere."""
    site = Site(tmp_path / "host", path="above/dumps")
    site.dumps = site.host.folder / "above/dumps"
    site.dumps.mkdir(parents=True)
    done(site.dumps, "vm1")
    with site.watched():
        assert site.waiting() == {"vm1"}
        (site.host.folder / "above").rename(site.host.folder / "aside")
        site.goes_down()
        (site.host.folder / "aside").rename(site.host.folder / "above")
        site.comes_up()
        done(site.dumps, "vm2")
        site.records("vm2")


@pytest.mark.parametrize("times", [1, 20])
def test_a_folder_in_it_that_is_deleted_and_made_again_is_heard_again(times: int, site: Site) -> None:
    """As often as it happens, and however soon the marker follows."""
    with site.watched():
        for round_ in range(times):
            (site.dumps / "set").mkdir()
            done(site.dumps / "set", f"vm{round_}")
            site.records(f"set/vm{round_}")
            shutil.rmtree(site.dumps / "set")
        until(lambda: site.waiting() == set())
    assert site.counted("markers", "recorded") == times


def test_a_folder_that_is_renamed_takes_its_dumps_to_their_new_name(site: Site) -> None:
    """The watch of the kernel goes with it and would report its old path."""
    (site.dumps / "a").mkdir()
    done(site.dumps / "a", "vm1")
    with site.watched():
        (site.dumps / "a").rename(site.dumps / "b")
        until(lambda: site.waiting() == {"b/vm1"})
        (site.dumps / "a").mkdir()
        done(site.dumps / "b", "vm2")
        done(site.dumps / "a", "vm3")
        until(lambda: site.waiting() == {"b/vm1", "b/vm2", "a/vm3"})


# --- permission


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Site]:
    """The dumps are somebody else's than who watches: what he may is what their mode says."""
    site = Site(tmp_path / "host")
    site.state.close()
    done(site.dumps, "vm1")
    (site.dumps / "set").mkdir()
    done(site.dumps / "set", "vm2")
    open_the_way(site.host.folder)
    if os.geteuid() == 0:
        for path in (site.host.folder, *site.host.folder.glob("state*"), site.host.file):
            os.chown(path, NOBODY, NOBODY)
    site.dumps.chmod(0o755)
    with as_nobody():
        yield site


def as_owner(*command: str | Path) -> None:
    """What the owner of the dumps does, in a process of its own: a thread cannot have a user of its own."""
    subprocess.run(command, check=True, user=0 if os.getuid() == 0 else None)


def test_a_watch_folder_that_is_closed_to_us_is_down_and_what_was_marked_meanwhile_is_found(foreign: Site) -> None:
    """Events of it still come, and lead nowhere."""
    marker = foreign.dumps / "vm3.done"
    with foreign.watched():
        assert foreign.waiting() == {"vm1", "set/vm2"}
        as_owner("chmod", "700", foreign.dumps)
        as_owner("cp", foreign.dumps / "vm1", foreign.dumps / "vm3")
        as_owner("touch", marker)
        assert "Permission denied" in foreign.goes_down()
        assert foreign.waiting() == {"vm1", "set/vm2"}
        as_owner("chmod", "755", foreign.dumps)
        foreign.comes_up()
        until(lambda: foreign.waiting() == {"vm1", "set/vm2", "vm3"})


def test_a_folder_in_it_that_is_closed_to_us_keeps_its_dumps_and_is_told(foreign: Site) -> None:
    """And it is tried again every minute: nobody tells when it is opened."""
    with foreign.watched():
        as_owner("chmod", "700", foreign.dumps / "set")
        as_owner("touch", foreign.dumps / "set/vm2.done")
        until(lambda: (status := foreign.status()) is not None and "1 path in it cannot be read" in status.detail)
        assert foreign.is_up()
        assert foreign.waiting() == {"vm1", "set/vm2"}
        as_owner("cp", foreign.dumps / "vm1", foreign.dumps / "set/vm3")
        as_owner("touch", foreign.dumps / "set/vm3.done")
        as_owner("chmod", "755", foreign.dumps / "set")
        until(lambda: foreign.waiting() == {"vm1", "set/vm2", "set/vm3"})
        until(lambda: (status := foreign.status()) is not None and status.detail == "")


def test_a_marker_that_is_closed_to_us_is_told_and_read_once_it_is_open(foreign: Site) -> None:
    """Its body may say anything; it is neither believed empty nor forgotten."""
    marker = foreign.dumps / "vm3.done"
    with foreign.watched():
        as_owner("cp", foreign.dumps / "vm1", foreign.dumps / "vm3")
        as_owner("sh", "-c", f"umask 077; echo '{{}}' > {marker}")
        as_owner("chmod", "755", marker)
        until(lambda: "vm3" in foreign.waiting())


def test_a_watch_folder_without_names_for_us_is_down(foreign: Site) -> None:
    """It may be entered and not listed: then nobody knows what is missing."""
    with foreign.watched():
        as_owner("chmod", "711", foreign.dumps)
        as_owner("touch", foreign.dumps / "vm1.done")
        as_owner("mv", foreign.dumps / "set", foreign.dumps / "other")
        assert "Permission denied" in foreign.goes_down()
        as_owner("chmod", "755", foreign.dumps)
        until(lambda: foreign.waiting() == {"vm1", "other/vm2"})
