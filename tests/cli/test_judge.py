"""Whatever is wrong is found once, and status, monitors, the page and the command of [notify] tell the same of it."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core.config.load import load
from core.units import format_time
from exporters.page.shown import Level
from tests.acceptance.given_time import AtGivenTime
from tests.cli.terminal import plain
from tests.clock import DAY, GivenClock
from tests.deploy import rules
from tests.host import ROOT, Host
from tidegate.cli.page_facts import Look
from tidegate.health import Kind

LIMIT = 10_000
TOO_HEAVY = LIMIT + 1


class Case(NamedTuple):
    """``happens`` on a host with ``sections``; then the first line of status, what the page says, and whom it names.

    ``command``: word and subject of what the command is told, None where it is not told of it.
    """

    happens: Callable[[AtGivenTime], None]
    status: str
    level: Level
    page: str
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
    (at.host.dumps / "other.done").write_text("no JSON")
    at.run("pass")


def is_nearly_a_day(at: AtGivenTime) -> None:
    at.host.dump("vm1", 9000)
    at.run("pass")


CASES = {
    Kind.NEVER: Case(
        lambda at: waits(at, 2.5), "1 of 1 VM never off-site", Level.NOW, "1 VM never off-site", ("stale", "vm1")
    ),
    Kind.STALE: Case(is_stale, "1 of 1 VM stale", Level.NOW, "1 VM stale", ("stale", "vm1")),
    Kind.NO_FIRST: Case(
        is_too_heavy,
        "1 of 1 VM too heavy for a first copy",
        Level.NOW,
        "1 VM too heavy for a first copy",
        ("blocked", "vm1"),
    ),
    Kind.PASS_MISSED: Case(
        lambda at: has_a_copy(at, 2.5),
        "no pass has ended for 2d 12h",
        Level.NOW,
        "no pass has ended for 2d 12h",
        None,
        {"staleness": {"target": "10d"}},
    ),
    Kind.WATCH_DOWN: Case(
        is_away,
        "the watch folder dumps is down",
        Level.NOW,
        "the watch folder dumps is down",
        ("watch_down", "dumps"),
    ),
    Kind.NOT_FETCHED: Case(
        lambda at: waits(at, 3.1),
        "nothing has been fetched for 3d 2h",
        Level.NOW,
        "nothing has been fetched for 3d 2h",
        ("not_fetched", ""),
        {"staleness": {"target": "10d"}},
    ),
    Kind.DUMP_FAILED: Case(
        fails, "1 of 1 VM with a failed dump", Level.LATER, "1 VM with a failed dump", ("dump_failed", "vm1")
    ),
    Kind.SHRUNK: Case(
        shrinks,
        "1 of 1 VM with a much smaller dump than usual",
        Level.LATER,
        "1 VM with a much smaller dump than usual",
        ("shrunk", "vm1"),
    ),
    Kind.OVERSIZE: Case(
        has_a_copy_and_is_too_heavy,
        "1 of 1 VM heavier than a whole day",
        Level.LATER,
        "1 VM heavier than a whole day",
        ("blocked", "vm1"),
    ),
    Kind.UNUSABLE: Case(
        is_gone,
        "1 of 1 VM with a dump that cannot leave as it is",
        Level.LATER,
        "1 VM with a dump that cannot leave as it is",
        ("blocked", "vm1"),
    ),
    Kind.NAMELESS: Case(
        says_no_vm,
        "a marker is too bad to name its VM: /other",
        Level.LATER,
        "a marker is too bad to name its VM: /other",
        ("blocked", "/other"),
    ),
    Kind.LIMIT_TOO_SMALL: Case(
        is_nearly_a_day,
        "the limit cannot keep the targets",
        Level.LATER,
        "the limit cannot keep the targets",
        None,
        {"staleness": {"target": "12h"}},
    ),
    Kind.DISK_SHORT: Case(
        has_a_copy,
        "too little room in dumps",
        Level.LATER,
        "too little room in dumps",
        ("disk_short", "dumps"),
        {"watch": {"min_free": "1000000 TB"}},
    ),
    Kind.NOTHING_KNOWN: Case(lambda at: None, "no VM is known yet", Level.LATER, "no VM is known yet", None),
}
WORDS = {Level.NOW: ("critical", 2), Level.LATER: ("warning", 1)}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
def test_all_of_them_tell_the_same(kind: Kind, tmp_path: Path) -> None:
    case, told = CASES[kind], tmp_path / "told"
    sections = {"staleness": {"target": "2d"}, **case.sections, "offsite": {"confirm": "report"}}
    notify = {"command": ["sh", "-c", f"cat >> {told}; echo >> {told}"]}
    host = Host(tmp_path / "host", daily=LIMIT, notify=notify, **sections)
    at = AtGivenTime(host, GivenClock())
    told.touch()
    case.happens(at)
    word, code = WORDS[case.level]
    assert plain(at.run("status"))[0] == f"{word}: {case.status}"
    monitored = at.run("status", "--check", code=code)
    assert monitored.startswith(f"TIDEGATE {word.upper()} - {kind.said.partition('{')[0]}")
    assert case.command is None or case.command[1] in monitored
    look = Look(load(host.file, preflight=False), at.clock)
    look.close()
    assert [(one.level, one.told) for one in look.shown.troubles] == [(case.level, case.page)]
    news = [one for line in told.read_text().splitlines() for one in json.loads(line)["troubles"]]
    assert [(one["what"], one["subject"]) for one in news] == ([] if case.command is None else [case.command])


def test_the_table_in_the_papers_is_that_of_the_program() -> None:
    """Kinds, how bad each is, the command's words, and of each alert that it exists and how severe it is."""
    paper = (ROOT / "docs" / "RELIABILITY.md").read_text().partition("## What is wrong, and how badly")[2]
    lines = re.findall(r"^\|.*\|$", paper, re.MULTILINE)[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    alerts = rules.alerts()
    told = [(said, how, word) for said, how, word, _ in rows]
    assert told == [(one.said.format("…"), one.level.name.lower(), f"`{one.word}`" if one.word else "") for one in Kind]
    for *_, named in rows:
        for name, severity in re.findall(r"`(Tidegate\w+)` \((\w+)", named):
            assert alerts[name]["severity"] == severity, name
