"""``tidegate history [VM]``: what was let out, what was confirmed, and what really crossed the line."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, GivenClock
from tests.host import ROOT, Host

STATS = "Total bytes sent: {}\nTotal bytes received: 50\n"


@pytest.fixture
def given(tmp_path: Path) -> AtGivenTime:
    """Three days. On the first vm1 and vm2 leave, on the second vm1 again, on the third nobody yet."""
    host = Host(tmp_path / "host", offsite={"confirm": "report"}, day={"timezone": "UTC"})
    clock = GivenClock()
    given = AtGivenTime(host, clock)
    for number, names in ((0, ("vm1", "vm2")), (1, ("vm1",))):
        for name in names:
            host.dump(f"{name}.{number}", 2000, vm=name)
        given.run("pass")
        given.run("sync-started")
        clock.advance(DAY)
        (host.folder / "stats").write_text(STATS.format(3000 - 2500 * number))
        (host.folder / "log").write_text("".join(f"send <f+++++++++ {500} 2000 {name}.{number}\n" for name in names))
        given.run("synced", "--stats", str(host.folder / "stats"), "--log", str(host.folder / "log"))
    return given


def told(rows: list[dict[str, Any]], *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(row[key] for key in keys) for row in rows]


def test_each_day_tells_its_limit_what_left_what_arrived_and_what_crossed(given: AtGivenTime) -> None:
    shape = given.json("history")
    keys = ("number", "limit_bytes", "let_out_bytes", "confirmed_bytes", "sent_bytes", "ratio", "closed_by")
    assert told(shape["days"], *keys) == [
        (3, 10_000, 0, 0, None, None, None),
        (2, 10_000, 2000, 2000, 500, 0.25, "sync"),
        (1, 10_000, 4000, 4000, 3000, 0.75, "sync"),
    ]
    assert told(shape["syncs"], "day", "confirmed_links", "sent_bytes", "evidence") == [
        (2, 1, 500, "report"),
        (1, 2, 3000, "report"),
    ]


def test_days_say_how_far_back(given: AtGivenTime) -> None:
    shape = given.json("history", "--days", "2")
    assert told(shape["days"], "number") == [(3,), (2,)]
    assert told(shape["syncs"], "day") == [(2,)]


def test_a_vm_tells_each_of_its_dumps_and_what_became_of_it(given: AtGivenTime) -> None:
    given.host.dump("vm1.2", 100, vm="vm1")
    given.run("pass")
    dumps = given.json("history", "vm1")["dumps"]
    assert told(dumps, "dump", "bytes", "state") == [
        ("vm1.2", 100, "linked"),
        ("vm1.1", 2000, "confirmed"),
        ("vm1.0", 2000, "confirmed"),
    ]
    links = [link for dump in dumps for link in dump["let_out"]]
    keys = ("day", "export_name", "bytes", "confirmed_by", "crossed_bytes", "ratio")
    assert told(links, *keys) == [
        (3, "vm1.2", 100, None, None, None),
        (2, "vm1.1", 2000, "report", 500, 0.25),
        (1, "vm1.0", 2000, "report", 500, 0.25),
    ]
    assert told(given.json("history", "vm1", "--days", "1")["dumps"], "dump") == [("vm1.2",)]


def test_people_read_the_same_in_tables(given: AtGivenTime) -> None:
    days, syncs = given.run("history").split("\n\n")
    assert [line.split()[-3:] for line in days.splitlines()[2:]] == [["500", "B", "25.0%"], ["3", "kB", "75.0%"]]
    assert len(syncs.splitlines()) == 3
    assert given.run("history", "vm2").splitlines()[1].split()[-4:] == ["report", "500", "B", "25.0%"]


def test_nothing_was_yet(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    assert host.json("history") == {"format": 2, "days": [], "syncs": []}
    assert "Unknown VM 'vm7'" in host.run("history", "vm7", code=2).stderr


def test_the_paper_names_every_key(given: AtGivenTime) -> None:
    """And no other."""
    days, dumps = given.json("history"), given.json("history", "vm1")["dumps"]
    keys = {*days["days"][0], *days["syncs"][0], *dumps[0], *dumps[0]["let_out"][0]}
    text = (ROOT / "docs" / "HISTORY.md").read_text().partition("## `--json`")[2]
    told = {word for line in text.splitlines() if line.startswith("| `") for word in re.findall(r"`([a-z_]+)`", line)}
    assert told - {"null"} == keys
