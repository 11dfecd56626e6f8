"""What crossed the line is kept for each sync and each link, beside what was charged, and is never given back."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.host import Host

REPORT: dict[str, Any] = {"offsite": {"confirm": "report"}, "day": {"at_least": "0s"}}
LOG = "send <f+++++++++ {size} 100 {name}\n"


def stats(sent: int, received: int = 50) -> str:
    return f"Total bytes sent: {sent}\nTotal bytes received: {received}\n"


def log(**files: int) -> str:
    return "".join(LOG.format(name=name, size=size) for name, size in files.items())


def rows(host: Host, query: str) -> list[Any]:
    with sqlite3.connect(host.state) as raw:
        found = raw.execute(query).fetchall()
    raw.close()
    return found


def syncs(host: Host) -> list[Any]:
    return rows(host, "SELECT sent_bytes, received_bytes, beyond_bytes FROM sync ORDER BY id")


def crossed(host: Host) -> dict[str, int]:
    query = "SELECT vm, sum(c.bytes) FROM transfer c JOIN link l ON l.id = c.link_id GROUP BY l.id"
    return dict(rows(host, query))


def counted(host: Host, name: str) -> int:
    return sum(value for (value,) in rows(host, f"SELECT value FROM counter WHERE name = '{name}'"))


def released(host: Host, **sizes: int) -> None:
    for name, size in sizes.items():
        host.dump(name, size)
    host.run("pass")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host", daily=10_000_000, **REPORT)


def test_a_report_tells_what_crossed_the_line(host: Host) -> None:
    released(host, vm1=1000, vm2=2000)
    host.run("synced", "--all", "--stats", "-", stdin=stats(2500))
    assert syncs(host) == [(2500, 50, 0)]
    assert (counted(host, "wire_sent_bytes"), counted(host, "wire_received_bytes")) == (2500, 50)


def test_a_log_tells_it_of_each_link_too(host: Host, tmp_path: Path) -> None:
    released(host, vm1=1000, vm2=2000)
    host.run("sync-started")
    (tmp_path / "log").write_text(log(vm1=700, vm2=10, other=5))
    host.run("synced", "--stats", "-", "--log", str(tmp_path / "log"), stdin=stats(760))
    assert syncs(host) == [(760, 50, 0)]
    assert crossed(host) == {"vm1": 700, "vm2": 10}


def test_a_sync_of_which_nobody_tells_is_unknown_and_not_zero(host: Host) -> None:
    released(host, vm1=1000)
    host.run("synced", "--all")
    assert syncs(host) == [(None, None, 0)]


def test_the_charge_stays_whatever_crossed(host: Host) -> None:
    """Delta transfers make a day lighter on the line and not longer: rsync may need all of it the next time."""
    host.configure(daily=10_000_000, offsite=REPORT["offsite"])
    released(host, vm1=9_000_000)
    host.run("synced", "--all", "--stats", "-", stdin=stats(5000))
    assert host.json("status")["day"]["left_bytes"] == 1_000_000


def test_more_than_was_let_out_is_counted_once_and_told(host: Host) -> None:
    released(host, vm1=4_000_000)
    first = host.run("synced", "--all", "--stats", "-", stdin=stats(4_000_300))
    assert syncs(host) == [(4_000_300, 50, 300)]
    assert "look for links" not in first.stderr  # rsync's own words
    released(host, vm2=1_000_000)
    second = host.run("synced", "--all", "--stats", "-", stdin=stats(5_000_300))
    assert syncs(host)[1] == (5_000_300, 50, 4_000_300)
    assert "5 MB was sent on day 2 for 1 MB that was released" in second.stderr
    assert counted(host, "wire_beyond_charge_bytes") == 4_000_600


def test_what_two_syncs_of_one_day_carry_is_set_against_the_day(host: Host) -> None:
    """The one takes what the other has left; what both take was sent twice."""
    host.configure(daily=10_000_000, offsite=REPORT["offsite"])
    released(host, vm1=2_000_000, vm2=3_000_000)
    (host.folder / "list").write_text("vm1\n")
    for sent, beyond in ((2_000_000, 0), (3_000_000, 0), (3_000_000, 3_000_000)):
        host.run("sync-started")
        host.run("synced", "--arrived", str(host.folder / "list"), "--stats", "-", stdin=stats(sent))
        assert syncs(host)[-1] == (sent, 50, beyond)


def test_a_kept_link_that_crosses_the_line_again_is_told_by_name(host: Host) -> None:
    """A storage that mirrors the tree finds it there."""
    released(host, vm1=1000)
    told = host.run("synced", "--all", "--log", "-", stdin=log(vm1=1000))
    assert "sent again" not in told.stderr
    released(host, vm2=1000)
    told = host.run("synced", "--all", "--log", "-", stdin=log(vm1=1000, vm2=1000))
    assert "sent again although the storage has them: vm1." in told.stderr
    assert counted(host, "links_sent_again") == 1
    assert crossed(host) == {"vm1": 1000, "vm2": 1000} | {"vm1": 2000}


def test_a_read_link_is_not_sent_again_by_the_sync_that_read_it(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", day=REPORT["day"])
    released(host, vm1=1000)
    (host.tree / "vm1").read_bytes()
    told = host.run("synced", "--all", "--log", "-", stdin=log(vm1=1000))
    assert "sent again" not in told.stderr


@pytest.mark.parametrize(
    ("words", "stdin", "sentence"),
    [
        (["--stats", "-"], "nothing", "--stats - tells of no transfer: neither"),
        (["--stats", "-"], "Total bytes sent: 1,000\nTotal bytes received: 5\n", "written for people; run rsync with"),
        (["--log", "-", "--stats", "-"], "", "stdin can be only one of"),
        (["--log", "absent"], "", "--log absent cannot be read: No such file"),
    ],
)
def test_words_that_tell_nothing_are_refused_and_nothing_is_done(
    host: Host, words: list[str], stdin: str, sentence: str
) -> None:
    released(host, vm1=1000)
    assert sentence in host.run("synced", "--all", *words, stdin=stdin, code=2).stderr
    assert syncs(host) == []


def test_of_a_dump_that_leaves_in_slices_the_day_s_slice_was_charged(host: Host) -> None:
    """So it is told when more than that crossed the line."""
    released(host, vm1=5_000_000, vm2=1000)
    with closing(sqlite3.connect(host.state)) as raw, raw:
        raw.execute("INSERT INTO slice SELECT id, day, 2000000, released_at, '', 0 FROM link WHERE vm = 'vm1'")
    host.run("synced", "--all", "--stats", "-", stdin=stats(2_001_500))
    assert syncs(host) == [(2_001_500, 50, 500)]


# --- without a log


def read_again(host: Host, hours: float) -> str:
    """What a report says when the kept link was read so long after it was confirmed."""
    path = host.tree / "vm1"
    at = int((time.time() + hours * 3600) * 1e9)
    os.utime(path, ns=(at, path.stat().st_mtime_ns))
    return host.run("synced", "--all").stderr


def test_a_kept_link_that_is_read_again_is_told_once_for_each_time(host: Host) -> None:
    released(host, vm1=1000)
    host.run("synced", "--all")
    assert "read again" not in read_again(host, 19)  # it was being read when it was confirmed
    assert "read again although the storage has them: vm1." in read_again(host, 21)
    assert "read again" not in host.run("synced", "--all").stderr
    assert "read again" in read_again(host, 45)
    assert counted(host, "links_read_again") == 2


def test_where_links_go_when_they_are_confirmed_nothing_is_read_again(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", **REPORT | {"offsite": {"confirm": "report", "storage": "collect"}})
    released(host, vm1=1000)
    (host.folder / "kept").hardlink_to(host.tree / "vm1")
    host.run("synced", "--all")
    (host.folder / "kept").rename(host.tree / "vm1")
    assert "read again" not in read_again(host, 21)
