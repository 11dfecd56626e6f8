"""``tidegate explain``: a plain answer to "why did vm7 not leave today?"."""

import re
from pathlib import Path

import pytest

from core.errors import UsageError
from core.units import format_date, format_time
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, GivenClock
from tests.host import Host


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> AtGivenTime:
    """vm7 and three others that weigh 6,000 bytes, at 10,000 a day: one of them leaves each day. Nobody changes it."""
    host = Host(
        tmp_path_factory.mktemp("host"),
        day={"at_least": "0s", "timezone": "UTC"},
        offsite={"confirm": "report"},
    )
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    for day in range(8):
        for vm in ("vm2", "vm7", "vm8", "vm9"):
            host.dump(f"{vm}-{day}", 6000, vm=vm, started=format_time(clock.wall - 60))
        if day < 7:
            admin.run("pass")
            admin.run("synced", "--all")
            clock.advance(DAY)
    return admin


def test_who_waits_hears_its_turn_who_leaves_instead_and_its_date(admin: AtGivenTime) -> None:
    waiting = [one for one in admin.json("plan")["decisions"] if one["reason"] == "limit_reached"]
    vm = waiting[-1]["vm"]
    (leaves,) = [one["vm"] for one in admin.json("plan")["decisions"] if one["reason"] == "released"]
    said = admin.run("explain", vm, "--now")
    assert f"{vm}-7 (6 kB, of " in said
    assert "is waiting (limit_reached): 6 kB does not fit into the 4 kB left today (2 kB too much)" in said
    assert re.search(r"at 10 kB a day its fair interval is [2-4]d: one of [2-4] dumps;", said)
    assert f"{leaves} makes more of today's limit" in said
    days = {format_date(admin.clock.wall + day * DAY) for day in range(1, 8)}
    assert re.search(r"Expected to leave on (\w+ \d+ \w+)\.", said)[1] in days  # type: ignore[index]
    assert "price" not in said


def test_the_date_is_that_of_the_forecast(admin: AtGivenTime) -> None:
    told = {one["vm"]: one["days_out"] for one in admin.json("forecast", "--days", "10")["vms"]}
    for vm, days in told.items():
        expected = admin.json("explain", vm, "--now")["expected"]
        assert expected == (None if days[0] == 0 else format_time(admin.clock.wall + days[0] * DAY))


def test_who_leaves_hears_why(admin: AtGivenTime) -> None:
    (leaves,) = [one["vm"] for one in admin.json("plan")["decisions"] if one["reason"] == "released"]
    said = admin.run("explain", leaves, "--now")
    assert "would leave with the next pass: the off-site copy is" in said
    assert "it is one of the dumps that make the most of today's limit" in said
    assert "Expected" not in said


def test_without_now_it_is_what_the_last_pass_decided(tmp_path: Path) -> None:
    """Cause and what to do first; what came since the pass waits for the next one."""
    host = Host(tmp_path, day={"at_least": "0s", "timezone": "UTC"}, offsite={"confirm": "report"})
    admin = AtGivenTime(host, GivenClock())
    host.dump("vm1", 6000)
    host.dump("vm2", 6000)
    admin.run("pass")
    (waits,) = [one["vm"] for one in admin.json("plan")["decisions"] if one["reason"] == "limit_reached"]
    said = admin.run("explain", waits)
    assert said.startswith(f"{waits} has no off-site copy that Tidegate knows of; it is due by ")
    assert "is waiting (limit_reached): 6 kB does not fit into the 4 kB left" in said
    assert "Expected to leave on " in said
    host.mark(waits, "failed", error="disk full")
    admin.run("pass")
    assert f"{waits}: its last dump failed: disk full. See the log of its dump job;" in admin.run("explain", waits)


def test_a_vm_that_nobody_knows_is_said(admin: AtGivenTime) -> None:
    with pytest.raises(UsageError, match="Unknown VM 'vm1'"):
        admin.run("explain", "vm1")


def test_what_is_let_out_already_is_not_expected_to_leave(tmp_path: Path) -> None:
    admin = AtGivenTime(Host(tmp_path), GivenClock())
    admin.host.dump("vm1", 100)
    admin.run("pass")
    said = admin.run("explain", "vm1")
    assert "released on day 1; the storage has not fetched it yet" in said
    assert "Expected" not in said
