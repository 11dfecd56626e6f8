"""What one observation changes in the rows of its dump and of its VM. Pure: rows and an observation in, changes out.

At most one row of a path has a marker: the row that the marker is about. A released dump keeps its row, whatever comes
to its path later; its files are checked by the pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core import dump_history
from core.enums import DumpState, MarkerResult
from core.fs.fingerprint import Identity
from core.reasons import Reason
from core.state import vms
from core.state.dumps import DumpRow
from core.state.vms import VmRow
from watcher.observation import OBSERVED_REASONS, Observation

_RELEASED = frozenset({DumpState.RELEASED, DumpState.LINKED})
#: Ended by the policy, but not for ever: the dump is gone, or its VM has a newer one.
_LEFT_BEHIND = frozenset({DumpState.SUPERSEDED, DumpState.EXPIRED})
#: The policy has decided on these: the same marker made anew changes nothing.
_DECIDED = _RELEASED | _LEFT_BEHIND | {DumpState.CONFIRMED}

_RESULTS = {
    Reason.DUMP_FAILED: MarkerResult.FAILED,
    Reason.RUNNING: MarkerResult.RUNNING,
    Reason.BAD_MARKER: MarkerResult.BAD,
}


@dataclass(slots=True)
class Merge:
    """The changes. ``new``: a row to insert. ``changes``: row id -> columns. ``result`` None: nothing is news.

    ``dump_time`` is what counts as the time of a dump that may leave, else None. ``renamed`` is the VM that the row was
    of before.
    """

    new: dict[str, Any] | None = None
    changes: dict[int, dict[str, Any]] = field(default_factory=dict)
    result: MarkerResult | None = None
    dump_time: float | None = None
    renamed: str | None = None

    def change(self, row: DumpRow, **values: Any) -> bool:
        """Notes those of the values that differ. True when there are any."""
        differing = {name: value for name, value in values.items() if getattr(row, name) != value}
        if differing:
            self.changes.setdefault(row.id, {}).update(differing)
        return bool(differing)


def merge(watch: str, rows: Sequence[DumpRow], seen: Observation, now: float) -> Merge:
    """``rows`` are all rows of the observation's path, oldest first. ``now`` is in seconds since the epoch."""
    if not seen.signature:
        return _without_marker(rows, now, is_aside=seen.is_aside)
    if seen.identity is None:
        return _rejected(watch, rows, seen, now)
    return _complete(watch, rows, seen, seen.identity, now)


# --- a dump that may leave


def _complete(watch: str, rows: Sequence[DumpRow], seen: Observation, identity: Identity, now: float) -> Merge:
    merged = Merge(dump_time=seen.dump_time)
    row = next((row for row in rows if row.fingerprint == identity.fingerprint), None) if rows else None
    _displace(merged, rows, row, now)
    if row is None:
        merged.new = _new_row(watch, seen, now)
        merged.result = MarkerResult.RECORDED
    elif _is_decided(row, rows) or _has_failed_its_checks(row, seen):
        merged.dump_time = row.dump_time
        merged.change(row, has_marker=True)
        if merged.change(row, signature=seen.signature):
            merged.result = MarkerResult.REPEATED
    else:
        _refresh(merged, row, seen, identity)
    return merged


def _is_decided(row: DumpRow, rows: Sequence[DumpRow]) -> bool:
    """False also for a dump that has come back to a name which a later dump had taken."""
    if row.state in _LEFT_BEHIND:
        return not any(other.id > row.id and other.fingerprint for other in rows)
    return row.state in _DECIDED


def _has_failed_its_checks(row: DumpRow, seen: Observation) -> bool:
    """A check costs as much as reading the dump: it is repeated when the marker is, and not by each scan."""
    is_bad = row.state is DumpState.BAD and row.reason is Reason.VERIFY_FAILED
    return is_bad and row.signature == seen.signature and row.has_marker


def _refresh(merged: Merge, row: DumpRow, seen: Observation, identity: Identity) -> None:
    is_marked_anew = merged.change(row, signature=seen.signature)
    merged.dump_time = _dump_time(row, seen)
    if is_marked_anew:
        merged.changes[row.id] |= {"body": seen.body, "verified": False}
    recovers = row.ended_at is not None or row.state is not DumpState.PENDING or row.reason in OBSERVED_REASONS
    if is_marked_anew or recovers:
        merged.result = MarkerResult.RECORDED if recovers else MarkerResult.REPEATED
    if merged.change(row, vm=seen.vm):
        merged.renamed = row.vm
    merged.change(
        row,
        is_folder=identity.is_folder,
        bytes=seen.bytes,
        series=seen.series,
        backup_set=seen.backup_set,
        state=DumpState.PENDING,
        reason=None,
        detail="",
        dump_time=merged.dump_time,
        ended_at=None,
        has_marker=True,
        sha256=seen.sha256,
    )


def _dump_time(row: DumpRow, seen: Observation) -> float:
    """Touching a marker makes the data in the dump no newer."""
    if row.signature == seen.signature:  # a time in the future would move with the clock
        return row.dump_time
    return seen.dump_time if seen.dump_time_said else min(row.dump_time, seen.dump_time)


def _displace(merged: Merge, rows: Sequence[DumpRow], kept: DumpRow | None, now: float) -> None:
    """The marker is about ``kept`` alone: whatever else waits at this path has lost its name."""
    for row in rows:
        if row is kept:
            continue
        merged.change(row, has_marker=False)
        if _is_waiting(row):
            detail = "its name was taken by a newer dump"
            merged.change(row, state=DumpState.SUPERSEDED, reason=None, detail=detail, ended_at=now)


# --- one that may not


def _rejected(watch: str, rows: Sequence[DumpRow], seen: Observation, now: float) -> Merge:
    merged = Merge()
    described = _described_by(rows, seen)
    if described is not None and described.state in _DECIDED:  # nothing new; a released dump is checked by the pass
        for other in rows:
            merged.change(other, has_marker=other is described)
        return merged
    waiting = [row for row in rows if _is_waiting(row)]
    row = waiting[-1] if waiting else next((row for row in rows if not row.fingerprint), None)
    for other in rows:
        if other is not row:
            merged.change(other, has_marker=False)
    if row is None:
        merged.new = _new_row(watch, seen, now)
        is_news = True
    else:
        is_news = _reject(merged, row, seen, now)
    if is_news and seen.reason is not None:
        merged.result = _RESULTS.get(seen.reason, MarkerResult.REJECTED)
    return merged


def _described_by(rows: Sequence[DumpRow], seen: Observation) -> DumpRow | None:
    """The row that has this very marker, else the latest that had it: a dump may come to a name that is marked."""
    same = [row for row in rows if row.signature == seen.signature]
    return next((row for row in same if row.has_marker), same[-1] if same else None)


def _reject(merged: Merge, row: DumpRow, seen: Observation, now: float) -> bool:
    """True when this is news."""
    is_marked_anew = merged.change(row, signature=seen.signature)
    is_news = merged.change(row, state=seen.state, reason=seen.reason, detail=seen.detail) or is_marked_anew
    merged.change(row, has_marker=True, ended_at=None)
    if not row.fingerprint:  # else the row still describes the dump that was there
        merged.change(row, vm=seen.vm, series=seen.series, backup_set=seen.backup_set)
        if is_marked_anew:
            merged.change(row, dump_time=seen.dump_time)
        if row.ended_at is not None:
            merged.change(row, recorded_at=now)
    return is_news


# --- one without a marker


def _without_marker(rows: Sequence[DumpRow], now: float, *, is_aside: bool) -> Merge:
    merged = Merge()
    for row in rows:
        if is_aside and row.ended_at is not None:
            continue  # its row must keep its claim to the marker: by that a pass killed at the removal is completed
        merged.change(row, has_marker=False)
        if _is_waiting(row):
            merged.change(row, state=DumpState.REVOKED, reason=None, detail="its marker was removed", ended_at=now)
            merged.result = MarkerResult.WITHDRAWN
    return merged


def _is_waiting(row: DumpRow) -> bool:
    return row.ended_at is None and row.state not in _RELEASED


def _new_row(watch: str, seen: Observation, now: float) -> dict[str, Any]:
    identity = seen.identity
    return {
        "watch": watch,
        "path": seen.path,
        "fingerprint": "" if identity is None else identity.fingerprint,
        "is_folder": identity is not None and identity.is_folder,
        "bytes": seen.bytes,
        "vm": seen.vm,
        "series": seen.series,
        "backup_set": seen.backup_set,
        "state": seen.state,
        "reason": seen.reason,
        "detail": seen.detail,
        "dump_time": seen.dump_time,
        "recorded_at": now,
        "ended_at": None,
        "signature": seen.signature,
        "has_marker": True,
        "sha256": seen.sha256,
        "body": None if identity is None else seen.body,
    }


# --- its VM


def updated_vm(row: VmRow | None, name: str, seen: Observation, dump_time: float | None, now: float) -> VmRow:
    """The VM's row after this observation. ``dump_time`` None: no dump that may leave."""
    if row is None:
        row = vms.new(name, seen.backup_set, now)
    changes = _last_result(row, seen)
    if row.retired_at is not None and seen.finished_at > row.retired_at:
        changes["retired_at"] = None  # it is dumped again
    if dump_time is not None:
        changes |= _history(row, seen, dump_time)
    return row._replace(**changes) if changes else row  # once: this is much of the time that a marker takes


def _history(row: VmRow, seen: Observation, dump_time: float) -> dict[str, Any]:
    """Any dump is a part of its history; the newest also determines its size and backup set."""
    changes: dict[str, Any] = {
        "dump_sizes": dump_history.remembered_sizes(row.dump_sizes, dump_time, seen.bytes),
    }
    times = dump_history.remembered(row.dump_times, dump_time)
    if times != row.dump_times:
        changes |= {"dump_times": times, "period": dump_history.period(times)}
    if row.last_dump_time is None or dump_time >= row.last_dump_time:
        changes |= {"backup_set": seen.backup_set, "last_dump_time": dump_time, "last_dump_bytes": seen.bytes}
    return changes


def _last_result(row: VmRow, seen: Observation) -> dict[str, Any]:
    """Only a finished or failed dump is a result; the latest counts, and on a tie the failed one."""
    failed = seen.reason is Reason.DUMP_FAILED
    if seen.reason is not None and not failed:
        return {}
    last = (row.last_result_at if row.last_result_at is not None else float("-inf"), row.last_dump_failed)
    if (seen.finished_at, failed) <= last:
        return {}
    return {
        "backup_set": seen.backup_set or row.backup_set,
        "last_result_at": seen.finished_at,
        "last_dump_failed": failed,
        "failures": row.failures + 1 if failed else 0,
    }
