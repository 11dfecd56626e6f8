"""``tidegate sync`` as an admin has it: over real transports, with what goes wrong there."""

import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from core.state.database import State
from tests.acceptance.given_time import AtGivenTime
from tests.clock import DAY, GivenClock
from tests.host import Host
from tests.push import storage

SIZE = 200_000


def filled(folder: Path, sync: dict[str, Any], *, daily: int = 2_000_000, dumps: int = 3) -> Host:
    """Some dumps of one size and a folder, all let out."""
    host = Host(folder / "host", daily=daily, sync=sync)
    for number in range(dumps):
        host.dump(f"vm{number}.img", SIZE)
    host.dump("vmf", {"config": 10, "disks/a b": 1000})
    host.run("pass")
    return host


def tree_of(shape: dict[str, Any]) -> dict[str, Any]:
    [tree] = shape["trees"]
    return dict(tree)


def names(links: list[dict[str, Any]]) -> set[str]:
    return {link["export_name"] for link in links}


@pytest.mark.parametrize("transport", [storage.to_a_folder, storage.over_ssh, storage.to_a_daemon])
def test_all_arrives_over_every_transport_cut_by_the_end_of_a_day_in_between(
    tmp_path: Path, there: Path, transport: Any
) -> None:
    """The first day cannot send all: what it has sent stays, and the second sends the rest."""
    with transport(tmp_path, there) as sync:
        clock = GivenClock()
        host = filled(tmp_path, sync, daily=700_000)
        commands = AtGivenTime(host, clock)
        with sqlite3.connect(host.state) as raw:
            raw.execute("UPDATE day SET limit_bytes = 400000")
        raw.close()
        clock.advance(DAY)
        first = tree_of(commands.json("sync"))
        assert (first["stopped_at_limit"], first["day_ended"]) == (True, True)
        assert first["sent_bytes"] <= 400_000
        assert names(first["confirmed"]) == {"vm0.img"}
        assert names(first["outstanding"]) == {"vm1.img", "vm2.img", "vmf"}
        assert [part.name for part in storage.parts(there)] == ["vm1.img"]
        commands.run("pass")  # it gives the rest of vm1 its bytes of the new day
        second = tree_of(commands.json("sync"))
        assert (second["rsync_status"], second["stopped_at_limit"]) == (0, False)
        assert names(second["confirmed"]) == {"vm1.img", "vm2.img", "vmf"}
        assert second["sent_bytes"] < 300_000, "it went on where it stopped"
    assert storage.is_mirror(host.tree, there)


def test_the_bytes_of_a_day_are_those_of_all_its_syncs(tmp_path: Path, there: Path) -> None:
    host = filled(tmp_path, {"destination": str(there)}, daily=700_000)
    first = tree_of(host.json("sync"))
    host.dump("vm9.img", 50_000)
    host.run("pass")
    second = tree_of(host.json("sync"))
    host.dump("vm8.img", 20_000)
    host.run("pass")
    third = tree_of(host.json("sync"))
    assert sum(one["sent_bytes"] for one in (first, second, third)) <= 700_000
    assert first["day"] == second["day"] == third["day"]
    with sqlite3.connect(host.state) as raw:
        assert raw.execute("SELECT sum(leased_bytes) = sum(sent_bytes) FROM sync").fetchone() == (1,)
    raw.close()


def test_a_day_without_bytes_sends_nothing_and_is_no_failure(tmp_path: Path, there: Path) -> None:
    host = filled(tmp_path, {"destination": str(there)})
    host.run("sync")
    with sqlite3.connect(host.state) as raw:
        raw.execute("UPDATE sync SET leased_bytes = 2000000")
    raw.close()
    done = host.run("sync")
    assert "nothing more may be sent today" in done.stdout


def test_a_day_whose_bytes_went_into_syncs_that_broke_off_ends_all_the_same(tmp_path: Path, there: Path) -> None:
    clock = GivenClock()
    host = filled(tmp_path, {"destination": "rsync://127.0.0.1:1/nobody"})
    commands = AtGivenTime(host, clock)
    commands.run("sync", code=3)
    with sqlite3.connect(host.state) as raw:
        raw.execute("UPDATE sync SET leased_bytes = 2000000")
    raw.close()
    host.configure(daily=2_000_000, sync={"destination": str(there)})
    assert "nothing more may be sent today" in commands.run("sync")
    clock.advance(DAY)
    tree = tree_of(commands.json("sync"))
    assert (tree["day"], tree["rsync_status"], tree["outstanding"]) == (2, 0, [])


def test_several_trees_share_the_bytes_of_a_day_and_each_has_its_place(tmp_path: Path, there: Path) -> None:
    """The first uses them up; the day ends all the same, and the next one brings the rest of both."""
    for name in ("dumps", "weekly"):
        (there / name).mkdir()
    clock = GivenClock()
    host = Host(tmp_path / "host", daily=450_000, sync={"destination": f"{there}/{{watch}}"})
    (host.folder / "weekly").mkdir()
    host.file.write_text(host.file.read_text() + '\n[[watch]]\npath = "weekly"\n')
    host.dump("vm1.img", SIZE)
    host.dump("../weekly/vm2.img", SIZE)
    commands = AtGivenTime(host, clock)
    commands.run("pass")
    with sqlite3.connect(host.state) as raw:
        raw.execute("UPDATE day SET limit_bytes = 150000")
    raw.close()
    clock.advance(DAY)
    first = commands.json("sync")["trees"]
    assert [(one["watch"], one["stopped_at_limit"]) for one in first] == [("dumps", True), ("weekly", True)]
    assert sum(one["sent_bytes"] for one in first) <= 150_000
    clock.advance(DAY)
    commands.run("pass")
    second = commands.json("sync")["trees"]
    assert [(one["day"], names(one["confirmed"])) for one in second] == [(2, {"vm1.img"}), (2, {"vm2.img"})]
    assert sum(one["sent_bytes"] for one in second) < 2 * SIZE - 100_000
    assert storage.is_mirror(host.tree, there / "dumps")
    assert storage.is_mirror(host.folder / "weekly" / ".rsync", there / "weekly")


def test_what_the_storage_could_not_store_is_not_confirmed(tmp_path: Path, there: Path) -> None:
    """A folder has the name of one file: rsync ends with 23, and all others are there."""
    (there / "vm1.img" / "full").mkdir(parents=True)
    host = filled(tmp_path, {"destination": str(there)})
    tree = tree_of(host.json("sync", code=1))
    assert tree["rsync_status"] == 23
    assert names(tree["outstanding"]) == {"vm1.img"}
    assert names(tree["confirmed"]) == {"vm0.img", "vm2.img", "vmf"}
    assert "vm1.img" in tree["complaint"]


def test_what_an_option_leaves_out_is_not_confirmed(tmp_path: Path, there: Path) -> None:
    """rsync ends well: but it names no file that it did not look at."""
    sync = {"destination": str(there), "options": ["--archive", "--exclude=vm1.img", "--max-size=100K"]}
    host = filled(tmp_path, sync)
    tree = tree_of(host.json("sync", code=1))
    assert tree["rsync_status"] == 0
    assert names(tree["confirmed"]) == {"vmf"}


def test_a_storage_that_does_not_answer_costs_neither_bytes_nor_the_day(tmp_path: Path, there: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        host = filled(tmp_path, {"destination": f"rsync://127.0.0.1:{taken.getsockname()[1]}/store"})
        clock = GivenClock()
        clock.advance(DAY)
        commands = AtGivenTime(host, clock)
        tree = tree_of(commands.json("sync", code=3))
    assert (tree["sent_bytes"], tree["confirmed"], tree["day_ended"]) == (0, [], False)
    assert "cannot be reached: Connection refused" in tree["complaint"]
    host.configure(daily=2_000_000, sync={"destination": str(there)})
    after = tree_of(commands.json("sync"))
    assert (after["rsync_status"], after["day"], after["day_ended"]) == (0, tree["day"], True)


def test_a_destination_whose_disk_is_not_mounted_is_told(tmp_path: Path) -> None:
    host = filled(tmp_path, {"destination": str(tmp_path / "mnt")})
    done = host.run("sync", code=3)
    assert f"{tmp_path}/mnt: the destination does not exist; is its disk mounted?" in done.stderr


def test_before_anything_is_let_out_there_is_nothing_to_send(tmp_path: Path, there: Path) -> None:
    host = Host(tmp_path / "host", sync={"destination": str(there)})
    tree = tree_of(host.json("sync"))
    assert (tree["rsync_status"], tree["sent_bytes"], tree["confirmed"]) == (0, 0, [])


def test_one_sync_at_a_time(tmp_path: Path, there: Path) -> None:
    host = filled(tmp_path, {"destination": str(there)})
    with State(host.state).sync_lock(wait=0):
        done = host.run("sync", "--wait", "0s", code=75)
    assert "a sync is already run by" in done.stderr
    assert not storage.arrived(there)


def test_without_a_destination_it_says_what_to_write(tmp_path: Path) -> None:
    assert "has no [sync]: set where to" in Host(tmp_path / "host").run("sync", code=2).stderr


def test_a_dry_run_asks_no_storage_and_writes_nothing(tmp_path: Path, there: Path) -> None:
    host = filled(tmp_path, {"destination": str(there)})
    before = host.state.read_bytes()
    tree = tree_of(host.json("sync", "--dry-run"))
    assert names(tree["links"]) == {"vm0.img", "vm1.img", "vm2.img", "vmf"}
    assert tree["may_send_bytes"] == 2_000_000
    assert not list(there.iterdir())
    assert host.state.read_bytes() == before


def test_a_terminal_shows_a_bar_with_what_is_left_of_the_day(tmp_path: Path, there: Path) -> None:
    host = filled(tmp_path, {"destination": str(there)})
    ours, theirs = pty.openpty()
    terminal = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(host.command("sync"), stdout=subprocess.PIPE, stderr=theirs, env=terminal)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the terminal is gone when its last process is
        while data := os.read(ours, 65536):
            shown += data
    os.close(ours)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(rb"[\d.]+ [kM]?B left of the day", shown)
    assert re.search(rb"[\d.]+/[\d.]+ [kM]B", shown), "bytes of all bytes"
    assert b"4 confirmed" in said


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_sync_that_is_killed_goes_on_and_has_confirmed_nothing_that_did_not_arrive(
    tmp_path: Path, there: Path, how: signal.Signals
) -> None:
    """Slow enough to be met in the middle of a file. A portion of its bytes is lost at most."""
    slow = ["--archive", "--bwlimit=400"]
    host = filled(tmp_path, {"destination": str(there), "options": slow}, dumps=4)
    process = host.start("sync")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("vm1.img"):
            break
    process.send_signal(how)
    process.wait(timeout=90)
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()
    status = host.json("status")
    assert all(vm["offsite_time"] is None for vm in status["vms"])
    host.configure(daily=2_000_000, sync={"destination": str(there)})
    tree = tree_of(host.json("sync"))
    assert names(tree["confirmed"]) == {f"vm{number}.img" for number in range(4)} | {"vmf"}
    assert storage.is_mirror(host.tree, there)
    with sqlite3.connect(host.state) as raw:
        [(first,), (second,)] = raw.execute("SELECT leased_bytes FROM sync ORDER BY id").fetchall()
    raw.close()
    assert 0 < first < 2 * SIZE + 200_000
    assert first + second <= 2_000_000
