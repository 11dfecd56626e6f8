"""Whatever is wrong is found once; status, monitors, the API and the command of [notify] show the same of it."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core.reasons import Severity
from core.units import format_time
from exporters.findings import Kind
from tests.acceptance.given_time import AtGivenTime
from tests.cli.terminal import plain
from tests.clock import DAY, GivenClock
from tests.deploy import rules
from tests.host import ROOT, Host

LIMIT = 10_000
TOO_HEAVY = LIMIT + 1


class Case(NamedTuple):
    """``happens`` on a host with ``sections``; then the end of the first line of status, the cause, and the VM.

    ``command``: word and subject of what the command is run for, None where it is not run for it.
    """

    happens: Callable[[AtGivenTime], None]
    status: str
    cause: str
    vms: list[str]
    command: tuple[str, str] | None
    sections: Mapping[str, Any] = {}


def has_a_copy(at: AtGivenTime, days: float = 0.0) -> None:
    at.host.dump("vm1", 1000)
    at.run("pass")
    at.run("synced", "--all")
    at.clock.advance(days * DAY)


def waits(at: AtGivenTime, days: float) -> None:
    at.host.dump("vm1", 1000)
    at.run("pass")
    at.clock.advance(days * DAY)
    at.run("pass")


def is_stale(at: AtGivenTime) -> None:
    has_a_copy(at, 2.5)
    at.run("pass")


def is_too_heavy(at: AtGivenTime) -> None:
    at.host.dump("vm1", TOO_HEAVY)
    at.run("pass")


def has_a_copy_and_is_too_heavy(at: AtGivenTime) -> None:
    at.run("mark-sent", "vm1", "--time", format_time(at.clock.wall - DAY))
    is_too_heavy(at)


def is_away(at: AtGivenTime) -> None:
    has_a_copy(at)
    at.host.dumps.rename(at.host.folder / "away")
    at.run("pass")


def fails(at: AtGivenTime) -> None:
    at.host.mark("vm1", "failed", error="disk full")
    at.run("pass")


def shrinks(at: AtGivenTime) -> None:
    for days, size in ((3, 1000), (2, 1000), (1, 400)):
        at.host.dump(f"vm1-{days}", size, vm="vm1", started=format_time(at.clock.wall - days * DAY / 10))
        at.run("pass")
        at.run("synced", "--all")


def is_gone(at: AtGivenTime) -> None:
    at.host.mark("vm1")
    at.run("pass")


def says_no_vm(at: AtGivenTime) -> None:
    has_a_copy(at)
    at.host.dump("other", 100, marked=False)
    (at.host.dumps / "other.done").write_text('{"vm": ')
    at.run("pass")


def has_one_that_nobody_dumps(at: AtGivenTime) -> None:
    has_a_copy(at)


def is_nearly_a_day(at: AtGivenTime) -> None:
    at.host.dump("vm1", 9000)
    at.run("pass")


CASES = {
    Kind.NEVER: Case(
        lambda at: waits(at, 2.5),
        "1 without an off-site copy",
        "no off-site copy: not fetched",
        ["vm1"],
        ("stale", "vm1"),
    ),
    Kind.STALE: Case(
        is_stale,
        "1 whose off-site copy is too old",
        "off-site copy too old: no new dump",
        ["vm1"],
        ("stale", "vm1"),
    ),
    Kind.NO_FIRST: Case(
        is_too_heavy,
        "1 whose first copy is larger than a day",
        "no off-site copy, dump larger than a day",
        ["vm1"],
        ("blocked", "vm1"),
    ),
    Kind.PASS_MISSED: Case(
        lambda at: has_a_copy(at, 2.5),
        "no pass has finished for 2d 12h",
        "no pass has finished for 2d 12h",
        [],
        None,
        {"staleness": {"target": "10d"}},
    ),
    Kind.WATCH_DOWN: Case(
        is_away, "the watch folder dumps is down", "the watch folder dumps is down", [], ("watch_down", "dumps")
    ),
    Kind.NOT_FETCHED: Case(
        lambda at: waits(at, 3.1),
        "the storage has fetched nothing for 3d 2h",
        "the storage has fetched nothing for 3d 2h",
        [],
        ("not_fetched", ""),
        {"staleness": {"target": "10d"}},
    ),
    Kind.DUMP_FAILED: Case(fails, "1 whose last dump failed", "last dump failed", ["vm1"], ("dump_failed", "vm1")),
    Kind.SHRUNK: Case(
        shrinks,
        "1 whose last dump is much smaller than usual",
        "last dump much smaller than usual",
        ["vm1"],
        ("shrunk", "vm1"),
    ),
    Kind.BLOCKED: Case(
        has_a_copy_and_is_too_heavy,
        "1 whose dump cannot leave",
        "dump cannot leave: larger than a day",
        ["vm1"],
        ("blocked", "vm1"),
    ),
    Kind.NAMELESS: Case(
        says_no_vm,
        "a marker is too bad to name its VM: /other",
        "a marker is too bad to name its VM: /other",
        [],
        ("blocked", "/other"),
    ),
    Kind.NO_BACKUP: Case(
        has_one_that_nobody_dumps,
        "1 of the hypervisor without any backup",
        "no backup at all",
        ["vm2"],
        None,
        {"hypervisor": {"list": ["printf", "vm1\\nvm2\\n"]}},
    ),
    Kind.LIMIT_TOO_SMALL: Case(
        is_nearly_a_day,
        "the limit cannot keep the targets",
        "the limit cannot keep the targets",
        [],
        None,
        {"staleness": {"target": "12h"}},
    ),
    Kind.DISK_SHORT: Case(
        has_a_copy,
        "the disk of dumps is low",
        "the disk of dumps is low",
        [],
        ("disk_short", "dumps"),
        {"watch": {"min_free": "1000000 TB"}},
    ),
    Kind.NOTHING_KNOWN: Case(lambda at: None, "no VM is known yet", "no VM is known yet", [], None),
    Kind.NEVER_DUMPED: Case(
        has_a_copy,
        "1 of 1 VM off-site",
        "in a backup set, never dumped",
        ["vm2"],
        None,
        {"backup_sets.weekly": {"vms": ["vm1", "vm2"]}},
    ),
    Kind.IN_SLICES: Case(
        is_too_heavy,
        "1 new VM waits for its first copy",
        "leaves in slices",
        ["vm1"],
        None,
        {"limit": {"oversize": "slices"}, "sync": {"destination": "elsewhere:/dumps"}},
    ),
}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
def test_all_of_them_show_the_same(kind: Kind, tmp_path: Path) -> None:
    case, told = CASES[kind], tmp_path / "told"
    sections = {"staleness": {"target": "2d"}, **case.sections, "offsite": {"confirm": "report"}}
    notify = {"command": ["sh", "-c", f"cat >> {told}; echo >> {told}"]}
    host = Host(tmp_path / "host", daily=LIMIT, notify=notify, **sections)
    at = AtGivenTime(host, GivenClock())
    told.touch()
    case.happens(at)
    level = kind.severity
    first = plain(at.run("status"))[0]
    assert first.startswith(f"{level.name}: ")
    assert case.status in first
    monitored = at.run("status", "--check", code=int(level))
    assert monitored.startswith(f"TIDEGATE {level.name} - ")
    assert (case.cause in monitored) == (level is not Severity.OK)
    shape = json.loads(at.run("status", "--json"))
    assert (shape["level"], [(one["cause"], one["vms"]) for one in shape["findings"]]) == (
        level.name,
        [(case.cause, case.vms)],
    )
    news = [one for line in told.read_text().splitlines() for one in json.loads(line)["troubles"]]
    assert [(one["what"], one["subject"]) for one in news] == ([] if case.command is None else [case.command])


def test_a_vm_is_in_its_worst_finding_only_and_the_command_is_run_for_each(tmp_path: Path) -> None:
    """It is too old because its dumps fail: one thing to do, and two that begin and end for themselves."""
    host = Host(tmp_path / "host", daily=LIMIT, staleness={"target": "2d"}, offsite={"confirm": "report"})
    at = AtGivenTime(host, GivenClock())
    is_stale(at)
    at.host.mark("vm1", "failed", error="disk full")
    at.run("pass")
    (finding,) = json.loads(at.run("status", "--json"))["findings"]
    assert finding["cause"] == "off-site copy too old: its dumps fail"
    assert "its last dump failed: disk full" in finding["detail"]
    assert "`tidegate explain vm1`" in finding["action"]


def test_the_table_in_the_docs_is_that_of_the_program() -> None:
    """Kinds, how bad each is, the command's words, and of each alert that it exists and how severe it is."""
    paper = (ROOT / "docs" / "RELIABILITY.md").read_text().partition("## What is wrong, and how badly")[2]
    lines = re.findall(r"^\|.*\|$", paper, re.MULTILINE)[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    alerts = rules.alerts()
    told = [(said, how, word) for said, how, word, _ in rows]
    assert told == [
        (one.cause.format("…"), one.severity.name, f"`{one.trouble}`" if one.trouble else "") for one in Kind
    ]
    for *_, named in rows:
        for name, severity in re.findall(r"`(Tidegate\w+)` \((\w+)", named):
            assert alerts[name]["severity"] == severity, name
    assert {one.runbook for one in Kind if one.runbook} <= alerts.keys()
