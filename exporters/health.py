"""Whether all is well now: the findings of a host, and how the off-site copy of each of its VMs is.

The one place where it is found out, for ``status`` and its ``--check``, the page, the API, systemd's status line and
the command of [notify]. Nothing is decided here: a pass has stored what it decided, `core.state.decisions` makes that
true for now, and what a copy's age is, or whether a pass is missed, is compared with the clock when it is shown. So it
is true also where no pass has run for a week.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from sqlite3 import Connection
from typing import NamedTuple

from core.clock import Instant
from core.config.settings import Config
from core.enums import Evidence, Freshness, Storage
from core.filenames import printable
from core.reasons import Reason, Severity, Verdict
from core.state import counters, decisions, dumps, late_links, vms
from core.state.counters import WatchStatus
from core.state.decisions import DayStatus, DecisionRow
from core.state.dumps import DumpRow
from core.state.vms import VmRow
from core.units import format_day, format_size, format_span
from exporters.findings import Finding, Kind, Problem, findings, severity_of, summary

#: In usual times between two passes; as the alert TidegatePassMissed has it.
_MISSED = 2.1


class VmStatus(NamedTuple):
    """One VM now. ``age`` in seconds; None: there is no off-site copy. ``decision``: about its newest dump.

    ``target`` is what the last pass worked out, before the first one what is configured; None: neither is known.
    ``lateness`` is the share of it that the age has used; of a VM without a copy, of its time here.
    """

    row: VmRow
    freshness: Freshness
    target: float | None
    age: float | None
    newest: DumpRow | None
    decision: DecisionRow | None
    lateness: float

    @property
    def name(self) -> str:
        """The VM's."""
        return self.row.name

    @property
    def offsite_by(self) -> Evidence | None:
        """By what the storage has the copy."""
        return None if self.age is None else self.row.offsite_by

    @property
    def due(self) -> float | None:
        """When the copy gets too old, or a first one too late; None before the first pass."""
        if self.target is None:
            return None
        since = self.row.offsite_time if self.age is not None and self.row.offsite_time else self.row.first_seen
        return since + self.target


class Report(NamedTuple):
    """All of it at ``now``, in seconds since the epoch. ``vms`` and ``findings`` are worst first.

    ``problems`` are what the findings are made of, all of each VM. ``day`` None: no pass has run yet.
    """

    now: float
    severity: Severity
    summary: str
    findings: Sequence[Finding]
    problems: Sequence[Problem]
    vms: Sequence[VmStatus]
    day: DayStatus | None
    decisions: Sequence[DecisionRow]

    @property
    def first_line(self) -> str:
        """``OK: 42 of 42 VMs off-site``."""
        return f"{self.severity.name}: {self.summary}"

    @property
    def status_line(self) -> str:
        """The first line and the day, for `systemctl status`."""
        if self.day is None:
            return self.first_line
        released = format_size(self.day.outstanding + self.day.used)
        return f"{self.first_line}; {released} of {format_size(self.day.limit)} released"

    def count(self, freshness: Freshness) -> int:
        """How many VMs are so."""
        return sum(one.freshness is freshness for one in self.vms)


def report(connection: Connection, config: Config, now: Instant) -> Report:
    """What is wrong by what is recorded, and every VM."""
    host = _Host(connection, config, now)
    problems = list(host.problems())
    found = findings(problems)
    place = {vm: place for place, one in reversed([*enumerate(found)]) for vm in one.vms}
    listed = sorted(host.vms, key=lambda one: (place.get(one.name, len(found)), -one.lateness, one.name))
    new = [one for one in listed if one.freshness is Freshness.NEW]
    due = min((one.due for one in new if one.due is not None), default=None)
    fresh = sum(one.freshness is Freshness.FRESH for one in listed)
    said = summary(found, fresh, len(listed), len(new), "" if due is None else format_day(due, host.zone))
    return Report(now.wall, severity_of(found), said, found, problems, listed, host.day, host.decisions)


def freshness(row: VmRow, target: float | None, retention: float | None, now: float) -> Freshness:
    """How the off-site copy of this VM is. ``new``: it has no copy, and is known for less than its target."""
    if row.is_kept(retention, now):
        is_late = target is not None and now - (row.offsite_time or 0.0) > target
        return Freshness.STALE if is_late else Freshness.FRESH
    is_late = target is not None and now - row.first_seen > target
    return Freshness.NEW if row.offsite_time is None and not is_late else Freshness.NEVER


class _Why(NamedTuple):
    """Why the copy of a VM gets no newer: in few words, more of it, and what to do."""

    cause: str
    more: str = ""
    action: str = ""


class _Host:
    """What is recorded, read once, and what is wrong in it."""

    def __init__(self, connection: Connection, config: Config, now: Instant) -> None:
        self._connection = connection
        self._config = config
        self._instant = now
        self._now = now.wall
        self.zone = config.day.timezone
        self.decisions = decisions.read(connection, now.wall)
        self.day = decisions.day_status(connection)
        self.vms = list(self._statuses())

    # --- what is read

    @cached_property
    def _watches(self) -> Mapping[str, WatchStatus]:
        return counters.watch_statuses(self._connection)

    @cached_property
    def _newest_finished(self) -> Mapping[str, DecisionRow]:
        """Of each VM the decision about its newest finished dump: an older one is not what anybody waits for."""
        finished = [one for one in self.decisions if one.vm is not None and not one.reason.unfinished]
        finished.sort(key=lambda one: (one.dump_time, one.dump_id))
        return {one.vm or "": one for one in finished}

    @cached_property
    def _failed(self) -> Mapping[str, DecisionRow]:
        """Of each VM its newest dump that failed."""
        failed = [one for one in self.decisions if one.vm is not None and one.reason is Reason.DUMP_FAILED]
        failed.sort(key=lambda one: (one.dump_time, one.dump_id))
        return {one.vm or "": one for one in failed}

    def _statuses(self) -> Iterator[VmStatus]:
        newest = dumps.newest_of_each(self._connection)
        decided = {one.dump_id: one for one in self.decisions}
        retention = self._config.offsite.retention
        for name, row in vms.all_vms(self._connection).items():
            target = self._config.target_of(name, row.backup_set) if row.target is None else row.target
            now = freshness(row, target, retention, self._now)
            is_kept = now in (Freshness.FRESH, Freshness.STALE)
            age = max(0.0, self._now - row.offsite_time) if is_kept and row.offsite_time is not None else None
            dump = newest.get(name)
            known = max(0.0, self._now - row.first_seen) if age is None else age
            late = known / target if target else 0.0
            yield VmStatus(row, now, target, age, dump, None if dump is None else decided.get(dump.id), late)

    # --- what is wrong

    def problems(self) -> Iterator[Problem]:
        for vm in self.vms:
            yield from self._of_copy(vm)
            yield from self._of_dumps(vm)
            yield from self._of_newest_dump(vm)
        yield from self._of_markers()
        yield from self._of_watches()
        yield from self._of_passes()
        yield from self._of_link()
        yield from self._of_missing_vms()

    def _of_copy(self, vm: VmStatus) -> Iterator[Problem]:
        """A new VM may wait for its first copy as long as one may be old."""
        if vm.freshness in (Freshness.FRESH, Freshness.NEW) or vm.due is None or self._now <= vm.due:
            return
        target = format_span(vm.target or 0.0)
        if vm.age is None:
            kind, told = Kind.NEVER, f"no off-site copy, known for {self._span_since(vm.row.first_seen)}"
        else:
            kind, told = Kind.STALE, f"its off-site copy is {format_span(vm.age // 60 * 60)} old"
        why = self._why(vm)
        cause = why.more or why.cause
        detail = f"{vm.name}: {told}, its target is {target}{f'; {cause}' if cause else ''}"
        yield Problem(kind, vm.name, detail, why.action or _explain(vm.name), why.cause, vm.due)

    def _why(self, vm: VmStatus) -> _Why:
        """Why a copy is too old: the first of these that holds is what to see to first."""
        name = shlex.quote(printable(vm.name))
        if vm.row.on_hold:
            return _Why("on hold", "it is on hold", f"`tidegate unhold {name}` ends the hold.")
        if vm.newest is not None and not self._is_up(vm.newest.watch):
            return _Why("its watch folder is down", f"its watch folder {vm.newest.watch} is down")
        if vm.row.last_dump_failed:
            return _Why("its dumps fail", self._failure(vm), f"See the log of its dump job; {_explain(vm.name)}")
        decision = self._newest_finished.get(vm.name)
        reason = None if decision is None else decision.reason
        if decision is None or reason is None or reason is Reason.ALREADY_OFFSITE:
            return self._no_dump(vm)
        if reason.verdict is Verdict.BLOCKED:
            return _Why(reason.label, f"{decision.path}: {decision.detail or reason.label}", reason.hint)
        if reason is Reason.OUTSTANDING:
            return _Why("not fetched", decision.detail or reason.label, "Check that the storage still pulls.")
        return _Why(reason.label, decision.detail, f"`tidegate force {name}` puts it first; {_explain(vm.name)}")

    def _no_dump(self, vm: VmStatus) -> _Why:
        last, period = vm.row.last_dump_time, vm.row.period
        if last is None:
            return _Why("never dumped", "no dump of it ever finished", "Check its dump job.")
        before = "" if period is None else f", before that one every {format_span(period)}"
        more = f"no dump has come since {format_day(last, self.zone)}{before}"
        return _Why("no new dump", more, "Check that its dump job runs and writes a marker.")

    def _of_dumps(self, vm: VmStatus) -> Iterator[Problem]:
        """As they were recorded, so that a watch folder that is down ends none of these."""
        if vm.row.last_dump_failed:
            action = f"See the log of its dump job; {_explain(vm.name)}"
            yield Problem(
                Kind.DUMP_FAILED, vm.name, f"{vm.name}: {self._failure(vm)}", action, "", vm.row.last_result_at
            )
        if (usual := vm.row.shrunk_from) is not None:
            sizes = f"{format_size(vm.row.last_dump_bytes)} instead of {format_size(usual)}"
            detail = f"{vm.name}: its last dump is much smaller than usual: {sizes}"
            action = "Check that the dump is complete; it is released all the same."
            yield Problem(Kind.SHRUNK, vm.name, detail, action, "", vm.row.last_dump_time)

    def _failure(self, vm: VmStatus) -> str:
        failed = self._failed.get(vm.name)
        what = "its last dump failed" if vm.row.failures < 2 else f"its last {vm.row.failures} dumps failed"
        return what if failed is None or not failed.detail else f"{what}: {failed.detail}"

    def _of_newest_dump(self, vm: VmStatus) -> Iterator[Problem]:
        """Where the newest finished dump cannot leave until somebody acts."""
        one = self._newest_finished.get(vm.name)
        if one is None or one.verdict is not Verdict.BLOCKED or not one.reason.severity or not self._is_up(one.watch):
            if one is not None and one.slice_bytes is not None and one.reason is Reason.OUTSTANDING:
                yield Problem(Kind.IN_SLICES, vm.name, f"{vm.name} leaves in slices: {one.detail}")
            return
        detail = f"{vm.name}: its dump {one.path} cannot leave ({one.reason.label}): {one.detail or one.reason.label}"
        is_first = one.reason is Reason.OVERSIZE and vm.age is None
        kind, why = (Kind.NO_FIRST, "") if is_first else (Kind.BLOCKED, one.reason.label)
        yield Problem(kind, vm.name, detail, one.reason.hint, why, one.dump_time)

    def _of_markers(self) -> Iterator[Problem]:
        for one in self.decisions:
            if one.vm is None:
                detail = f"{one.path}: its marker names no VM: {one.detail or one.reason.label}"
                yield Problem(Kind.NAMELESS, f"/{one.path}", detail, one.reason.hint, "", one.dump_time)

    # --- of watch folders, passes, and the link to the storage

    def _is_up(self, watch: str) -> bool:
        status = self._watches.get(watch)
        return status is None or status.up

    def _of_watches(self) -> Iterator[Problem]:
        for watch in self._config.watches:
            status = self._watches.get(watch.name)
            if status is None:
                continue
            if not status.up:
                said = f": {status.detail}" if status.detail else ""
                detail = f"the watch folder {watch.name} is down{said}; none of its dumps leaves"
                action = f"Mount its disk ({printable(str(watch.path))}); `tidegate check` shows what is missing."
                yield Problem(Kind.WATCH_DOWN, watch.name, detail, action, "", status.unmounted_since)
            if watch.min_free is not None and status.free_bytes is not None and status.free_bytes < watch.min_free:
                pinned = format_size(status.pinned_bytes or 0)
                detail = (
                    f"{watch.name}: {format_size(status.free_bytes)} are free, less than min_free ="
                    f" {format_size(watch.min_free)}; links alone keep {pinned} there"
                )
                drops = self._config.offsite.storage is Storage.COLLECT
                action = "Links that are confirmed are dropped." if drops else "Remove old dumps, or enlarge the disk."
                yield Problem(Kind.DISK_SHORT, watch.name, detail, action)

    def _of_passes(self) -> Iterator[Problem]:
        """Where none has ever finished, the first VM has waited for one."""
        _, finished = counters.pass_times(self._connection)
        since = finished if finished is not None else min((one.row.first_seen for one in self.vms), default=self._now)
        interval = counters.pass_interval(self._connection, is_daily=self._config.daily_pass.at is not None)
        if self._now - since > _MISSED * interval:
            waited = self._span_since(since)
            detail = f"no pass has finished for {waited}: nothing is released"
            action = "Run `tidegate pass`, and see why nothing else runs it."
            yield Problem(Kind.PASS_MISSED, "", detail, action, "", since, filled=waited)

    def _of_link(self) -> Iterator[Problem]:
        late = late_links.suspects(self._connection, self._instant)
        if late_links.nothing_is_fetched(late):
            waited = format_span(late[0].waited // 3600 * 3600)
            size = format_size(sum(one.link.bytes for one in late))
            detail = f"the storage has fetched nothing for {waited}; {len(late)} links of {size} wait for it"
            action = "Check that the storage still pulls, and may read the export trees."
            since = self._now - late[0].waited
            yield Problem(Kind.NOT_FETCHED, "", detail, action, "", since, filled=waited)
        load = decisions.load(self._connection)
        if load is not None and load.density > 1:
            detail = (
                f"the limit cannot keep the targets: they need {format_size(load.needed)} a day,"
                f" {format_size(load.mean)} are allowed"
            )
            action = "Raise [limit] daily, or the targets; `tidegate forecast --needed` finds the limit."
            yield Problem(Kind.LIMIT_TOO_SMALL, "", detail, action)

    def _of_missing_vms(self) -> Iterator[Problem]:
        """VMs that should be here and are not."""
        if not self.vms:
            action = "A dump counts once its marker is there: `tidegate mark DUMP` writes it."
            yield Problem(Kind.NOTHING_KNOWN, "", "no VM is known yet", action)
        look = vms.last_hypervisor_look(self._connection) if self._config.hypervisor is not None else None
        for name in () if look is None else look.without_backup:
            action = "Add it to a backup set, or to [hypervisor] ignore."
            yield Problem(Kind.NO_BACKUP, name, f"{name}: the hypervisor has it, and it is in no backup", action)
        listed = {vm for one in self._config.backup_sets.values() for vm in one.vms}
        for name in sorted(listed - vms.by_names(self._connection, listed).keys()):
            action = "Check that its dump script writes markers; `tidegate check --names` shows whose each dump is."
            yield Problem(Kind.NEVER_DUMPED, name, f"{name}: in a backup set, and no dump of it was marked", action)

    def _span_since(self, time: float) -> str:
        return format_span((self._now - time) // 60 * 60)


def _explain(vm: str) -> str:
    return f"`tidegate explain {shlex.quote(printable(vm))}` shows more."
