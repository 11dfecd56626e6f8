"""What an observation tells of its VM. Pure."""

from dataclasses import replace
from typing import Any

from core import dump_history
from core.enums import Reason
from core.state import vms
from core.state.vms import VmRow
from watcher.observation import Observation


def told(row: VmRow | None, seen: Observation, dump_time: float | None, now: float) -> VmRow:
    """The VM's row after this observation. ``seen`` has a VM; ``dump_time`` None: no dump that may leave."""
    assert seen.vm is not None  # noqa: S101 - said above
    if row is None:
        row = vms.new(seen.vm, seen.backup_set, now)
    changes: dict[str, Any] = _result(row, seen)
    if row.retired_at is not None and seen.finished_at > row.retired_at:
        changes["retired_at"] = None  # it is dumped again
    if dump_time is not None:
        changes |= _dumped(row, seen, dump_time)
    return replace(row, **changes) if changes else row  # once: of a hundred thousand markers it is much of the time


def _dumped(row: VmRow, seen: Observation, dump_time: float) -> dict[str, Any]:
    """Any dump is a part of its history, and the newest is what it is now."""
    times = dump_history.remembered(row.dump_times, dump_time)
    learned: dict[str, Any] = (
        {} if times == row.dump_times else {"dump_times": times, "period": dump_history.period(times)}
    )
    learned["dump_sizes"] = dump_history.remembered_sizes(row.dump_sizes, dump_time, seen.bytes)
    if not _is_newest(row, dump_time):
        return learned
    return {
        **learned,
        "backup_set": seen.backup_set,
        "last_dump_time": dump_time,
        "last_dump_bytes": seen.bytes,
    }


def _result(row: VmRow, seen: Observation) -> dict[str, Any]:
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


def _is_newest(row: VmRow, dump_time: float) -> bool:
    return row.last_dump_time is None or dump_time >= row.last_dump_time
