"""``kill -9`` of the watcher at any instant, while dumps are made: what was marked is recorded, and recorded once."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.warm import Warm
from tests.host import Host
from tests.waiting import WAIT_SECONDS

pytestmark = pytest.mark.slow

KILLS = 55
#: Which of the kills meet a watcher that must load Python first.
COLD = range(0, KILLS, 11)

#: Files, each under a name of its own, and now and then the marker of an earlier one touched again.
FILES = """
n=0
while [ ! -e ../stop ]; do
    n=$((n + 1)) X=disk$n.img
    head -c $((n % 97 + 1)) /dev/zero >$X.part && mv $X.part $X && touch $X.done
    [ $((n % 5)) -ne 0 ] || touch disk$((n - 3)).img.done
    sleep 0.02
done
"""
#: Folders, whose markers have a body and are themselves renamed into place.
FOLDERS = """
n=0
while [ ! -e ../stop ]; do
    n=$((n + 1)) X=folder$n
    mkdir $X.part && echo $n >$X.part/one && mkdir $X.part/deep && echo $n$n >$X.part/deep/two && mv $X.part $X &&
        echo "{\\"vm\\": \\"vm$n\\"}" >$X.json && mv $X.json $X.done
    sleep 0.02
done
"""


@contextmanager
def scripts_at_work(host: Host) -> Iterator[None]:
    """Two schedules at the same time; at the end of the block both have made their last dump whole."""
    scripts = [subprocess.Popen(["sh", "-eu", "-c", script], cwd=host.dumps) for script in (FILES, FOLDERS)]
    try:
        yield
    finally:
        (host.folder / "stop").touch()
        ends = [script.wait(WAIT_SECONDS) for script in scripts]
    assert ends == [0, 0]


def test_killed_at_any_time_and_started_again_each_marker_is_recorded_once(tmp_path: Path) -> None:
    """55 kills: of its start, of its scan, and of the work that events bring."""
    host = Host(tmp_path / "host")
    dice = random.Random(11)
    with Warm(tmp_path / "warm") as warm, scripts_at_work(host):
        for kill in range(KILLS):
            if kill in COLD:
                kill_cold_watcher(host, dice.random())
            else:
                since = dice.choice([None, "scanned", "recorded"])
                ended = warm.run("--config", str(host.file), "watch", kill_after=dice.random() * 0.2, since=since)
                assert ended.was_killed, ended
        assert rows(host), "those that were killed have recorded, too"
    made = [path for path in host.dumps.iterdir() if path.suffix != ".done" and not path.name.startswith(".")]
    expected = {path.name: said(path) for path in made}
    watcher = host.start("watch")
    try:
        await_rows(host, len(expected))
    finally:
        watcher.send_signal(signal.SIGTERM)
        _, log = watcher.communicate(timeout=WAIT_SECONDS)
    assert watcher.returncode == 0, log
    recorded = rows(host)
    assert len(recorded) == len(expected)
    assert {row["path"]: (row["bytes"], row["files"], row["vm"], row["state"]) for row in recorded} == expected
    assert counted(host, "recorded") == len(expected)
    assert counted(host, "rejected") == 0
    assert not list(host.dumps.glob(".*")), "what those that were killed at their start have left is gone"


def kill_cold_watcher(host: Host, seconds: float) -> None:
    """The service as systemd starts it."""
    watcher = host.start("watch")
    try:
        watcher.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        watcher.kill()
        watcher.communicate()
    assert watcher.returncode == -signal.SIGKILL


def said(dump: Path) -> tuple[int, int, str, str]:
    """Bytes, files, VM and state, as they must be recorded. A dump of one file has no row for it."""
    if dump.is_file():
        return dump.stat().st_size, 0, dump.stem, "pending"
    files = [path for path in dump.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files), len(files), dump.name.replace("folder", "vm"), "pending"


def await_rows(host: Host, number: int) -> None:
    give_up = time.monotonic() + WAIT_SECONDS
    while len(rows(host)) < number:
        assert time.monotonic() < give_up, f"{len(rows(host))} of {number} are recorded"
        time.sleep(0.02)


def rows(host: Host) -> list[dict[str, Any]]:
    query = (
        "SELECT path, bytes, vm, state, (SELECT count(*) FROM member WHERE dump_id = id) AS files FROM dump ORDER BY id"
    )
    return [{**row, "path": os.fsdecode(row["path"])} for row in asked(host, query)]


def counted(host: Host, result: str) -> int:
    return sum(row["value"] for row in asked(host, f"SELECT value FROM counter WHERE label = '{result}'"))


def asked(host: Host, query: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(f"file:{host.state}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query)]
    finally:
        connection.close()
