"""What was seen is not seen anew: a marker seen twice, a watcher restarted, a pass repeated. Nothing changes."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.given_time import AtGivenTime
from tests.clock import GivenClock
from tests.host import Host
from tests.service.running import service
from tests.waiting import until

#: What tells when something was looked at, and not what was found. Of counters and passes it is the number of passes.
#: A forecast is of the days that follow its own pass: what that released leaves it again the next time.
TELLS_WHEN = {"watch_status", "pass", "forecast"}
COUNTS_PASSES = ("passes",)

#: What is known of each dump, less what tells when its markers were written.
LASTING = "SELECT path, fingerprint, vm, state, reason, detail, dump_time, recorded_at, ended_at FROM dump ORDER BY id"

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """One dump of each kind: let out, waiting, oversize, failed, running, rewritten, bad, ambiguous and missing."""
    host = Host(tmp_path, daily=10_000)
    host.dump("file.img", 6_000)
    host.dump("folder", {"disk0": 1_000, "inner/disk1": 500})
    host.dump("waiting.img", 6_000)
    host.dump("huge.img", 10_001)
    host.mark("broken", "failed", error="no space left")
    host.dump("busy.img", 100, marked=False)
    host.mark("busy.img", "running")
    host.dump("bad.img", 100, marked=False)
    (host.dumps / "bad.img.done").write_text("no JSON")
    host.dump("db.prod", 100)
    host.dump("db.test", 100)
    host.mark("missing.img")
    rewritten = host.dump("rewritten.img", 100)
    os.utime(rewritten, (rewritten.stat().st_mtime + 60,) * 2)
    return host


def rows(host: Host) -> Rows:
    """Every row of the state but those that tell when something was looked at."""
    tables = {str(name) for (name,) in ask(host, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = {name: sorted(ask(host, f'SELECT * FROM "{name}"'), key=repr) for name in tables - TELLS_WHEN}
    found["counter"] = [row for row in found["counter"] if row[0] not in COUNTS_PASSES]
    # What one pass releases is outstanding to the next, and so all others have other places in its plan.
    decided = "SELECT dump_id, reason, detail, in_queue, forecast_day, rule FROM decision"
    found["decision"] = ask(host, f"{decided} WHERE reason NOT IN ('released', 'outstanding') ORDER BY dump_id")
    return found


def ask(host: Host, query: str) -> list[tuple[Any, ...]]:
    """Rows of the state file, read beside whoever writes it."""
    with closing(sqlite3.connect(f"file:{host.state}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def same(after: Rows, before: Rows) -> None:
    """Table by table, so that a difference is found when there is one."""
    assert after.keys() == before.keys()
    for table in before:
        assert after[table] == before[table], table


def test_a_pass_repeated_changes_nothing(host: Host) -> None:
    """The second and third pass find what the first one left, and leave it."""
    admin = AtGivenTime(host, GivenClock())
    first = admin.json("pass")
    tree, state = host.exported(), rows(host)
    for _ in range(2):
        again = admin.json("pass")
        assert host.exported() == tree
        same(rows(host), state)
        assert again["day"] == first["day"]
        assert "released" not in {one["verdict"] for one in again["decisions"]}


def test_a_watcher_restarted_changes_nothing(host: Host) -> None:
    """It scans all markers anew at each start, and records none of them again."""
    host.run("pass")
    state = rows(host)
    for _ in range(2):
        with service(host) as running:
            assert running.end() == 0
        same(rows(host), state)


def test_a_marker_seen_by_the_doorbell_and_by_a_scan_is_one_dump(host: Host) -> None:
    """The watcher hears of a marker, its scan at the next start sees it too, and so does the scan of a plan."""
    with service(host) as running:
        host.dump("heard.img", 100)
        until(lambda: any(b"heard.img" in row[2] for row in rows(host)["dump"]))
        assert running.end() == 0
    state = rows(host)
    host.run("plan")
    with service(host) as running:
        assert running.end() == 0
    same(rows(host), state)


def test_a_marker_touched_again_over_the_same_dump_is_the_same_dump(host: Host) -> None:
    """What is let out stays let out, what waits keeps its turn and its dump time; only the marker is known anew."""
    admin = AtGivenTime(host, GivenClock())
    admin.run("pass")
    tree, before, dumps = host.exported(), rows(host), ask(host, LASTING)
    for name in ("file.img", "folder", "waiting.img", "huge.img"):
        (host.dumps / f"{name}.done").touch()
    admin.run("pass")
    after = rows(host)
    assert host.exported() == tree
    for table in ("link", "day", "member"):
        assert after[table] == before[table], table
    assert ask(host, LASTING) == dumps
    assert ("markers", "repeated", 4) in after["counter"]
