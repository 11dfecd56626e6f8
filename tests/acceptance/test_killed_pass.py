"""``kill -9`` of a pass at any instant: nothing is lost, nothing exceeds the limit, nothing half-made is visible."""

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.story import LIMIT, Story
from tests.acceptance.warm import Point, Warm
from tests.host import ROOT, Host

pytestmark = pytest.mark.slow

#: Hosts whose passes are killed at the same time: much of its run a command waits for the disk.
HOSTS = 2
#: Kills on each of them, and which of these meet a command that must load Python first.
KILLS = 30
COLD = range(0, KILLS, 6)
#: So many come by each trace point four times, and some of them by the rare ones.
MOST_PASSES = 120


@contextmanager
def begun(folder: Path, seed: int) -> Iterator[Story]:
    """A host in the midst of its days; at the end of the block these go on without a kill until all is done."""
    checked = {"some": {"vms": ["vm0", "vm1"], "verify": ["size"]}}  # a pass may die between two checks, too
    host = Host(folder, daily=LIMIT, offsite={"confirm": "report"}, day={"at_least": "0s"}, backup_sets=checked)
    with Warm(folder / "warm") as warm:
        story = Story(host, random.Random(seed), warm)
        story.begin()
        yield story
        story.finish()


def test_killed_at_any_time(tmp_path: Path) -> None:
    """60 kills at random times of its run, 50 of them in the tenth of it that follows the loading of Python."""
    with ThreadPoolExecutor(HOSTS) as hosts:
        list(hosts.map(lambda seed: kill_at_any_time(tmp_path / f"host{seed}", seed), range(HOSTS)))


def kill_at_any_time(folder: Path, seed: int) -> None:
    with begun(folder, seed) as story:
        story.go_on()
        started = time.monotonic()
        story.host.run("pass")
        run_time = time.monotonic() - started
        story.go_on()
        work_time = story.command("pass").seconds
        for kill in range(KILLS):
            is_killed = False
            while not is_killed:  # else it was faster than its end
                story.go_on()
                if kill in COLD:
                    is_killed = is_killed_after(story, run_time * story.dice.random())
                else:
                    is_killed = story.command("pass", kill_after=work_time * story.dice.random()).was_killed
                story.holds()
            if story.dice.random() < 0.2:
                story.whole_pass()
        assert story.syncs >= 3


def is_killed_after(story: Story, seconds: float) -> bool:
    """The command as cron starts it. False when it had ended by then."""
    process = story.host.start("pass")
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    assert process.returncode in {0, -9}
    return process.returncode != 0


def test_killed_at_each_trace_point(tmp_path: Path) -> None:
    """At each dangerous instant that the source names: each pass is killed where none was killed before."""
    killed: set[Point] = set()
    with begun(tmp_path / "host", 7) as story:
        for _ in range(MOST_PASSES):
            story.go_on()
            ended = story.command("pass", "--json", kill_but_at=killed)
            if ended.was_killed:
                killed.add(ended.passed[-1])
                story.holds()
            else:
                story.account_holds(json.loads(ended.stdout)["day"])
                if {point.name for point in killed} == trace_points():
                    break
    assert {point.name for point in killed} == trace_points()
    assert len(killed) >= 20


def trace_points() -> set[str]:
    """All that stand in the rooms which a pass enters, but the one where a watcher has armed its doorbell."""
    files = [file for room in ("policy", "watcher") for file in (ROOT / room).rglob("*.py")]
    sources = (file.read_text() for file in files if not file.is_relative_to(ROOT / "policy" / "sync"))
    return {name for source in sources for name in re.findall(r'failpoints\.point\("(.+?)"\)', source)} - {"armed"}


def test_a_marker_made_while_the_pass_that_is_killed_removes_its_predecessor_is_not_lost(tmp_path: Path) -> None:
    """A pass moves a marker aside, looks whether it is still the one it read, and dies before it has looked."""
    host = Host(tmp_path / "host", offsite={"confirm": "report"}, day={"at_least": "0s"})
    host.dump("vm1.img", 100)
    with Warm(tmp_path / "warm") as warm:
        released(host, warm)
        host.run("synced", "--all")
        assert warm.run("--config", str(host.file), "pass", kill_at="marker aside").was_killed
        [aside] = host.dumps.glob(".vm1.img.done*")
        host.dump("vm1.img", 200, marked=False)
        os.utime(aside)  # the touch came between the pass's look at the marker and its rename
        released(host, warm)
        released(host, warm)
    assert host.exported() == {"vm1.img": 200}
    assert {path.name for path in host.dumps.iterdir()} == {"vm1.img", "vm1.img.done", ".rsync", ".rsync.staging"}


def test_a_failure_whose_marker_was_being_removed_when_the_pass_was_killed_does_not_come_back(tmp_path: Path) -> None:
    """Put back where it stood, it would be newer than the marker of the good dump that came after it."""
    host = Host(tmp_path / "host", offsite={"confirm": "report"}, day={"at_least": "0s"})
    host.dump("vm1.img", 100, marked=False)
    host.mark("vm1.img", "failed")
    with Warm(tmp_path / "warm") as warm:
        released(host, warm)
        host.dump("vm1.img", 200)
        assert warm.run("--config", str(host.file), "pass", kill_at="marker aside").was_killed
        assert list(host.dumps.glob(".vm1.img.failed*"))
        released(host, warm)
        host.run("synced", "--all")
        released(host, warm)
    [vm] = host.json("status")["vms"]
    assert (vm["freshness"], vm["last_dump_failed"]) == ("fresh", False)
    assert {path.name for path in host.dumps.iterdir()} == {"vm1.img", ".rsync", ".rsync.staging"}


def released(host: Host, warm: Warm) -> None:
    ended = warm.run("--config", str(host.file), "pass")
    assert ended.code == 0, ended
