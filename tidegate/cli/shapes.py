"""The JSON shapes of all commands, format 2. Sizes are bytes, spans seconds, times RFC 3339 in UTC."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from core.filenames import printable
from core.units import format_size, format_time

if TYPE_CHECKING:  # whoever asks for help, or for a name, need not load the state
    from core.state.ledger import LinkRow
    from policy.passes.run import PassResult
    from policy.planner.forecast import Forecast, VmForecast
    from policy.planner.model import Day, Decision
    from policy.sync.push import Beginning, Pushed

FORMAT = 2


def day(one: "Day") -> dict[str, Any]:
    """The account of one day; ``debt_bytes`` only where an oversize dump has left one."""
    account = one.account
    debt = max(account.debt, account.owed)
    return {
        "number": one.number,
        "opened": format_time(one.opened),
        "limit_bytes": account.limit,
        "reserve_bytes": account.reserve,
        "used_bytes": account.used + account.debt,
        "outstanding_bytes": account.outstanding + account.sliced,
        "left_bytes": account.left,
        **({"debt_bytes": debt} if debt else {}),
    }


def account(day: Mapping[str, Any] | None) -> str:
    """The day in one line, from its JSON shape. What is nothing is left out."""
    if day is None:
        return "no day is open: no pass has run yet"
    parts = {"outstanding": "released, not fetched yet", "used": "used", "debt": "in debt", "reserve": "in reserve"}
    told = [f"{format_size(day[f'{key}_bytes'])} {words}" for key, words in parts.items() if day.get(f"{key}_bytes")]
    left = f"{format_size(day['left_bytes'])} of {format_size(day['limit_bytes'])} left"
    return f"day {day['number']}: {'; '.join([left, *told])}"


def decision(one: "Decision") -> dict[str, Any]:
    """One decision and why; ``slice_bytes`` only of a dump that leaves in slices: what may go of it today."""
    return {
        "vm": one.dump.vm,
        "backup_set": one.backup_set,
        "dump": one.dump.path,
        "bytes": one.dump.bytes,
        "dump_time": format_time(one.dump.dump_time),
        "offsite_age_seconds": one.offsite_age,
        "target_seconds": one.target,
        "verdict": one.verdict,
        "reason": one.reason,
        "detail": one.detail,
        "forecast_day": one.forecast_day,
        **({} if one.slice is None else {"slice_bytes": one.slice.bytes}),
    }


def plan(result: "PassResult") -> dict[str, Any]:
    """``pass --json`` and ``plan --json``."""
    decisions = [decision(one) for one in result.plan.decisions]
    return {"format": FORMAT, "day": day(result.day), "decisions": decisions}


def links(rows: "Iterable[LinkRow]") -> list[dict[str, Any]]:
    """Rows of the ledger."""
    return [
        {
            "day": row.day,
            "vm": row.vm,
            "export_name": printable(row.export_name),
            "bytes": row.bytes,
            "state": row.state,
            "released": format_time(row.released.wall),
            "confirmed": None if row.confirmed_at is None else format_time(row.confirmed_at),
            "confirmed_by": row.confirmed_by,
        }
        for row in rows
    ]


def forecast(now: float, allowed: int, future: "Forecast") -> dict[str, Any]:
    """``forecast --json``. Days are counted from today, which is 0; ``waiting_bytes`` null: it was not worked out."""
    return {
        "format": FORMAT,
        "from": format_time(now),
        "limit_bytes": allowed,
        "needed_bytes": future.density.needed,
        "density": future.density.value,
        "within_targets_from_day": future.within_from,
        "days": [
            {"left_bytes": one.left, "released_bytes": one.released, "waiting_bytes": one.waiting}
            for one in future.days
        ],
        "vms": [_vm_forecast(one) for one in future.vms],
    }


def _vm_forecast(one: "VmForecast") -> dict[str, Any]:
    return {
        "vm": one.vm.vm,
        "backup_set": one.vm.backup_set,
        "bytes": one.vm.bytes,
        "period_seconds": one.vm.period,
        "target_seconds": one.target,
        "days_out": list(one.days_out),
        "offsite_age_seconds": list(one.ages),
        "oldest_seconds": one.oldest,
        "within_target_from_day": one.within_from,
    }


def to_push(one: "Beginning") -> dict[str, Any]:
    """One tree of ``sync --dry-run --json``."""
    return {
        "watch": one.watch,
        "destination": one.destination,
        "day": one.day,
        "may_send_bytes": one.may_send,
        "links": links(one.links),
    }


def pushed(one: "Pushed") -> dict[str, Any]:
    """One tree of ``sync --json``. ``rsync_status`` null: it was not run, ``complaint`` says why."""
    return {
        "watch": one.watch,
        "destination": one.destination,
        "day": one.day,
        "day_ended": one.day_ended,
        "rsync_status": one.status,
        "complaint": one.complaint,
        "sent_bytes": one.sent,
        "received_bytes": one.received,
        "stopped_at_limit": one.is_used_up,
        "confirmed": links(one.confirmed),
        "outstanding": links(one.outstanding),
        "slices": [
            {
                "export_name": printable(slice_.link.export_name),
                "bytes": slice_.link.bytes,
                "sent_bytes": slice_.sent,
                "arrived": slice_.has_arrived,
            }
            for slice_ in one.slices
        ],
    }
