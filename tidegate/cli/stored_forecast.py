"""The forecast that the last pass has stored, with ages as they are now."""

from typing import NamedTuple

from core.clock import Instant
from core.config.settings import Config
from core.state import decisions
from core.state.database import read_only
from core.state.decisions import ForecastRow, Load
from exporters import health
from exporters.health import VmStatus
from policy.planner.forecast import DayForecast, Forecast, VmForecast
from policy.planner.model import Vm
from policy.planner.staleness import DAY, Density


class StoredForecast(NamedTuple):
    """``allowed``: bytes that a coming day has on the average, with its reserve."""

    now: float
    allowed: int
    future: Forecast


def read(config: Config, now: Instant) -> StoredForecast | None:
    """From now on; None where no pass has stored one, or its days are over."""
    with read_only(config.state.path) as connection:
        coming, load = decisions.forecast(connection), decisions.load(connection)
        report = health.report(connection, config, now)
    if coming is None or load is None:
        return None
    passed = int((now.wall - coming.decided_at) // DAY)
    count = coming.days - passed
    if count < 1:
        return None
    rows = {
        vm: [one._replace(day=one.day - passed) for one in ones if one.day >= passed]
        for vm, ones in coming.releases.items()
    }
    known = sorted((one for one in report.vms if one.row.target is not None), key=lambda one: one.name)
    vms = tuple(_vm(one, rows.get(one.name, []), now.wall, count) for one in known)
    density = Density(load.density, load.needed)
    return StoredForecast(now.wall, load.mean, Forecast(vms, _days(rows, load, count), density))


def _vm(one: VmStatus, coming: list[ForecastRow], now: float, days: int) -> VmForecast:
    row = one.row
    vm = Vm(row.name, row.backup_set, row.first_seen, row.last_dump_bytes, period=row.period)
    released = tuple(each.day for each in coming if each.day < days)
    ages = tuple(_age(one, coming, now, day) for day in range(days))
    return VmForecast(vm, one.target or DAY, released, ages)


def _age(one: VmStatus, coming: list[ForecastRow], now: float, day: int) -> float | None:
    """On this day, before its sync: of the newest dump that has left before, else of the copy that is there."""
    left = [each.dump_time for each in coming if each.day < day and each.dump_time is not None]
    if left:
        return max(0.0, now + day * DAY - left[-1])
    return None if one.age is None else one.age + day * DAY


def _days(rows: dict[str, list[ForecastRow]], load: Load, days: int) -> tuple[DayForecast, ...]:
    released = [0] * days
    for ones in rows.values():
        for one in ones:
            if one.day < days:
                released[one.day] += one.bytes
    return tuple(DayForecast(load.mean, size, None) for size in released)
