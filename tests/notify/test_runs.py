"""Whoever is pinged hears of real runs, none of them waits for him, and nothing tells his secret."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.units import format_time
from tests.acceptance.given_time import AtGivenTime
from tests.clock import HOUR, GivenClock
from tests.host import Host
from tests.notify import receivers
from tests.notify.receivers import Receiver, misbehaving, receiving
from tests.service.running import service
from tests.users import needs_capabilities
from tests.waiting import until
from tests.watcher.hung import Hung, hung

__all__ = ["hung"]  # the fixture

KEY = "secret-key"
SETS = {
    "nightly": {
        "vms": ["good", "bad"],
        "command": ["sh", "-c", 'test "$VM" = good && echo x > "$OUT"'],
        "checksum": False,
    }
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def words(receiver: Receiver) -> list[str]:
    """Each ping's address behind the secret."""
    return [path.partition(KEY)[2] for path in receiver.paths]


def test_a_pass_says_that_it_begins_and_what_it_has_let_out(tmp_path: Path, receiver: Receiver) -> None:
    host = Host(tmp_path / "host", notify={"pass": {"url": receiver.url}})
    host.dump("vm1.img", 4000)
    host.run("pass")
    assert words(receiver) == ["/start", ""]
    assert receiver.heard[1].body.startswith("1 released, 4 kB; day 1: ")
    assert len({one.run for one in receiver.heard}) == 1
    host.run("plan")
    host.run("pass", "--dry-run")
    assert len(receiver.heard) == 2


def test_a_pass_that_fails_says_why(tmp_path: Path, receiver: Receiver) -> None:
    host = Host(tmp_path / "host", notify={"pass": {"url": receiver.url}})
    host.state.write_text("no state" * 1000)
    assert host.run("pass", code=3).stderr == f"tidegate: {receiver.heard[1].body}\n"
    assert words(receiver) == ["/start", "/fail"]


def test_a_pass_that_has_to_end_with_1_has_failed(tmp_path: Path, receiver: Receiver) -> None:
    host = Host(tmp_path / "host", notify={"pass": {"url": receiver.url}})
    host.mark("vm1.img", "failed")
    host.run("pass")
    host.run("pass", "--strict", code=1)
    assert words(receiver) == ["/start", "", "/start", "/fail"]
    assert receiver.heard[3].body == "dumps failed: vm1"


def test_each_backup_set_has_its_own_check_and_the_pass_after_it_too(tmp_path: Path, receiver: Receiver) -> None:
    pings = {"dump": {"url": receiver.url + "/{backup_set}"}, "pass": {"url": receiver.url + "/pass"}}
    host = Host(tmp_path / "host", backup_sets=SETS, notify=pings)
    host.run("dump", "nightly", "--then-pass", code=1)
    assert words(receiver) == ["/nightly/start", "/nightly/fail", "/pass/start", "/pass"]
    assert receiver.heard[1].body == "1 done, 1 failed: bad: sh ended with status 1"


def test_a_push_is_told_too(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "storage").mkdir()
    destination = {"destination": str(tmp_path / "storage")}
    host = Host(tmp_path / "host", sync=destination, notify={"sync": {"url": receiver.url}})
    host.dump("vm1.img", 4000)
    host.run("pass")
    host.run("sync")
    assert words(receiver) == ["/start", ""]
    assert "1 confirmed" in receiver.heard[1].body
    host.configure(sync={"destination": str(tmp_path / "gone" / "storage")}, notify={"sync": {"url": receiver.url}})
    host.dump("vm2.img", 1000)
    host.run("pass")
    host.run("sync", code=3)
    assert words(receiver)[2:] == ["/start", "/fail"]


def test_the_daily_pass_of_the_service_pings_as_well(tmp_path: Path, receiver: Receiver) -> None:
    host = Host(tmp_path / "host", notify={"pass": {"url": receiver.url}}, **{"pass": {"at": "00:00"}})  # type: ignore[arg-type]
    with service(host):
        until(lambda: words(receiver) == ["/start", ""])


# --- nobody waits


def test_a_pass_waits_for_no_answer_until_it_is_done_and_its_locks_are_free(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answers.clear()
        host = Host(tmp_path / "host", notify={"timeout": "5s", "pass": {"url": receiver.url}})
        host.dump("vm1.img", 1000)
        process = host.start("pass")
        until(lambda: "released" in (process.stdout.readline() if process.stdout else ""))
        assert words(receiver) == ["/start"]
        assert host.exported() == {"vm1.img": 1000}
        host.configure()
        host.run("pass", "--wait", "0s")
        assert process.poll() is None, "it still waits for the answer"
        receiver.answers.set()
        assert process.wait(60) == 0
        assert words(receiver) == ["/start", ""]
        process.communicate()


@pytest.mark.parametrize("behave", [receivers.says_nothing, receivers.has_headers_without_end])
def test_a_receiver_that_hangs_costs_seconds_after_the_work_and_changes_no_exit_code(
    tmp_path: Path, behave: receivers.Behave
) -> None:
    with misbehaving(behave) as place:
        host = Host(tmp_path / "host", notify={"timeout": "1s", "pass": {"url": f"http://{place}/{KEY}"}})
        host.dump("vm1.img", 1000)
        began = time.monotonic()
        said = host.run("pass").stderr
    assert time.monotonic() - began < 8
    warning = f"[notify.pass]: http://{place}/… was not notified of the"
    assert [line.partition(warning)[2] for line in said.splitlines()] == [
        " start: no answer in 1 s",
        " success: no answer in 1 s",
    ]


@contextmanager
def silent_name_server() -> Iterator[str]:
    """One at an address of its own, which hears and never answers."""
    address = f"127.0.{os.getpid() % 250 + 2}.53"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        yield address


def test_a_name_server_that_hangs_costs_no_more(tmp_path: Path) -> None:
    """Nothing can interrupt the C library's look-up: its thread is left behind, and the process ends all the same."""
    needs_capabilities()
    with silent_name_server() as address:
        resolv = tmp_path / "resolv.conf"
        resolv.write_text(f"nameserver {address}\noptions timeout:30 attempts:5\n")
        host = Host(tmp_path / "host", notify={"timeout": "1s", "pass": {"url": f"http://hc.example/{KEY}"}})
        host.dump("vm1.img", 1000)
        own = f'mount --bind {resolv} /etc/resolv.conf && exec "$@"'
        began = time.monotonic()
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", own, "sh", *host.command("pass")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert time.monotonic() - began < 8
    assert done.returncode == 0, done.stderr
    assert host.exported() == {"vm1.img": 1000}
    assert "no answer in 1 s" in done.stderr


def test_a_disk_with_the_url_that_hangs_is_left_behind(tmp_path: Path, hung: Hung) -> None:
    (tmp_path / "disk").mkdir()
    url_file = {"url_file": str(tmp_path / "disk" / "ping")}
    host = Host(tmp_path / "host", notify={"timeout": "1s", "pass": url_file})
    host.dump("vm1.img", 1000)
    hung.mount(tmp_path / "disk")
    process = host.start("pass")
    assert process.wait(60) == 0
    assert process.communicate()[1] == "tidegate: [notify.pass]: a disk does not answer; nobody was notified\n" * 2
    assert host.exported() == {"vm1.img": 1000}


def test_the_url_stands_in_no_log(tmp_path: Path) -> None:
    """Neither when it is refused, nor with every word that there is, nor as JSON."""
    with receiving(404) as receiver:
        host = Host(tmp_path / "host", notify={"pass": {"url": receiver.url}})
        said = host.run("pass").stderr
        for option in (["--verbose"], ["--log-format", "json"]):
            done = subprocess.run([*host.command()[:5], *option, "pass"], capture_output=True, text=True, check=True)
            said += done.stdout + done.stderr
    assert said.count("404 Not Found") == 6
    assert KEY not in said


def test_a_url_in_a_file_that_nobody_may_read_is_told_and_the_pass_is_well(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", notify={"pass": {"url_file": "ping"}})
    sentence = f"tidegate: [notify.pass] url_file: {host.folder}/ping cannot be read: No such file or directory"
    assert host.run("pass").stderr.splitlines() == [sentence] * 2


# --- the command


class Told:
    """A command that appends what it is given to a file, a line each time; it fails while ``broken`` stands."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "told"
        self.broken = folder / "broken"
        self._file.touch()
        self.command = ["sh", "-c", f"cat >> {self._file}; echo >> {self._file}; test ! -e {self.broken}"]

    def news(self) -> list[list[tuple[str, str, str]]]:
        """Of each time (news, what, subject)."""
        told = [json.loads(line)["troubles"] for line in self._file.read_text().splitlines()]
        return [[(one["news"], one["what"], one["subject"]) for one in troubles] for troubles in told]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_the_command_is_run_when_trouble_begins_and_when_it_is_over(tmp_path: Path, told: Told) -> None:
    """Not once with each pass in between; and what a run of dumps has told the pass does not tell again."""
    host = Host(tmp_path / "host", backup_sets=SETS, notify={"command": told.command})
    host.run("dump", "nightly", "--then-pass", code=1)
    host.run("pass")
    begun = [("new", "dump_failed", "bad"), ("new", "failed", "dump nightly")]
    assert told.news() == [begun]
    mended = {"nightly": {**SETS["nightly"], "command": ["sh", "-c", 'echo x > "$OUT"']}}
    host.configure(backup_sets=mended, notify={"command": told.command})
    host.run("dump", "nightly")
    host.run("pass")
    assert told.news() == [begun, [("over", what, subject) for _, what, subject in begun]]


def test_what_could_not_be_told_is_told_with_the_next_pass(tmp_path: Path, told: Told) -> None:
    host = Host(tmp_path / "host", notify={"command": told.command})
    host.mark("vm1.img", "failed")
    told.broken.touch()
    assert "[notify] command: sh ended with status 1" in host.run("pass").stderr
    told.broken.unlink()
    host.run("pass")
    host.run("pass")
    assert told.news() == [[("new", "dump_failed", "vm1")]] * 2


def test_only_what_was_asked_for_is_told(tmp_path: Path, told: Told) -> None:
    host = Host(tmp_path / "host", daily=1000, notify={"command": told.command, "on": ["blocked"]})
    host.mark("vm1.img", "failed")
    host.dump("vm2.img", 1001)
    host.run("pass")
    assert told.news() == [[("new", "blocked", "vm2")]]


def test_a_pass_above_the_limit_is_told_each_time(tmp_path: Path, told: Told) -> None:
    host = Host(tmp_path / "host", daily=1000, notify={"command": told.command})
    for vm in ("vm1", "vm2"):
        host.dump(f"{vm}.img", 1500)
        host.run("pass")
        host.run("force", vm, "--over-limit")
        host.run("pass")
    over = [[one for one in troubles if one[1] == "over_limit"] for troubles in told.news()]
    assert [one for one in over if one] == [[("new", "over_limit", "vm1")], [("new", "over_limit", "vm2")]]


def test_a_copy_that_gets_too_old_is_told_again_each_day_until_a_newer_one_is_there(tmp_path: Path, told: Told) -> None:
    """Three days of passes, one every six hours."""
    notify = {"command": told.command, "on": ["stale"], "remind": "1d"}
    host = Host(tmp_path / "host", staleness={"target": "2d"}, offsite={"confirm": "report"}, notify=notify)
    clock = GivenClock()
    admin = AtGivenTime(host, clock)
    host.dump("vm1.img", 1000)
    admin.run("pass")
    admin.run("synced", "--all")
    for _ in range(17):
        clock.advance(6 * HOUR)
        admin.run("pass")
    host.dump("vm1-new.img", 1000, vm="vm1", started=format_time(clock.wall - HOUR))
    admin.run("pass")
    admin.run("synced", "--all")
    admin.run("pass")
    assert [one for (one,) in told.news()] == [(news, "stale", "vm1") for news in ("new", "still", "still", "over")]


def test_a_watch_folder_that_is_down_is_told(tmp_path: Path, told: Told) -> None:
    """What is wrong with the dumps in it is not over for that."""
    host = Host(tmp_path / "host", daily=1000, notify={"command": told.command})
    host.dump("vm1.img", 1001)
    host.mark("vm2.img", "failed")
    host.run("pass")
    host.dumps.rename(tmp_path / "away")
    host.run("pass")
    (tmp_path / "away").rename(host.dumps)
    host.run("pass")
    first = [("new", "blocked", "vm1"), ("new", "dump_failed", "vm2")]
    assert told.news() == [first, [("new", "watch_down", "dumps")], [("over", "watch_down", "dumps")]]


def test_a_pass_without_a_state_is_told_though_nothing_can_be_remembered(tmp_path: Path, told: Told) -> None:
    host = Host(tmp_path / "host", notify={"command": told.command})
    host.state.write_text("no state" * 1000)
    for _ in range(2):
        host.run("pass", code=3)
    assert told.news() == [[("new", "failed", "pass")]] * 2


def test_a_command_that_hangs_changes_nothing_but_the_time(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", notify={"command": ["sleep", "1000"], "timeout": "1s"})
    host.mark("vm1.img", "failed")
    began = time.monotonic()
    assert "sleep had not ended after 1 s, and was ended" in host.run("pass").stderr
    assert time.monotonic() - began < 8


def test_two_passes_at_once_are_both_told(tmp_path: Path, receiver: Receiver) -> None:
    """The UUID of each keeps them apart."""
    host = Host(tmp_path / "host", notify={"pass": {"url": receiver.url}})
    threads = [threading.Thread(target=host.run, args=("pass",)) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(words(receiver)) == ["", "", "/start", "/start"]
    assert len({one.run for one in receiver.heard}) == 2
