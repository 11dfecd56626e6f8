"""What the page shows of a real host, through the real commands."""

import time
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.enums import Freshness, LinkState, Reason
from core.state import mount_identity
from exporters.page.shown import Level, Mark, Shown
from tests.host import Host
from tests.page.world import World
from tests.watcher.hung import Hung, hung
from tidegate.cli.page import Source
from tidegate.cli.page_facts import Look

__all__ = ["hung"]  # the fixture


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host", daily=1000, offsite={"confirm": "report"})


def shown(host: Host) -> Shown:
    look = Look(host.config(), SystemClock())
    look.close()
    return look.shown


def today(found: Shown, vm: str) -> Mark:
    return Mark(found.by_name[vm].past[-1])


def test_what_happens_to_a_dump_is_seen_on_its_date(host: Host) -> None:
    """First it was made, then let out, then it was there; and nothing is forgotten."""
    host.dump("vm1", 600)
    host.run("pass")
    host.dump("vm2", 700)
    assert today(shown(host), "vm1") == Mark.DUMPED | Mark.RELEASED_BYTES
    host.run("pass")
    found = shown(host)
    assert today(found, "vm2") == Mark.DUMPED
    assert [(one.vm, one.reason) for one in found.queue if one.reason is not Reason.OUTSTANDING] == [
        ("vm2", Reason.LIMIT_REACHED)
    ]
    assert [(one.vm, one.bytes, one.state) for one in found.today.took] == [("vm1", 600, LinkState.LINKED)]
    assert (found.today.outstanding, found.today.left, found.today.used) == (600, 400, 0)
    host.run("synced", "--all")
    found = shown(host)
    assert today(found, "vm1") == Mark.DUMPED | Mark.RELEASED_BYTES | Mark.CONFIRMED
    assert found.by_name["vm1"].verdict is Freshness.FRESH
    assert found.health.fetched == pytest.approx(time.time(), abs=60)
    assert found.health.last_pass == pytest.approx(time.time(), abs=60)
    story = Look(host.config(), SystemClock()).shown.story("vm1")
    assert [(one.path, one.state, one.day, one.by) for one in story.dumps] == [("vm1", "confirmed", 1, "report")]


def test_a_failure_is_seen_on_its_date_also_when_a_dump_has_followed_it(host: Host) -> None:
    """The books call it superseded like any other; the grid does not hide it."""
    host.mark("vm1", "failed", error="disk full")
    host.run("pass")
    found = shown(host)
    assert today(found, "vm1") == Mark.FAILED
    assert found.by_name["vm1"].last_dump_failed
    assert [one.level for one in found.troubles] == [Level.LATER]
    host.dump("vm1", 600)
    host.run("pass")
    host.run("pass")
    assert today(shown(host), "vm1") & Mark.FAILED


def test_a_host_without_anything_is_shown_too(host: Host) -> None:
    """Before the first marker and the first pass."""
    found = shown(host)
    assert (found.vms, found.queue, found.today.left, found.health.last_pass) == ((), (), 1000, None)


def test_a_dump_disk_that_hangs_does_not_keep_the_page_from_being_made(
    host: Host, hung: Hung, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded is shown, as the process that makes the page looks at it."""
    host.dump("vm1", 600)
    host.run("pass")
    monkeypatch.setattr(mount_identity, "_ANSWER_SECONDS", 0.2)
    hung.mount(host.dumps)
    look = Source(host.file).look()
    hung.release()
    assert [one.name for one in look.shown.vms] == ["vm1"]
    assert look.shown.today.outstanding == 600
    look.close()


def test_the_order_and_the_judgement_are_those_of_status(tmp_path: Path) -> None:
    """The worst first, and the same things wrong with it; the queue is that of `plan`."""
    host = World(tmp_path / "world", 40).host
    found = shown(host)
    lines = host.run("status", "--all").stdout.splitlines()
    named = [line.split()[0] for line in lines if line.split() and line.split()[0] in found.by_name]
    assert [one.name for one in found.vms] == named
    number, _, what = found.troubles[0].told.split(" ", 2)  # "3 VMs stale", where status says "3 of 40 VMs stale"
    assert lines[0].startswith(f"critical: {number} of 40 VMs {what}")
    assert [one.vm for one in found.queue] == [one["vm"] for one in host.json("plan")["decisions"]]
    assert len({one.leaves for one in found.queue}) > 2
    assert sum(bool(one.coming) for one in found.vms) > 30
    assert {mark for one in found.vms for mark in one.past} > {0, Mark.CONFIRMED, Mark.FAILED}
