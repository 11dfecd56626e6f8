"""Whether somebody has to get up: what is wrong, and how badly. The first line of ``status``, and what monitors get.

critical
    A VM is stale, or was never off-site though it is known for longer than its target or its dump is too heavy to leave
    by itself; no pass has ended for twice its usual time; nothing is fetched; a watch folder is down.
warning
    The last dump of a VM failed or is much smaller than usual; a dump is heavier than a whole day, or is not what its
    marker spoke of; the limit cannot keep the targets; a disk has too little room; nothing is recorded yet.
well
    Nothing of all this. A new VM may wait for its first copy.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from policy.fetching import nothing_is_fetched
from policy.planner.targets import density
from tidegate.state import tallies
from tidegate.terms import Freshness, Reason
from tidegate.units import format_span

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from policy.passes import PassResult
    from tidegate.config.model import Config

_DAY = 86_400.0
_PASSES_LOOKED_AT = 16
#: In usual times between two passes; as the alert TidegatePassMissed has it.
_MISSED = 2.1
#: So many names are told of each kind.
_NAMED = 5
#: For which a dump needs a hand; those that need but time are none.
_UNUSABLE = frozenset(
    {
        Reason.CHANGED,
        Reason.MISSING,
        Reason.UNSAFE,
        Reason.AMBIGUOUS,
        Reason.BAD_MARKER,
        Reason.VERIFY_FAILED,
        Reason.LINK_ERROR,
    }
)


class Level(IntEnum):
    """How bad it is; the numbers are those that Nagios knows."""

    WELL = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: ``told`` as it is, or of some ``vms``, whose number is told with ``many`` behind it."""

    level: Level
    told: str
    vms: Sequence[str] = ()
    many: str = ""

    @property
    def named(self) -> str:
        """With the names of the VMs."""
        more = len(self.vms) - _NAMED
        names = ", ".join(self.vms[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.told}: {names}" if names else self.told


def findings(
    connection: "Connection", config: "Config", result: "PassResult", vms: Sequence[dict[str, Any]], now: float
) -> list[Finding]:
    """What is wrong, the worst first. ``vms`` are those of the shape of ``status``."""
    found = [*_of_vms(result, vms, now), *_of_passes(connection, config, now), *_of_folders(connection, config)]
    if nothing_is_fetched(result.facts.late):
        waited = format_span(result.facts.late[0].waited // 3600 * 3600)
        found.append(Finding(Level.CRITICAL, f"nothing has been fetched for {waited}"))
    if density(result.facts.vms, result.rules).value > 1:
        found.append(Finding(Level.WARNING, "the limit cannot keep the targets"))
    found += [Finding(Level.WARNING, f"too little room in {one.watch.name}") for one in result.short]
    if not vms:
        found.append(Finding(Level.WARNING, "no VM is known yet"))
    return sorted(found, key=lambda one: -one.level)


def level_of(found: Iterable[Finding]) -> Level:
    """Of all together."""
    return max((one.level for one in found), default=Level.WELL)


def summary(found: Sequence[Finding], count: int) -> str:
    """For a line above the table in which the names of the ``count`` VMs stand."""
    all_of_them = "1 VM" if count == 1 else f"{count} VMs"
    if not found:
        return f"{all_of_them} off-site within {'its target' if count == 1 else 'their targets'}"
    counted = [f"{len(one.vms)} {one.many}" for one in found if one.vms]
    if counted:
        number, _, told = counted[0].partition(" ")
        counted[0] = f"{number} of {all_of_them} {told}"
    return "; ".join(filter(None, (", ".join(counted), *(one.told for one in found if not one.vms))))


def _of_vms(result: "PassResult", vms: Sequence[dict[str, Any]], now: float) -> Iterator[Finding]:
    first_seen = {one.vm: one.first_seen for one in result.facts.vms}
    heavy = {one.dump.vm for one in result.plan.decisions if one.reason is Reason.OVERSIZE}
    unusable = {one.dump.vm for one in result.plan.decisions if one.reason in _UNUSABLE}

    def has_waited(one: dict[str, Any]) -> bool:
        return one["vm"] in heavy or now - first_seen[one["vm"]] > one["target_seconds"]

    kinds: Sequence[tuple[Level, str, str, Callable[[dict[str, Any]], bool]]] = (
        (
            Level.CRITICAL,
            "never off-site",
            "never off-site",
            lambda one: one["verdict"] == Freshness.NEVER and has_waited(one),
        ),
        (Level.CRITICAL, "stale", "stale", lambda one: one["verdict"] == Freshness.STALE),
        (Level.WARNING, "last dump failed", "with a failed dump", lambda one: one["last_dump_failed"]),
        (
            Level.WARNING,
            "last dump much smaller than usual",
            "with a much smaller dump than usual",
            lambda one: one["last_dump_shrunk_from_bytes"] is not None,
        ),
        (Level.WARNING, "heavier than a whole day", "heavier than a whole day", lambda one: one["vm"] in heavy),
        (
            Level.WARNING,
            "a dump cannot leave as it is",
            "with a dump that cannot leave as it is",
            lambda one: one["vm"] in unusable,
        ),
    )
    for level, told, many, is_so in kinds:
        if names := [one["vm"] for one in vms if is_so(one)]:
            yield Finding(level, told, names, many)


def _of_passes(connection: "Connection", config: "Config", now: float) -> Iterator[Finding]:
    """Nothing while no pass has ever ended: the VMs that were never off-site tell that."""
    _, finished = tallies.pass_times(connection)
    if finished is None or now - finished <= _MISSED * _DAY:
        return
    if now - finished > _MISSED * _pass_interval(connection, config):
        yield Finding(Level.CRITICAL, f"no pass has ended for {format_span(now - finished)}")


def _pass_interval(connection: "Connection", config: "Config") -> float:
    """Seconds. Learned only where it matters: what does that takes as long to load as all the rest."""
    from exporters.families import pass_interval

    if config.pass_at:
        return _DAY
    return pass_interval([one.started_at for one in tallies.last_passes(connection, _PASSES_LOOKED_AT)])


def _of_folders(connection: "Connection", config: "Config") -> Iterator[Finding]:
    statuses = tallies.watch_statuses(connection)
    for watch in config.watches:
        if watch.name in statuses and not statuses[watch.name].up:
            yield Finding(Level.CRITICAL, f"the watch folder {watch.name} is down")
