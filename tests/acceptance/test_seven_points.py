"""DESIGN 1, point by point: each test reads like the sentence that it holds the program to.

The fourth point, many passes at one moment, is in ``test_together.py``.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from core.units import format_time
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, HOUR, GivenClock
from tests.host import Host, reasons

LIMIT = 10_000

#: Dumps `vm:bytes` one after the other. A VM named `broken` fails, and `gate` waits at the FIFO of that name.
DUMP_JOB = """
cd "$1" || exit 2
shift
errors=0
for job in "$@"; do
    X=${job%:*}
    touch $X.running
    [ $X = gate ] && read -r _ < gate.fifo
    if [ $X != broken ] && head -c ${job#*:} /dev/urandom > $X.part && mv $X.part $X; then
        rm $X.running && touch $X.done
    else
        rm $X.running && touch $X.failed
        errors=1
    fi
done
exit $errors
"""


def dump_job(host: Host, *jobs: str) -> subprocess.Popen[bytes]:
    """A backup set, dumped by a shell script in a process of its own."""
    return subprocess.Popen(["sh", "-c", DUMP_JOB, "job", host.dumps, *jobs])


def reporting(folder: Path, **sections: Any) -> Host:
    """A host whose storage reports, and whose day ends with the report."""
    return Host(folder, daily=LIMIT, offsite={"confirm": "report"}, day={"at_least": "0s"}, **sections)


def test_1_dumps_of_several_schedules_run_at_the_same_time_and_end_in_any_order(tmp_path: Path) -> None:
    """Two sets are dumped at once; the first to start ends last. What is finished leaves, what runs waits its turn."""
    host = reporting(tmp_path)
    os.mkfifo(host.dumps / "gate.fifo")
    weekly = dump_job(host, "vm1:1000", "gate:2000")
    wait_for(host.dumps / "gate.running")
    assert dump_job(host, "vm2:1000", "vm3:1000").wait(60) == 0
    assert reasons(host.json("pass")) == {"vm1": "released", "vm2": "released", "vm3": "released", "gate": "running"}
    (host.dumps / "gate.fifo").write_text("go on\n")
    assert weekly.wait(60) == 0
    assert reasons(host.json("pass"))["gate"] == "released"
    assert host.exported() == {"vm1": 1000, "vm2": 1000, "vm3": 1000, "gate": 2000}


def wait_for(path: Path) -> None:
    """The script comes there by itself; pytest's time-out is the deadline."""
    while not path.exists():
        os.sched_yield()


def test_2_a_failed_vm_keeps_no_other_from_leaving_and_its_dump_job_ends_with_an_error(tmp_path: Path) -> None:
    """The second of four VMs fails: three leave, the fourth is told, and the job's status is 1."""
    host = reporting(tmp_path)
    assert dump_job(host, "vm1:1000", "broken:1000", "vm2:1000", "vm3:1000").wait(60) == 1
    shape = host.json("pass")
    assert reasons(shape) == {"vm1": "released", "vm2": "released", "vm3": "released", "broken": "dump_failed"}
    assert host.exported() == {"vm1": 1000, "vm2": 1000, "vm3": 1000}
    told = {one["vm"]: one["last_dump_failed"] for one in host.json("status")["vms"]}
    assert told == {"vm1": False, "vm2": False, "vm3": False, "broken": True}


def test_3a_the_limit_is_for_one_sync_and_when_it_has_passed_the_day_is_over(tmp_path: Path) -> None:
    """However many passes run before the sync, together they let out one limit; after its report there is a new one."""
    host = reporting(tmp_path)
    for number in range(6):
        host.dump(f"vm{number}", 4_000)
    for _ in range(3):
        assert host.json("pass")["day"]["number"] == 1
        assert sum(host.exported().values()) == 8_000
    host.run("sync-started")
    host.run("synced")
    shape = host.json("pass")
    assert shape["day"]["number"] == 2
    assert sum(one["bytes"] for one in shape["decisions"] if one["verdict"] == "released") == 8_000


def test_3b_what_leaves_is_chosen_among_all_finished_dumps_and_not_one_at_a_time(tmp_path: Path) -> None:
    """The dump that finished first does not leave first: the VM whose copy is stalest does."""
    host = reporting(tmp_path)
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    for vm, hours in (("first", 3), ("second", 2), ("third", 90)):
        admin.run("mark-sent", vm, "--time", format_time(clock.wall - hours * HOUR))
        host.dump(vm, 9_000)
    shape = admin.json("pass")
    assert reasons(shape) == {"first": "limit_reached", "second": "limit_reached", "third": "released"}


def test_5_an_oversize_dump_and_a_stale_copy_have_rules_of_their_own(tmp_path: Path) -> None:
    """A dump heavier than the limit is held, told, and in nobody's way; each VM is stale by its own target."""
    sets = {"daily": {"target": "2d", "vms": ["often"]}, "monthly": {"target": "60d", "vms": ["seldom"]}}
    host = reporting(tmp_path, backup_sets=sets)
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    host.dump("huge", LIMIT + 1)
    for vm in ("often", "seldom"):
        host.dump(vm, 5_000)
    assert reasons(admin.json("pass")) == {"huge": "oversize", "often": "released", "seldom": "released"}
    admin.run("synced", "--all")
    clock.advance(3 * DAY)
    assert {vm: one["freshness"] for vm, one in admin.status().items()} == {
        "huge": "new",
        "often": "stale",
        "seldom": "fresh",
    }
    assert "huge" in admin.run("status", "--check", code=2)


@pytest.mark.slow
def test_6_a_weekly_set_of_ten_limits_leaves_a_limit_a_day_and_no_vm_is_left_behind(tmp_path: Path) -> None:
    """Eight weeks at a millionth of the size: each day is full, and no VM waits three weeks for its turn.

    So a storage that drops copies after three weeks never drops a VM's last one.
    """
    host = reporting(tmp_path)
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    sizes = {f"vm{number:02}": 2_500 if number % 3 else 5_000 for number in range(30)}
    assert sum(sizes.values()) == 10 * LIMIT
    left = dict.fromkeys(sizes, clock.wall)
    for day in range(56):
        if day % 7 == 0:
            for vm, size in sizes.items():
                host.dump(f"{vm}-{day:02}", size, vm=vm, finished=format_time(clock.wall))
        shape = admin.json("pass")
        out = {one["vm"]: one["bytes"] for one in shape["decisions"] if one["verdict"] == "released"}
        assert sum(out.values()) == LIMIT
        left.update(dict.fromkeys(out, clock.wall))
        assert max(clock.wall - since for since in left.values()) < 21 * DAY
        admin.run("synced", "--all")
        clock.advance(DAY)
    assert {one["freshness"] for one in admin.status().values()} == {"fresh"}


@pytest.mark.parametrize("way", ["one daily pass", "a pass after each dump job"])
def test_7_both_ways_of_running_keep_the_limit_and_the_rules(way: str, tmp_path: Path) -> None:
    """Three dump jobs a day, for four days: passed once at the end of it, or after each of them."""
    host = reporting(tmp_path)
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    for day in range(4):
        for job in ("a", "b", "c"):
            for disk in ("1", "2"):
                host.dump(f"{job}{disk}-{day}", 2_500, vm=f"{job}{disk}", finished=format_time(clock.wall))
            if way != "one daily pass":
                admin.run("pass")
        shape = admin.json("pass")
        assert shape["day"]["number"] == day + 1
        assert shape["day"]["outstanding_bytes"] == LIMIT
        held = [one for one in shape["decisions"] if one["verdict"] != "released"]
        assert {one["reason"] for one in held} <= {"outstanding", "limit_reached", "superseded"}
        admin.run("synced", "--all")
        clock.advance(DAY)
    assert {one["freshness"] for one in admin.status().values()} == {"fresh"}
