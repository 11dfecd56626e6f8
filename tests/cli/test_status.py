"""``tidegate status``: whether all is well first, then the worst VMs; in a terminal and for Nagios."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from core.enums import Evidence
from core.state import counters, vms
from core.state.database import State
from tests.acceptance.given_time import AtGivenTime
from tests.cli.terminal import plain, shown
from tests.clock import DAY, GivenClock
from tests.host import Host

VMS = 60


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Sixty VMs: ten stale, each a day more than the one before, one that failed, the others fresh."""
    host = Host(tmp_path_factory.mktemp("host"), staleness={"target": "10d"})
    now = time.time()
    rows = [_vm(f"vm{number:02}", now, age=20 - number if number < 10 else 1) for number in range(VMS)]
    rows[30] = rows[30]._replace(last_dump_failed=True)
    state = State(host.state)
    with state.write() as connection:
        vms.save(connection, rows)
        counters.finish_pass(
            connection,
            counters.start_pass(connection, now),
            finished_at=now,
            day=1,
            released=0,
            released_bytes=0,
            held=0,
            failures=0,
        )
    state.close()
    return host


def _vm(name: str, now: float, *, age: float) -> vms.VmRow:
    return vms.new(name, "weekly", now - 30 * DAY)._replace(offsite_time=now - age * DAY, offsite_by=Evidence.READ)


def status(host: Host, *arguments: str, **how: Any) -> list[str]:
    return plain(shown(host.command("status", *arguments), **how))


def names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if re.match("vm[0-9]", line)]


def test_the_first_line_says_whether_somebody_has_to_get_up(host: Host) -> None:
    bad = "10 whose off-site copy is too old, 1 whose last dump failed"
    for lines in (status(host, columns=200), host.run("status").stdout.splitlines()):
        assert lines[0] == f"CRITICAL: 50 of 60 VMs off-site; {bad}"


def test_a_terminal_gets_one_screen_and_the_worst_in_it(host: Host) -> None:
    lines = status(host, lines=24)
    assert 20 <= len(lines) <= 23
    worst = [f"vm{number:02}" for number in (*range(10), 30)]
    assert names(lines) == worst[: len(names(lines))]
    assert len(names(lines)) > 8
    bad = len(worst) - len(names(lines))
    assert f"and {VMS - len(names(lines))} more, {bad} of them with a finding: `tidegate status --all`" in lines


def test_what_has_no_room_is_counted(host: Host) -> None:
    lines = status(host, lines=14)
    assert names(lines)[0] == "vm00"
    bad = 11 - len(names(lines))
    assert f"and {VMS - len(names(lines))} more, {bad} of them with a finding: `tidegate status --all`" in lines


def test_a_pipe_gets_all_of_them_and_so_does_a_terminal_that_asks(host: Host) -> None:
    everything = sorted(f"vm{number:02}" for number in range(VMS))
    piped = host.run("status").stdout.splitlines()
    assert sorted(names(piped)) == sorted(names(status(host, "--all"))) == everything
    assert names(piped)[:11] == names(status(host, "--all"))[:11]


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal(host: Host, columns: int) -> None:
    for command in ("status", "plan", "forecast", "history"):
        text = shown(host.command(command), columns=columns)
        assert max(map(len, plain(text))) <= columns, text


def test_colours_are_for_terminals(host: Host) -> None:
    assert "\x1b[1;31mCRITICAL\x1b[0m" in shown(host.command("status"))
    assert "\x1b" not in shown(host.command("status"), environment={"TERM": "dumb"})
    assert "\x1b" not in shown(host.command("status"), environment={"NO_COLOR": "1"})
    assert "\x1b" not in host.run("status").stdout


# --- for monitors


def at_given_time(folder: Path) -> AtGivenTime:
    return AtGivenTime(Host(folder, staleness={"target": "3d"}, offsite={"confirm": "report"}), GivenClock())


def check(at: AtGivenTime, code: int) -> str:
    said = at.run("status", "--check", code=code)
    assert said.count("\n") == 1
    return said


def test_a_new_vm_is_ok_within_its_target_and_critical_after_it(tmp_path: Path) -> None:
    at = at_given_time(tmp_path)
    at.host.dump("vm1", 100)
    at.run("pass")
    assert check(at, 0).startswith("TIDEGATE OK - 0 of 1 VM off-site; 1 new VM waits for its first copy (due by ")
    at.clock.advance(2 * DAY)
    at.run("pass")
    at.clock.advance(1.5 * DAY)
    assert "TIDEGATE CRITICAL - no off-site copy: not fetched: vm1" in check(at, 2)


def test_a_stale_copy_is_critical_and_a_failed_dump_a_warning(tmp_path: Path) -> None:
    at = at_given_time(tmp_path)
    at.host.dump("vm1", 100)
    at.run("pass")
    at.run("synced", "--all")
    at.host.mark("vm1", "failed")
    at.run("pass")
    assert "TIDEGATE WARNING - last dump failed: vm1" in check(at, 1)
    at.clock.advance(4 * DAY)
    at.run("pass")
    assert "TIDEGATE CRITICAL - off-site copy too old: its dumps fail: vm1" in check(at, 2)


def test_passes_that_do_not_come_are_critical_before_a_copy_is_too_old(tmp_path: Path) -> None:
    at = at_given_time(tmp_path)
    at.host.dump("vm1", 100)
    at.run("pass")
    at.run("synced", "--all")
    at.clock.advance(2.0 * DAY)
    check(at, 0)
    at.clock.advance(0.5 * DAY)
    assert "no pass has finished for 2d 12h" in check(at, 2)


def test_a_watch_folder_that_is_away_is_critical(tmp_path: Path) -> None:
    at = at_given_time(tmp_path)
    at.host.dump("vm1", 100)
    at.run("pass")
    at.run("synced", "--all")
    at.host.dumps.rename(tmp_path / "away")
    at.run("pass")
    assert "the watch folder dumps is down" in check(at, 2)


def test_nothing_known_is_a_warning(tmp_path: Path) -> None:
    assert "TIDEGATE WARNING - no VM is known yet" in check(at_given_time(tmp_path), 1)


def test_figures_are_told_as_monitors_read_them(host: Host) -> None:
    said = host.run("status", "--check", code=2).stdout
    told, _, figures = said.rstrip("\n").partition(" | ")
    assert told == (
        "TIDEGATE CRITICAL - off-site copy too old: never dumped: vm00, vm01, vm02, vm03, vm04 and 5 more; "
        "last dump failed: vm30"
    )
    assert all(re.fullmatch(r"'[a-z_]+'=[0-9]+[sB]?;;;0(;[0-9]+)?", one) for one in figures.split(" "))
    counted = dict(one.split("=") for one in figures.replace("'", "").split(" "))
    assert (counted["vms"], counted["stale"], counted["failed"]) == ("60;;;0", "10;;;0", "1;;;0")


def test_what_cannot_be_known_is_unknown_in_one_line_on_stdout(tmp_path: Path) -> None:
    """A monitor reads nothing else. Damaged configuration, damaged state, and no configuration at all."""
    host = Host(tmp_path / "host")
    host.state.write_bytes(b"no database" * 1000)
    told = [host.run("status", "--check", code=3)]
    host.file.write_text("[state]\npath = 7\nnonsense = 1\n")
    told.append(host.run("status", "--check", code=3))
    host.file.unlink()
    told.append(host.run("status", "--check", code=3))
    for one in told:
        assert re.fullmatch(r"TIDEGATE UNKNOWN - .+\n", one.stdout)
        assert one.stderr == ""


def test_a_name_can_begin_no_figures(tmp_path: Path) -> None:
    at = at_given_time(tmp_path)
    at.host.dump("evil", 100, vm="a|'vms'=0")
    at.run("pass")
    at.clock.advance(4 * DAY)
    at.run("pass")
    assert check(at, 2).count("|") == 1
