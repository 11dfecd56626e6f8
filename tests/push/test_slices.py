"""A dump heavier than any day leaves in slices beside others, over days, through the real program."""

import random
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, HOUR, GivenClock
from tests.host import Host
from tests.push import storage

pytestmark = pytest.mark.slow

LIMIT = 1_000_000
HUGE = 2_300_000


class Days:
    """A host that pushes with ``oversize = "slices"``: a pass and a sync on each day."""

    def __init__(self, folder: Path, sync: dict[str, Any]) -> None:
        self.there = folder / "storage"
        self.clock = GivenClock()
        self.host = Host(
            folder / "host", daily=LIMIT, sync=sync, limit={"oversize": "slices"}, staleness={"target": "2d"}
        )
        self.commands = AtGivenTime(self.host, self.clock)

    def dump(self, name: str, size: int) -> None:
        """Under a name that stays, as a mirror wants it."""
        self.host.dump(name, size)

    def live(self) -> dict[str, Any]:
        """One day: its pass and its sync. It has sent at most its limit."""
        self.commands.run("pass")
        self.clock.advance(DAY)
        [tree] = self.commands.json("sync")["trees"]
        assert self.sent_on(tree["day"]) <= LIMIT
        return dict(tree)

    def sent_on(self, day: int) -> int:
        """Bytes metered on this day, in all syncs."""
        with sqlite3.connect(self.host.state) as raw:
            [(leased, sent)] = raw.execute(f"SELECT sum(leased_bytes), sum(sent_bytes) FROM sync WHERE day = {day}")
        raw.close()
        assert sent <= leased
        return int(leased)

    def account(self) -> dict[str, int]:
        day: dict[str, int] = self.commands.json("status")["day"]
        return day


@pytest.mark.parametrize("transport", [storage.to_a_folder, storage.over_ssh])
def test_an_oversize_dump_leaves_beside_three_others_and_all_of_it_arrives(
    tmp_path: Path, there: Path, transport: Any
) -> None:
    """Newer dumps of the others leave on each day; one of its own waits until it is whole."""
    with transport(tmp_path, there) as sync:
        days = Days(tmp_path, sync)
        days.dump("huge.img", HUGE)
        arrived, others = [], set()
        for number in range(6):
            for vm in range(3):
                days.dump(f"vm{vm}-2026-11-{10 + number}.img", 100_000 + number)
            if number == 2:
                days.dump("huge-2026-12-01.img", HUGE + 1)
            tree = days.live()
            confirmed = {link["export_name"] for link in tree["confirmed"]}
            others |= confirmed - {"huge.img"}
            assert tree["outstanding"] == []
            if "huge.img" in confirmed:
                arrived.append(number)
            elif not arrived:
                [sliced] = tree["slices"]
                assert sliced["sent_bytes"] > 0
        assert arrived
        assert 3 <= arrived[0] <= 4
        assert others == {"vm0.img", "vm1.img", "vm2.img"}
        whole = storage.arrived(there)["huge.img"]
        assert whole.stat().st_size in {HUGE, HUGE + 1}
        while not storage.is_mirror(days.host.tree, there):
            assert days.live()["day"] < 20
    assert storage.parts(there) == []
    assert storage.arrived(there)["huge.img"].stat().st_size == HUGE + 1, "the newer one after it"


def test_the_account_of_a_day_holds_its_slice_and_not_the_whole_dump(tmp_path: Path, there: Path) -> None:
    days = Days(tmp_path, {"destination": str(there)})
    days.dump("huge.img", HUGE)
    days.commands.run("pass")
    first = days.account()
    assert (first["outstanding_bytes"], first["left_bytes"]) == (LIMIT, 0), "nobody else wants any of it"
    days.dump("vm1.img", 300_000)
    days.commands.run("pass")
    second = days.account()
    assert (second["outstanding_bytes"], second["left_bytes"]) == (LIMIT, 0)
    status = days.commands.status()
    assert {name: vm["newest_dump"]["state"] for name, vm in status.items()} == {"huge": "linked", "vm1": "linked"}
    days.clock.advance(DAY)
    days.commands.run("sync")
    third = days.account()
    assert third["number"] == 2
    assert (third["outstanding_bytes"], third["used_bytes"], third["left_bytes"]) == (0, 0, LIMIT)
    days.commands.run("pass")
    assert days.account()["outstanding_bytes"] == LIMIT
    assert re.search(r"huge leaves in slices: .*6\d\d kB of 2.3 MB sent, 1 MB may go", days.commands.run("status"))
    planned = days.commands.json("plan")["decisions"]
    assert [(one["vm"], one["slice_bytes"]) for one in planned if "slice_bytes" in one] == [("huge", LIMIT)]
    explained = days.commands.run("explain", "huge")
    assert re.search(r"6\d\d kB of 2.3 MB sent, 1 MB may go today, complete on day \d at the latest", explained)


def test_a_slice_goes_once_a_day_however_often_it_is_sent(tmp_path: Path, there: Path) -> None:
    """The day is young and goes on: the second sync finds nothing left of the slice."""
    days = Days(tmp_path, {"destination": str(there)})
    days.dump("huge.img", HUGE)
    days.commands.run("pass")
    first = days.commands.json("sync")["trees"][0]
    days.clock.advance(HOUR)
    days.commands.run("pass")
    days.commands.run("sync")
    assert first["day_ended"] is False
    assert days.sent_on(1) <= LIMIT
    assert days.account()["number"] == 1


def test_what_a_day_has_cut_short_weighs_only_its_rest_on_the_next(tmp_path: Path, there: Path) -> None:
    """Two dumps fill a day to the byte; names and checksums cross too, so the second is short of some."""
    days = Days(tmp_path, {"destination": str(there)})
    days.dump("vm1.img", 600_000)
    days.dump("vm2.img", 400_000)
    tree = days.live()
    assert (tree["stopped_at_limit"], tree["day_ended"]) == (True, True)
    assert [link["export_name"] for link in tree["confirmed"]] == ["vm1.img"]
    days.dump("vm3.img", 900_000)
    tree = days.live()
    assert {link["export_name"] for link in tree["confirmed"]} == {"vm2.img", "vm3.img"}
    assert storage.is_mirror(days.host.tree, there)


def test_one_in_slices_that_is_held_back_ends_and_is_begun_anew(tmp_path: Path, there: Path) -> None:
    days = Days(tmp_path, {"destination": str(there)})
    days.dump("huge.img", HUGE)
    days.live()
    days.commands.run("hold", "huge")
    assert days.account()["outstanding_bytes"] == 0
    days.commands.run("unhold", "huge")
    for _ in range(4):
        days.live()
    assert storage.arrived(there)["huge.img"].stat().st_size == HUGE
    assert storage.is_mirror(days.host.tree, there)


@pytest.mark.parametrize("seed", [1, 2])
def test_on_days_of_every_kind_no_more_than_the_limit_is_sent_and_in_the_end_all_is_there(
    tmp_path: Path, there: Path, seed: int
) -> None:
    """More passes and syncs than one a day, or no pass; dumps of any size; a storage that loses its parts."""
    dice = random.Random(seed)
    days = Days(tmp_path, {"destination": str(there)})
    for number in range(6):
        for vm in range(3):
            if dice.random() < 0.5:
                days.dump(f"vm{vm}-2026-11-{10 + number}.img", dice.randrange(1, LIMIT))
        if number in {0, 3}:
            days.dump(f"huge-2026-11-{10 + number}.img", dice.randrange(LIMIT, 2 * LIMIT))
        for _ in range(dice.randint(0, 2)):
            days.commands.run("pass")
            days.clock.advance(dice.choice([HOUR, 5 * HOUR]))
            days.commands.run("sync")
        days.clock.advance(DAY)
        [tree] = days.commands.json("sync")["trees"]
        assert days.sent_on(tree["day"]) <= LIMIT
        if dice.random() < 0.2:
            for part in storage.parts(there):
                part.unlink()
    while not (storage.is_mirror(days.host.tree, there) and waits_for_nothing(days)):
        assert days.live()["day"] < 30
    assert storage.parts(there) == []


def waits_for_nothing(days: Days) -> bool:
    plan = days.commands.json("plan")
    return plan["day"]["outstanding_bytes"] == 0 and all(one["verdict"] != "released" for one in plan["decisions"])
