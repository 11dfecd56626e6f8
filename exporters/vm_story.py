"""Why the dumps of one VM left, or did not: sentences out of what is stored, for `explain` and the page of a VM."""

import datetime
from collections.abc import Iterator, Sequence
from sqlite3 import Connection
from typing import NamedTuple

from core.config.settings import Config
from core.enums import Freshness
from core.reasons import Reason, Verdict
from core.state import decisions, ledger
from core.state.decisions import DecisionRow
from core.state.ledger import LinkRow
from core.units import format_date, format_minute, format_size, format_span
from exporters.health import Report, VmStatus

DAY = 86_400.0
_LINKS = 10


class Story(NamedTuple):
    """``decisions`` are those of its dumps without an end; ``links`` the newest first.

    ``expected`` is a time on the day on which one of its dumps leaves; None where none waits, or nobody can say.
    """

    vm: VmStatus
    sentences: Sequence[str]
    decisions: Sequence[DecisionRow]
    expected: float | None
    links: Sequence[LinkRow]


def story(connection: Connection, config: Config, report: Report, vm: str) -> Story | None:
    """None: no such VM is known."""
    status = next((one for one in report.vms if one.name == vm), None)
    if status is None:
        return None
    decided = [one for one in report.decisions if one.vm == vm]
    links = ledger.of_vm(connection, vm, _LINKS)
    expected = _expected(connection, decided, vm, report.now)
    zone = config.day.timezone
    sentences = [
        *_problems(report, vm),
        *_copy(status, zone),
        *_dumps(decided, zone),
        *([f"It last left {format_span(max(0.0, report.now - links[0].released_at))} ago."] if links else []),
        *([f"Expected to leave on {format_date(expected, zone)}."] if expected is not None else []),
    ]
    return Story(status, sentences, decided, expected, links)


def _problems(report: Report, vm: str) -> Iterator[str]:
    """The cause and what to do come first."""
    for one in report.problems:
        if one.subject == vm and one.kind.counted and one.kind.severity:
            yield f"{one.detail}.{f' {one.action}' if one.action else ''}"


def _copy(vm: VmStatus, zone: datetime.tzinfo) -> Iterator[str]:
    """What is off-site, and what the admin has decided about the VM."""
    row = vm.row
    if row.offsite_time is None:
        due = "" if vm.due is None or vm.freshness is not Freshness.NEW else f"; it is due by {_day(vm.due, zone)}"
        yield f"{vm.name} has no off-site copy that Tidegate knows of{due}."
    else:
        age = "" if vm.age is None else f", {format_span(vm.age // 60 * 60)} old"
        how = "" if row.offsite_by is None else f" ({row.offsite_by.label})"
        yield f"{vm.name}'s newest off-site copy is of {format_minute(row.offsite_time, zone)}{age}{how}."
        if vm.age is None:
            yield "The storage has kept it for its retention: it counts as gone."
    if row.on_hold:
        yield f"It is on hold; `tidegate unhold {vm.name}` ends that."
    if row.forced is not None:
        yield f"Its next dump is forced ({row.forced}); `tidegate force {vm.name} --cancel` takes that back."


def _dumps(decided: Sequence[DecisionRow], zone: datetime.tzinfo) -> Iterator[str]:
    failed = sorted((one for one in decided if one.reason is Reason.DUMP_FAILED), key=lambda one: one.dump_time)
    for one in decided:
        if one not in failed[:-1]:
            yield _dump(one, zone)
    if failed[:-1]:
        since = format_minute(failed[0].dump_time, zone)
        yield f"The markers of {len(failed) - 1} failures before it are there too, the first of {since}."


def _dump(one: DecisionRow, zone: datetime.tzinfo) -> str:
    """One dump and why it leaves or stays."""
    when = format_minute(one.dump_time, zone)
    size = f"{format_size(one.bytes)}, " if one.bytes else ""  # nothing is there of one that failed
    hint = f" {one.reason.hint}" if one.verdict is Verdict.BLOCKED and one.reason.hint else ""
    return f"{one.path} ({size}of {when}) is {_state(one)}.{hint}"


def _state(one: DecisionRow) -> str:
    told = f": {one.detail}" if one.detail else ""
    if one.verdict is Verdict.DONE:
        return f"done ({one.reason}){told}"
    return f"{one.verdict} ({one.reason}){told or f': {one.reason.label}'}"


def _expected(connection: Connection, decided: Sequence[DecisionRow], vm: str, now: float) -> float | None:
    """As the last pass expected it; None where that day is over: the next pass knows more."""
    waits = any(
        one.verdict is Verdict.WAITING and not one.reason.unfinished and one.reason is not Reason.OUTSTANDING
        for one in decided
    )
    coming = decisions.forecast(connection) if waits else None
    if coming is None or not coming.releases.get(vm):
        return None
    leaves = coming.decided_at + coming.releases[vm][0].day * DAY
    return leaves if leaves > now else None


def _day(seconds: float, zone: datetime.tzinfo) -> str:
    return format_date(seconds, zone)
