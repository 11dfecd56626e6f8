"""What one observation changes in the rows of its dump. Pure: rows and an observation in, changes out.

At most one row of a path has a standing marker: the one that the marker speaks of. What is let out keeps its row,
whatever comes to its path later; its files are looked at by the pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.enums import DumpState, MarkerResult, Reason
from core.fs.fingerprint import Identity
from core.state.dumps import DumpRow
from watcher.observation import HINDRANCES, Observation

_LET_OUT = frozenset({DumpState.RELEASED, DumpState.LINKED})
#: The policy has decided on these: the same marker again says nothing new of them.
_SETTLED = _LET_OUT | {DumpState.CONFIRMED, DumpState.SUPERSEDED, DumpState.EXPIRED}

#: Settled, but not for ever: the dump is there no more, or a newer one stands for its VM.
_LEFT_BEHIND = frozenset({DumpState.SUPERSEDED, DumpState.EXPIRED})

_RESULTS = {
    Reason.DUMP_FAILED: MarkerResult.FAILED,
    Reason.RUNNING: MarkerResult.RUNNING,
    Reason.BAD_MARKER: MarkerResult.BAD,
}


@dataclass(slots=True)
class Merge:
    """The changes. ``new``: a row to insert. ``changes``: row id -> columns. ``result`` None: nothing new was said.

    ``dump_time`` is what is held to be the time of a dump that may leave, else None.
    ``renamed`` is the VM that the row was held to be of before.
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
        return _gone(rows, now, is_aside=seen.is_aside)
    if seen.identity is None:
        return _hindered(watch, rows, seen, now)
    return _good(watch, rows, seen, seen.identity, now)


def _good(watch: str, rows: Sequence[DumpRow], seen: Observation, identity: Identity, now: float) -> Merge:
    merged = Merge(dump_time=seen.dump_time)
    row = next((row for row in rows if row.fingerprint == identity.fingerprint), None)
    _displace(merged, rows, row, now)
    if row is None:
        merged.new = _values(watch, seen, now)
        merged.result = MarkerResult.RECORDED
    elif _is_settled(row, rows) or _has_failed_its_checks(row, seen):
        merged.dump_time = row.dump_time
        merged.change(row, marker_standing=True)
        if merged.change(row, signature=seen.signature):
            merged.result = MarkerResult.REPEATED
    else:
        _refresh(merged, row, seen, identity)
    return merged


def _is_settled(row: DumpRow, rows: Sequence[DumpRow]) -> bool:
    """True unless nothing is decided of it, or it has come back to a name that a later dump had taken."""
    if row.state in _LEFT_BEHIND:
        return not any(other.id > row.id and other.fingerprint for other in rows)
    return row.state in _SETTLED


def _has_failed_its_checks(row: DumpRow, seen: Observation) -> bool:
    """A check costs as much as reading the dump: it is made again when the marker is, and not by each scan."""
    is_bad = row.state is DumpState.BAD and row.reason is Reason.VERIFY_FAILED
    return is_bad and row.signature == seen.signature and row.marker_standing


def _refresh(merged: Merge, row: DumpRow, seen: Observation, identity: Identity) -> None:
    is_told = merged.change(row, signature=seen.signature)
    merged.dump_time = _dump_time(row, seen)
    if is_told:
        merged.changes[row.id] |= {"body": seen.body, "verified": False}
    recovers = row.ended_at is not None or row.state is not DumpState.PENDING or row.reason in HINDRANCES
    if is_told or recovers:
        merged.result = MarkerResult.RECORDED if recovers else MarkerResult.REPEATED
    if merged.change(row, vm=seen.vm):
        merged.renamed = row.vm
    merged.change(
        row,
        is_folder=identity.is_folder,
        bytes=seen.bytes,
        vm_said=seen.vm_said,
        backup_set=seen.backup_set,
        state=DumpState.PENDING,
        reason=None,
        detail="",
        dump_time=merged.dump_time,
        ended_at=None,
        marker_standing=True,
        sha256=seen.sha256,
    )


def _dump_time(row: DumpRow, seen: Observation) -> float:
    """A marker that is only touched anew makes the data in the dump no newer."""
    if row.signature == seen.signature:  # a time in the future would go on moving with the clock
        return row.dump_time
    return seen.dump_time if seen.dump_time_said else min(row.dump_time, seen.dump_time)


def _hindered(watch: str, rows: Sequence[DumpRow], seen: Observation, now: float) -> Merge:
    merged = Merge()
    known = _spoken_of(rows, seen)
    if known is not None and known.state in _SETTLED:  # it has had its say; what is let out is looked at by the pass
        for other in rows:
            merged.change(other, marker_standing=other is known)
        return merged
    waiting = [row for row in rows if _is_waiting(row)]
    row = waiting[-1] if waiting else next((row for row in rows if not row.fingerprint), None)
    for other in rows:
        if other is not row:
            merged.change(other, marker_standing=False)
    if row is None:
        merged.new = _values(watch, seen, now)
        is_news = True
    else:
        is_news = _reject(merged, row, seen, now)
    if is_news and seen.reason is not None:
        merged.result = _RESULTS.get(seen.reason, MarkerResult.REJECTED)
    return merged


def _spoken_of(rows: Sequence[DumpRow], seen: Observation) -> DumpRow | None:
    """The row that has this very marker, else the latest that had it: a dump may come to a name that is marked."""
    said = [row for row in rows if row.signature == seen.signature]
    return next((row for row in said if row.marker_standing), said[-1] if said else None)


def _reject(merged: Merge, row: DumpRow, seen: Observation, now: float) -> bool:
    """True when this is news."""
    is_told = merged.change(row, signature=seen.signature)
    is_news = merged.change(row, state=seen.state, reason=seen.reason, detail=seen.detail) or is_told
    merged.change(row, marker_standing=True, ended_at=None)
    if not row.fingerprint:  # else the row goes on telling of the dump that was there
        merged.change(row, vm=seen.vm, vm_said=seen.vm_said, backup_set=seen.backup_set)
        if is_told:
            merged.change(row, dump_time=seen.dump_time)
        if row.ended_at is not None:
            merged.change(row, recorded_at=now)
    return is_news


def _gone(rows: Sequence[DumpRow], now: float, *, is_aside: bool) -> Merge:
    merged = Merge()
    for row in rows:
        if is_aside and row.ended_at is not None:
            continue  # its row must go on claiming the marker: a pass killed at its removal is taken up by that
        merged.change(row, marker_standing=False)
        if _is_waiting(row):
            merged.change(row, state=DumpState.REVOKED, reason=None, detail="its marker was removed", ended_at=now)
            merged.result = MarkerResult.WITHDRAWN
    return merged


def _displace(merged: Merge, rows: Sequence[DumpRow], kept: DumpRow | None, now: float) -> None:
    """The marker speaks of ``kept`` alone: whatever else waits at this path has lost its name."""
    for row in rows:
        if row is kept:
            continue
        merged.change(row, marker_standing=False)
        if _is_waiting(row):
            detail = "its name was taken by a newer dump"
            merged.change(row, state=DumpState.SUPERSEDED, reason=None, detail=detail, ended_at=now)


def _is_waiting(row: DumpRow) -> bool:
    return row.ended_at is None and row.state not in _LET_OUT


def _values(watch: str, seen: Observation, now: float) -> dict[str, Any]:
    identity = seen.identity
    return {
        "watch": watch,
        "path": seen.path,
        "fingerprint": "" if identity is None else identity.fingerprint,
        "is_folder": identity is not None and identity.is_folder,
        "bytes": seen.bytes,
        "vm": seen.vm,
        "vm_said": seen.vm_said,
        "backup_set": seen.backup_set,
        "state": seen.state,
        "reason": seen.reason,
        "detail": seen.detail,
        "dump_time": seen.dump_time,
        "recorded_at": now,
        "ended_at": None,
        "signature": seen.signature,
        "marker_standing": True,
        "sha256": seen.sha256,
        "body": None if identity is None else seen.body,
    }
