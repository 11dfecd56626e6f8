"""The health of a host as JSON, format 2, for ``status --json`` and the API. Spans are seconds, times are in UTC."""

from typing import Any

from core.filenames import printable
from core.state.decisions import DayStatus, DecisionRow
from core.units import format_time
from exporters.findings import Finding
from exporters.health import Report, VmStatus

FORMAT = 2


def status(report: Report) -> dict[str, Any]:
    """``status --json``; ``day`` null: no pass has run yet."""
    return {
        "format": FORMAT,
        "as_of": format_time(report.now),
        "level": report.severity.name,
        "summary": report.summary,
        "findings": [finding(one) for one in report.findings],
        "day": day(report.day),
        "vms": [vm(one) for one in report.vms],
    }


def plan(report: Report) -> dict[str, Any]:
    """What the last pass decided, as it is now."""
    decisions = [decision(one) for one in report.decisions]
    return {"format": FORMAT, "as_of": format_time(report.now), "day": day(report.day), "decisions": decisions}


def finding(one: Finding) -> dict[str, Any]:
    """One thing that is wrong; ``runbook`` null: there is none."""
    return {
        "level": one.severity.name,
        "kind": one.kind.name.lower(),
        "cause": printable(one.cause),
        "vms": list(one.vms),
        "detail": printable(one.detail),
        "action": printable(one.action),
        "runbook": one.kind.runbook or None,
        "since": _time(one.since),
    }


def day(one: DayStatus | None) -> dict[str, Any] | None:
    """The account of the open day; ``debt_bytes`` only where an oversize dump has left one."""
    if one is None:
        return None
    return {
        "number": one.number,
        "opened": format_time(one.opened),
        "limit_bytes": one.limit,
        "reserve_bytes": one.reserve,
        "used_bytes": one.used,
        "outstanding_bytes": one.outstanding,
        "left_bytes": one.left,
        **({"debt_bytes": one.debt} if one.debt else {}),
    }


def vm(one: VmStatus) -> dict[str, Any]:
    """One VM; ``due`` is when its copy gets too old, or its first one too late."""
    row = one.row
    return {
        "vm": row.name,
        "backup_set": row.backup_set,
        "freshness": one.freshness,
        "hold": row.on_hold,
        "forced": row.forced,
        "offsite_time": None if one.age is None else _time(row.offsite_time),
        "offsite_by": one.offsite_by,
        "offsite_age_seconds": one.age,
        "target_seconds": one.target,
        "due": _time(one.due),
        "last_dump_failed": row.last_dump_failed,
        "last_dump_shrunk_from_bytes": row.shrunk_from,
        "newest_dump": _newest(one),
    }


def _newest(one: VmStatus) -> dict[str, Any] | None:
    if one.newest is None:
        return None
    about = one.decision
    return {
        "path": printable(one.newest.path),
        "bytes": one.newest.bytes,
        "dump_time": format_time(one.newest.dump_time),
        "state": one.newest.state,
        "verdict": None if about is None else about.verdict,
        "reason": None if about is None else about.reason,
        "detail": None if about is None else about.detail or about.reason.label,
    }


def decision(one: DecisionRow) -> dict[str, Any]:
    """One dump and what is decided about it; ``slice_bytes`` only of one that leaves in slices."""
    return {
        "vm": one.vm,
        "backup_set": one.backup_set,
        "watch": one.watch,
        "dump": printable(one.path),
        "bytes": one.bytes,
        "dump_time": format_time(one.dump_time),
        "target_seconds": one.target,
        "verdict": one.verdict,
        "reason": one.reason,
        "detail": one.detail or one.reason.label,
        "position": one.position,
        "forecast_day": one.forecast_day,
        **({} if one.slice_bytes is None else {"slice_bytes": one.slice_bytes}),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(seconds)
