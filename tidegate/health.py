"""What is wrong on a host, and how badly: the one place that judges.

Each thing is found here once; ``status``, its ``--check``, the page and the command of ``[notify]`` tell of it, each in
its own way. docs/RELIABILITY.md has the table, with the alerts.

critical: until somebody acts nothing leaves, or a copy is too old. warning: it works, and is worse than it could be.
"""

from collections.abc import Iterable, Iterator
from enum import Enum, IntEnum, unique
from typing import TYPE_CHECKING, NamedTuple

from core.enums import Freshness, Reason, Severity, Trouble, Verdict
from core.state import counters
from core.state.late_links import nothing_is_fetched
from core.units import format_size, format_span
from policy.planner.staleness import density, freshness, targets

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.database import Connection
    from core.state.vms import VmRow
    from policy.passes.run import PassResult
    from policy.planner.model import Decision, Vm

_DAY = 86_400.0
_PASSES_LOOKED_AT = 16
#: In usual times between two passes; as the alert TidegatePassMissed has it.
_MISSED = 2.1


class Level(IntEnum):
    """How bad it is; the numbers are those that Nagios knows."""

    WELL = 0
    WARNING = 1
    CRITICAL = 2


@unique
class Kind(Enum):
    """What can be wrong, the worst first.

    How badly; its word in ``[notify] on``, None where that command is not told of it; how it is said; and of what
    single VMs have, how it is said behind their number.
    """

    NEVER = (Level.CRITICAL, Trouble.STALE, "never off-site", "never off-site")
    STALE = (Level.CRITICAL, Trouble.STALE, "stale", "stale")
    NO_FIRST = (Level.CRITICAL, Trouble.BLOCKED, "too heavy for a first copy", "too heavy for a first copy")
    # A pass that could tell of it is one.
    PASS_MISSED = (Level.CRITICAL, None, "no pass has ended for {}")
    WATCH_DOWN = (Level.CRITICAL, Trouble.WATCH_DOWN, "the watch folder {} is down")
    NOT_FETCHED = (Level.CRITICAL, Trouble.NOT_FETCHED, "nothing has been fetched for {}")
    DUMP_FAILED = (Level.WARNING, Trouble.DUMP_FAILED, "last dump failed", "with a failed dump")
    SHRUNK = (
        Level.WARNING,
        Trouble.SHRUNK,
        "last dump much smaller than usual",
        "with a much smaller dump than usual",
    )
    OVERSIZE = (Level.WARNING, Trouble.BLOCKED, "heavier than a whole day", "heavier than a whole day")
    UNUSABLE = (
        Level.WARNING,
        Trouble.BLOCKED,
        "a dump cannot leave as it is",
        "with a dump that cannot leave as it is",
    )
    NAMELESS = (Level.WARNING, Trouble.BLOCKED, "a marker is too bad to name its VM")
    LIMIT_TOO_SMALL = (Level.WARNING, None, "the limit cannot keep the targets")
    DISK_SHORT = (Level.WARNING, Trouble.DISK_SHORT, "too little room in {}")
    NOTHING_KNOWN = (Level.WARNING, None, "no VM is known yet")

    def __init__(self, level: Level, word: Trouble | None, said: str, many: str = "") -> None:
        self.level = level
        self.word = word
        self.said = said
        self.many = many


class Wrong(NamedTuple):
    """One thing that is wrong: with the VM, dump or watch folder ``subject``, or '' with all of it.

    ``told`` is in few words, without the name of a VM; ``detail`` is a sentence that stands by itself.
    """

    kind: Kind
    subject: str
    told: str
    detail: str


Found = Iterator[Wrong]


def on_host(connection: "Connection", config: "Config", result: "PassResult", now: float) -> list[Wrong]:
    """All that is wrong by what is recorded, at ``now`` in seconds since the epoch: the worst kind first, by name."""
    found = [*of_pass(result, now), *_of_passes(connection, config, result, now)]
    kinds = list(Kind)
    return sorted(found, key=lambda one: (kinds.index(one.kind), one.subject))


def of_pass(result: "PassResult", now: float) -> Found:
    """The same but for whether passes come, which one that has just ended need not ask."""
    yield from _of_copies(result, now)
    yield from _of_dumps(result)
    yield from _of_held(result)
    for watch in result.down:
        told = Kind.WATCH_DOWN.said.format(watch)
        yield Wrong(Kind.WATCH_DOWN, watch, told, f"{told}: nothing of it was looked at")
    for short in result.short:
        yield Wrong(Kind.DISK_SHORT, short.watch.name, Kind.DISK_SHORT.said.format(short.watch.name), str(short))
    yield from _of_line(result)
    if not result.facts.known:
        yield _of_all(Kind.NOTHING_KNOWN)


def held(result: "PassResult") -> "Iterator[Decision]":
    """Of each VM its newest finished dump, where that cannot leave until somebody acts."""
    finished = [one for one in result.plan.decisions if not one.reason.unfinished]
    blocked = (one for one in newest(finished) if one.verdict is Verdict.BLOCKED)
    return (one for one in blocked if one.reason.severity is not Severity.OK)


def shrunk(result: "PassResult") -> "list[tuple[VmRow, int]]":
    """The VMs whose last dump is much smaller than usual, and how many bytes it usually has."""
    sizes = ((row, row.shrunk_from) for row in result.facts.known.values())
    return [(row, usual) for row, usual in sizes if usual is not None]


def newest(decisions: "Iterable[Decision]") -> "Iterable[Decision]":
    """Of each VM that of its newest dump: an older one that still stands is not what anybody waits for."""
    by_age = sorted(decisions, key=lambda one: (one.dump.dump_time, one.dump.dump_id))
    return {one.dump.vm: one for one in by_age}.values()


# --- of VMs


def _of_vm(kind: Kind, vm: str, detail: str) -> Wrong:
    return Wrong(kind, vm, kind.said, f"{vm}: {detail}")


def _of_copies(result: "PassResult", now: float) -> Found:
    """A new VM may wait for its first copy as long as one may be old."""
    target_of = targets(result.facts.vms, result.rules)
    for vm in result.facts.vms:
        target = target_of[vm.vm]
        since = vm.first_seen if vm.offsite_time is None else vm.offsite_time
        if vm.vm in result.facts.known and now - since > target:
            kind = Kind.NEVER if freshness(vm, target, now) is Freshness.NEVER else Kind.STALE
            yield _of_vm(kind, vm.vm, _how_old(vm, now - since, target))


def _how_old(vm: "Vm", age: float, target: float) -> str:
    what = "was never off-site, and is known for" if vm.offsite_time is None else "the off-site copy has an age of"
    return f"{what} {format_span(age // 60 * 60)}; it may be {format_span(target)}"


def _of_dumps(result: "PassResult") -> Found:
    """As the state has them, so that a watch folder that is away ends none of these."""
    why = {one.dump.vm: one.detail for one in newest(result.plan.decisions) if one.reason is Reason.DUMP_FAILED}
    for name, row in result.facts.known.items():
        if row.last_dump_failed:
            yield _of_vm(Kind.DUMP_FAILED, name, ": ".join(filter(None, ("its dump failed", why.get(name)))))
    for row, usual in shrunk(result):
        sizes = f"{format_size(row.last_dump_bytes)} instead of {format_size(usual)}"
        yield _of_vm(Kind.SHRUNK, row.name, f"its last dump is much smaller than usual: {sizes}")


def _of_held(result: "PassResult") -> Found:
    copied = {vm.vm for vm in result.facts.vms if vm.offsite_time is not None}
    for one in held(result):
        detail = f"its dump {one.dump.path} is {one.verdict}, {one.reason}: {one.detail}"
        yield _of_vm(_kind_of_held(one, result, has_copy=one.dump.vm in copied), one.dump.vm, detail)


def _kind_of_held(one: "Decision", result: "PassResult", *, has_copy: bool) -> Kind:
    if one.dump.vm not in result.facts.known:
        return Kind.NAMELESS
    if one.reason is not Reason.OVERSIZE:
        return Kind.UNUSABLE
    return Kind.OVERSIZE if has_copy else Kind.NO_FIRST


# --- of the line, and of passes


def _of_all(kind: Kind, filled: str = "", more: str = "") -> Wrong:
    told = kind.said.format(filled)
    return Wrong(kind, "", told, f"{told}: {more}" if more else told)


def _of_line(result: "PassResult") -> Found:
    late = result.facts.late
    if nothing_is_fetched(late):
        size = format_size(sum(one.link.bytes for one in late))
        yield _of_all(Kind.NOT_FETCHED, format_span(late[0].waited // 3600 * 3600), f"{size} wait for the storage")
    if density(result.facts.vms, result.rules).value > 1:
        yield _of_all(Kind.LIMIT_TOO_SMALL)


def _of_passes(connection: "Connection", config: "Config", result: "PassResult", now: float) -> Found:
    """Where none has ever ended, the first VM has waited for one."""
    _, finished = counters.pass_times(connection)
    seen = [row.first_seen for row in result.facts.known.values()]
    waited = now - (finished if finished is not None else min(seen, default=now))
    if waited > _MISSED * _DAY and waited > _MISSED * _pass_interval(connection, config):
        yield _of_all(Kind.PASS_MISSED, format_span(waited))


def _pass_interval(connection: "Connection", config: "Config") -> float:
    """Seconds. Learned only where it matters: what does that takes as long to load as all the rest."""
    return counters.pass_interval(connection, is_daily=config.daily_pass.at is not None)
