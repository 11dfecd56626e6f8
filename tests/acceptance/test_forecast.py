"""``tidegate forecast``: the coming days, on a host whose VMs were dumped before."""

from pathlib import Path

import pytest

from core.errors import UsageError
from core.units import format_time
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, GivenClock
from tests.host import Host

VMS = 6


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> AtGivenTime:
    """Six VMs of 5,000 bytes that are dumped every day, at 10,000 bytes a day, for a week. Nobody changes it."""
    host = Host(tmp_path_factory.mktemp("host"), day={"at_least": "0s"}, offsite={"confirm": "report"})
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    for day in range(7):
        for number in range(VMS):
            host.dump(f"vm{number}-{day}", 5000, vm=f"vm{number}", started=format_time(clock.wall - 60))
        admin.run("pass")
        admin.run("synced", "--all")
        clock.advance(DAY)
    return admin


def test_two_of_six_leave_each_day_and_each_has_its_turn(admin: AtGivenTime) -> None:
    told = admin.json("forecast", "--days", "12")
    assert [day["released_bytes"] for day in told["days"]] == [10_000] * 12
    assert all(one["period_seconds"] == pytest.approx(DAY, rel=0.01) for one in told["vms"])
    assert all(len(one["days_out"]) >= 3 for one in told["vms"])
    assert told["within_targets_from_day"] == 0


def test_the_table_and_what_a_target_needs(admin: AtGivenTime) -> None:
    told = admin.run("forecast", "--target", "1d", "--days", "10")
    assert "vm5" in told
    assert "today" in told
    assert "As it is: all stay within their targets for these 10 days" in told
    assert "With the change: the targets need 30 kB a day at least; 10 kB are allowed (300%)" in told
    assert "With the change: not within their targets after 10 days: vm0, vm1, vm2, vm3, vm4 and 1 more;" in told


def test_another_limit_and_one_vm_less(admin: AtGivenTime) -> None:
    plain = admin.json("forecast", "--days", "5")
    more = admin.json("forecast", "--days", "5", "--limit", "30 kB")
    assert [day["left_bytes"] for day in more["days"]] == [10_000, 30_000, 30_000, 30_000, 30_000]
    assert max(one["oldest_seconds"] for one in more["vms"]) <= max(one["oldest_seconds"] for one in plain["vms"])
    fewer = admin.json("forecast", "--days", "5", "--without", "vm0", "--target", "vm1=36h")
    assert {one["vm"]: one["target_seconds"] for one in fewer["vms"]}["vm1"] == 1.5 * DAY
    assert "vm0" not in {one["vm"] for one in fewer["vms"]}


def test_the_limit_that_would_keep_the_targets_is_found(admin: AtGivenTime) -> None:
    """Six times 5,000 bytes a day: to the two hundredths that it is looked for."""
    found = admin.json("forecast", "--needed", "--target", "25h")["needed_limit_bytes"]
    assert 30_000 <= found <= 30_600
    assert "no limit keeps all targets" in admin.run("forecast", "--needed", "--target", "20h")


def test_nothing_is_written(admin: AtGivenTime) -> None:
    before = admin.json("status")
    admin.run("forecast")
    assert admin.json("status") == before


def test_what_cannot_be_asked_is_said(admin: AtGivenTime) -> None:
    with pytest.raises(UsageError, match="Unknown VM 'vm9'"):
        admin.run("forecast", "--without", "vm9")
    with pytest.raises(UsageError, match="Unknown VM 'vm9'"):
        admin.run("forecast", "--target", "vm9=3d")
    with pytest.raises(Exception, match="is not a size"):
        admin.run("forecast", "--limit", "much")


def test_without_options_it_is_the_one_that_the_last_pass_stored(admin: AtGivenTime) -> None:
    """The same days and ages as a pass would find now, as long as nothing has happened since; what waits it leaves."""
    admin.run("pass")
    stored, anew = admin.json("forecast"), admin.json("forecast", "--days", "30")
    assert (stored["density"], stored["needed_bytes"]) == (anew["density"], anew["needed_bytes"])
    for one, other in zip(stored["vms"], anew["vms"], strict=True):
        later = [day for day in one["days_out"] if day]  # what that pass released is on its way
        assert (one["vm"], later) == (other["vm"], [day for day in other["days_out"] if day])
        assert one["offsite_age_seconds"][1:3] == other["offsite_age_seconds"][1:3]
    assert {one["waiting_bytes"] for one in stored["days"]} == {None}


def test_a_host_without_a_vm_has_a_forecast_too(tmp_path: Path) -> None:
    told = AtGivenTime(Host(tmp_path), GivenClock()).run("forecast")
    assert "all stay within their targets for these 30 days" in told
