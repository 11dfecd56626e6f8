"""What can be wrong on a host, how badly, and the words for it: the one list that everybody shows.

docs/RELIABILITY.md has the table, with the alerts. CRITICAL: until somebody acts nothing leaves, or a copy is too old.
WARNING: it works, and is worse than it could be. OK: nothing is wrong, and somebody may want to know.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, unique
from itertools import groupby
from typing import NamedTuple

from core.enums import Trouble
from core.reasons import Severity

#: So many VMs of a finding are named in a sentence.
_NAMED = 5
#: So many sentences are joined to one.
_JOINED = 20


@unique
class Kind(Enum):
    """What can be wrong, the worst first.

    ``trouble`` is its word in ``[notify] on``; None: that command is not run for it. ``cause`` is it in few words, with
    ``{}`` for its subject; of single VMs ``counted`` is what follows their number.
    """

    def __init__(
        self, severity: Severity, trouble: Trouble | None, runbook: str, cause: str, counted: str = ""
    ) -> None:
        self.severity = severity
        self.trouble = trouble
        self.runbook = runbook
        self.cause = cause
        self.counted = counted

    NEVER = (
        Severity.CRITICAL, Trouble.STALE, "TidegateVmStale", "no off-site copy", "without an off-site copy",
    )  # fmt: skip
    STALE = (
        Severity.CRITICAL, Trouble.STALE, "TidegateVmStale", "off-site copy too old",
        "whose off-site copy is too old",
    )  # fmt: skip
    NO_FIRST = (
        Severity.CRITICAL, Trouble.BLOCKED, "TidegateDumpOversize", "no off-site copy, dump larger than a day",
        "whose first copy is larger than a day",
    )  # fmt: skip
    # A pass that could find it is one.
    PASS_MISSED = Severity.CRITICAL, None, "TidegatePassMissed", "no pass has finished for {}"
    WATCH_DOWN = Severity.CRITICAL, Trouble.WATCH_DOWN, "TidegateWatchFolderDown", "the watch folder {} is down"
    NOT_FETCHED = (
        Severity.CRITICAL, Trouble.NOT_FETCHED, "TidegatePullerDown", "the storage has fetched nothing for {}",
    )  # fmt: skip
    DUMP_FAILED = (
        Severity.WARNING, Trouble.DUMP_FAILED, "TidegateDumpFailed", "last dump failed", "whose last dump failed",
    )  # fmt: skip
    SHRUNK = (
        Severity.WARNING, Trouble.SHRUNK, "TidegateDumpShrunk", "last dump much smaller than usual",
        "whose last dump is much smaller than usual",
    )  # fmt: skip
    BLOCKED = (
        Severity.WARNING, Trouble.BLOCKED, "TidegateDumpBlocked", "dump cannot leave", "whose dump cannot leave",
    )  # fmt: skip
    NAMELESS = Severity.WARNING, Trouble.BLOCKED, "TidegateDumpBlocked", "a marker is too bad to name its VM: {}"
    NO_BACKUP = (
        Severity.WARNING, None, "TidegateVmWithoutBackup", "no backup at all", "of the hypervisor without any backup",
    )  # fmt: skip
    LIMIT_TOO_SMALL = Severity.WARNING, None, "TidegateLimitTooSmall", "the limit cannot keep the targets"
    DISK_SHORT = Severity.WARNING, Trouble.DISK_SHORT, "TidegateDiskLow", "the disk of {} is low"
    NOTHING_KNOWN = Severity.WARNING, None, "", "no VM is known yet"
    NEVER_DUMPED = Severity.OK, None, "", "in a backup set, never dumped", "in a backup set and never dumped"
    IN_SLICES = Severity.OK, None, "", "leaves in slices", "that leave in slices"


class Problem(NamedTuple):
    """One thing that is wrong: with the VM, dump or watch folder ``subject``, or '' with all of it.

    ``detail`` is a sentence for itself. ``why`` is why it is so in few words, ``since`` when it began in seconds since
    the epoch, and ``action`` what to do: a command in backticks can be pasted.
    """

    kind: Kind
    subject: str
    detail: str
    action: str = ""
    why: str = ""
    since: float | None = None
    filled: str = ""

    @property
    def cause(self) -> str:
        """In few words, without the name of a VM."""
        return ": ".join(filter(None, (self.kind.cause.format(self.filled or self.subject), self.why)))


class Finding(NamedTuple):
    """Problems of one cause. ``vms`` are those that have it, the longest first; a VM is in its worst finding only.

    ``detail`` is the sentence of the first; ``since`` is when the first began.
    """

    kind: Kind
    cause: str
    vms: tuple[str, ...]
    detail: str
    action: str
    since: float | None

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.kind.severity

    @property
    def named(self) -> str:
        """The cause with the names of some VMs."""
        return f"{self.cause}: {named(self.vms)}" if self.vms else self.cause


def named(names: Sequence[str], most: int = _NAMED) -> str:
    """Some of them, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def joined(sentences: Iterable[str]) -> str:
    """Some of them as one, and how many more there are."""
    listed = list(sentences)
    more = [f"and {len(listed) - _JOINED} more"] if len(listed) > _JOINED else []
    return "; ".join([*listed[:_JOINED], *more])


def findings(problems: Iterable[Problem]) -> list[Finding]:
    """The worst first."""
    return [_finding(list(ones)) for _, ones in groupby(sorted(_worst_of_each(problems), key=_order), key=_group)]


def _worst_of_each(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Each problem of the host, and of each VM its worst."""
    seen: set[str] = set()
    for one in sorted(problems, key=_order):
        if one.kind.counted:
            if one.subject in seen:
                continue
            seen.add(one.subject)
        yield one


_PLACES = {kind: place for place, kind in enumerate(Kind)}


def _group(problem: Problem) -> tuple[int, str]:
    return _PLACES[problem.kind], problem.cause


def _order(problem: Problem) -> tuple[int, str, float, str]:
    return *_group(problem), problem.since or 0.0, problem.subject


def _finding(ones: Sequence[Problem]) -> Finding:
    first = ones[0]
    vms = tuple(one.subject for one in ones) if first.kind.counted else ()
    return Finding(first.kind, first.cause, vms, first.detail, first.action, first.since)


def severity_of(found: Iterable[Finding]) -> Severity:
    """Of all together."""
    return max((one.severity for one in found), default=Severity.OK)


def summary(found: Sequence[Finding], fresh: int, vms: int, new: int, due: str) -> str:
    """``50 of 60 VMs off-site; 8 whose off-site copy is too old, 2 whose last dump failed``.

    ``new`` VMs wait for their first copies, the first of them until ``due``.
    """
    parts = [f"{fresh:,} of {vms:,} {'VM' if vms == 1 else 'VMs'} off-site"]
    parts += filter(None, [", ".join(_counted(found))])
    parts += [one.cause for one in found if not one.vms and one.kind is not Kind.NOTHING_KNOWN]
    if new:
        whose = "1 new VM waits for its first copy" if new == 1 else f"{new:,} new VMs wait for their first copies"
        parts.append(f"{whose} ({'' if new == 1 else 'the first '}due by {due})" if due else whose)
    return "; ".join(parts) if vms else "; ".join([Kind.NOTHING_KNOWN.cause, *parts[1:]])


def _counted(found: Sequence[Finding]) -> Iterator[str]:
    for kind, ones in groupby((one for one in found if one.vms and one.severity), key=lambda one: one.kind):
        yield f"{sum(len(one.vms) for one in ones):,} {kind.counted}"
