"""What Tidegate's own words say, held against what was seen: its JSON, its status, its metrics."""

from collections.abc import Sequence
from typing import Any

from tools.demo.proof import Cast, DayTold, Differs


def day_of(number: int, plan: dict[str, Any], arrived: int, transferred: int) -> DayTold:
    """The day by what ``pass --json`` says, and what was seen of it in the storage and heard of rsync."""
    released = [one for one in plan["decisions"] if one["verdict"] == "released"]
    vms = tuple(sorted(one["vm"] for one in released))
    return DayTold(number, vms, sum(one["bytes"] for one in released), arrived, transferred)


def check_day(day: DayTold, plan: dict[str, Any], report: dict[str, Any]) -> None:
    """What the commands say of the day, beside what happened."""
    confirmed = tuple(sorted(one["vm"] for one in report["confirmed"]))
    if plan["day"]["number"] != day.number or report["day"] != day.number + 1 or not report["day_ended"]:
        raise Differs(f"day {day.number} was {plan['day']['number']} to the pass and then {report['day']}")
    if confirmed != day.vms or report["outstanding"]:
        raise Differs(f"day {day.number}: {' '.join(day.vms)} were let out and {' '.join(confirmed)} confirmed")


def verdict(days: Sequence[DayTold], status: dict[str, Any], cast: Cast, limit: int) -> tuple[str, list[str]]:
    """The last line, counted, and what is wrong with it."""
    within = sum(max(day.released, day.arrived, day.transferred) <= limit for day in days)
    off_site = {one["vm"] for one in status["vms"] if one["offsite_time"] is not None}
    failed = {one["vm"] for one in status["vms"] if one["last_dump_failed"]}
    held = {one["vm"] for one in status["vms"] if one["newest_dump"] and one["newest_dump"]["reason"] == "oversize"}
    line = (
        f"{within} of {len(days)} days within the limit, {len(off_site & cast.can_leave)} of {len(cast.can_leave)} "
        f"VMs off-site, {len(failed)} failed, {len(held)} held"
    )
    sets = (("off-site", off_site, cast.can_leave), ("failed", failed, cast.failed), ("held", held, cast.oversize))
    problems = [
        f"{what} should be {' '.join(sorted(expected)) or 'none'} and is {' '.join(sorted(found)) or 'none'}"
        for what, found, expected in sets
        if found != expected
    ]
    if within != len(days):
        problems.append(f"{len(days) - within} days are over the limit")
    return line, problems


def check_metrics(metrics: str, cast: Cast, pulled: int) -> None:
    """Raises Differs unless the running watcher tells over HTTP what has come to the storage and what has not."""
    expected = {
        "tidegate_released_bytes_total": pulled,
        "tidegate_confirmed_bytes_total": pulled,
        "tidegate_outstanding_bytes": 0,
        "tidegate_link_failures_total": 0,
        'tidegate_dumps_waiting{reason="oversize"}': len(cast.oversize),
        'tidegate_dumps_waiting{reason="dump_failed"}': len(cast.failed),
    }
    found = {series: sample(metrics, series) for series in expected}
    wrong = [
        f"{series} is {found[series]:.0f}, not {value}" for series, value in expected.items() if found[series] != value
    ]
    if wrong:
        raise Differs("/metrics is not what happened: " + "; ".join(wrong))


def sample(metrics: str, series: str) -> float:
    """The value of one series in the text of /metrics. Raises Differs when it is not there."""
    for line in metrics.splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    raise Differs(f"/metrics does not tell {series}")
