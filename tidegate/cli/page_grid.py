"""The grid of VMs and dates: what happened on each of the last days."""

import datetime
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from core.state import history
from core.state.database import Connection
from exporters.page.shown import PAST_DAYS, Mark


def midnights(now: float, zone: datetime.tzinfo) -> list[float]:
    """When each of the last PAST_DAYS dates began in this zone; the last of them is that of ``now``."""
    today = datetime.datetime.fromtimestamp(now, zone).date()
    dates = (today - datetime.timedelta(days=days) for days in range(PAST_DAYS - 1, -1, -1))
    return [datetime.datetime.combine(date, datetime.time(), zone).timestamp() for date in dates]


def marks(connection: Connection, begins: Sequence[float]) -> Mapping[str, bytes]:
    """VM -> a ``Mark`` for each of the dates that begin so; only of VMs to which something happened."""
    found: dict[str, bytearray] = {}
    since = begins[0]
    _mark(found, begins, Mark.DUMPED, history.dumped(connection, since))
    _mark(found, begins, Mark.FAILED, history.failed(connection, since))
    _mark(found, begins, Mark.RELEASED_BYTES, history.released(connection, since))
    _mark(found, begins, Mark.CONFIRMED, history.confirmed(connection, since))
    return {vm: bytes(days) for vm, days in found.items()}


def _mark(
    found: dict[str, bytearray], begins: Sequence[float], mark: Mark, events: Iterable[tuple[str, float]]
) -> None:
    bit = int(mark)
    for vm, when in events:
        days = found.get(vm)
        if days is None:
            days = found[vm] = bytearray(len(begins))
        days[bisect_right(begins, when) - 1] |= bit
