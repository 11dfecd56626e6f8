"""How Tidegate itself is: its watch folders, its passes, and whether the storage fetches."""

from collections.abc import Iterable

from core.config.settings import Config
from core.state import counters
from core.state.counters import WatchStatus
from core.state.database import Connection
from core.state.vms import VmRow
from core.units import last_reached
from exporters.page.shown import Health, WatchShown

_DAY = 86_400.0
#: Of passes that were killed there may be a few, one after another.
_PASSES = 20


def health(connection: Connection, config: Config, vms: Iterable[VmRow], now: float) -> Health:
    """As it was recorded; asks no folder."""
    statuses = counters.watch_statuses(connection)
    last = next((one for one in counters.last_passes(connection, _PASSES) if one.finished_at is not None), None)
    seen = [one for one in vms if one.offsite_by is not None and one.offsite_by.is_fetched]
    fetched = [one.offsite_at for one in seen if one.offsite_at is not None]
    return Health(
        watches=tuple(_watch(one.name, statuses.get(one.name)) for one in config.watches),
        last_pass=None if last is None else last.finished_at,
        let_out_by_it=0 if last is None else last.released,
        next_pass=_next_pass(config, now),
        fetched=max(fetched, default=None),
    )


def _watch(name: str, status: WatchStatus | None) -> WatchShown:
    if status is None:
        return WatchShown(name, False, "it was never looked at", None, None, None, None, None)
    return WatchShown(
        name,
        status.up,
        status.detail,
        status.last_scan_at,
        status.last_scan_seconds,
        status.listening,
        status.free_bytes,
        status.pinned_bytes,
    )


def _next_pass(config: Config, now: float) -> float | None:
    if config.daily_pass.at is None:
        return None
    return last_reached(config.daily_pass.at, config.day.timezone, now + _DAY)
