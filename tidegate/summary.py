"""The state in one line, for `systemctl status`."""

from core.enums import Freshness
from core.state import ledger, slices, vms
from core.state.database import State
from core.state.vms import VmRow
from core.units import format_size


def line(state: State, now: float) -> str:
    """``42 VMs, 2 stale, 1 never off-site; 3.1 GB of 10 GB let out``. Raises FaultError when it cannot be read.

    Stale is what the last pass's targets say: nothing is planned for it.
    """
    with state.read() as connection:
        known = [_freshness(row, now) for row in vms.all_vms(connection).values()]
        day = ledger.open_day(connection)
        outstanding = 0 if day is None else slices.outstanding_bytes(connection, day.number)
    counts = {Freshness.STALE: "stale", Freshness.NEVER: "never off-site"}
    bad = [f", {known.count(each)} {word}" for each, word in counts.items() if each in known]
    said = f"{len(known)} VMs{''.join(bad)}"
    if day is None:
        return said
    return f"{said}; {format_size(outstanding + day.used_bytes)} of {format_size(day.limit_bytes)} let out"


def _freshness(row: VmRow, now: float) -> Freshness:
    if row.offsite_time is None or row.is_dropped:
        return Freshness.NEVER
    stale = row.target is not None and now - row.offsite_time > row.target
    return Freshness.STALE if stale else Freshness.FRESH
