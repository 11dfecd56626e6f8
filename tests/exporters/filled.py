"""One state with something of everything, through the functions that the program itself uses."""

from typing import Any

from core.clock import Instant
from core.enums import DumpState, Evidence, LinkState, MarkerResult
from core.reasons import Reason
from core.state import counters, decisions, dumps, ledger, vms
from core.state.database import Connection
from core.state.decisions import Decided

START = 1_795_000_000.0
HOUR = 3600.0
DAY = 86400.0
#: Of which the last is much smaller than usual.
SIZES = f"{int(START - 7 * DAY)}:9000000000 {int(START)}:4000000000"


def fill(connection: Connection) -> None:
    """Three VMs that live and one that was retired, a day half used, links, passes, watch folders, counters."""
    _fill_vms(connection)
    vms.record_hypervisor_look(connection, 5, ["lost", "new"], START)
    _fill_day(connection)
    _fill_passes(connection)
    _fill_watches(connection)
    _fill_counters(connection)


def _vm(name: str, backup_set: str | None = None, **values: Any) -> vms.VmRow:
    return vms.new(name, backup_set, START)._replace(**values)


def _fill_vms(connection: Connection) -> None:
    dumped = {"last_dump_time": START, "last_dump_bytes": 4_000_000_000, "last_result_at": START + HOUR}
    rows = [
        _vm("db1", "weekly", **dumped, dump_sizes=SIZES, offsite_time=START - 7 * DAY, offsite_by=Evidence.READ),
        _vm("mail", "weekly", last_result_at=START + HOUR, last_dump_failed=True),
        _vm('new "one"\\', None),
        _vm("gone", "weekly", **dumped, retired_at=START + DAY),
    ]
    vms.save(connection, rows)
    vms.set_targets(connection, {"db1": 8 * DAY, "mail": 8 * DAY})


def _fill_day(connection: Connection) -> None:
    ledger.add_day(connection, 7, _at(START), 10_000_000_000, 500_000_000)
    rows = [_link("db1", 4_000_000_000), _link("mail", 1_000_000_000), _link("old", 2_000_000_000)]
    *_, read = ledger.charge(connection, rows, _at(START + 2 * HOUR))
    ledger.change_link(connection, read, state=LinkState.CONFIRMED, ended_at=START + 3 * HOUR)
    ledger.change_day(connection, 7, used_bytes=2_000_000_000)


def _at(seconds: float) -> Instant:
    return Instant(seconds, "boot", seconds - START)


def _link(vm: str, size: int) -> dict[str, Any]:
    return {"day": 7, "watch": "dumps", "vm": vm, "export_name": vm, "fingerprint": "", "bytes": size}


def _fill_passes(connection: Connection) -> None:
    whole = counters.start_pass(connection, START + 2 * HOUR)
    counters.finish_pass(connection, whole, finished_at=START + 2 * HOUR + 3)
    counters.start_pass(connection, START + 4 * HOUR)
    sizes = {"a": 2_000_000_000, "b": 3_000_000_000, "c": 7_000_000_000, "huge": 40_000_000_000}
    ids = [_dump(connection, path, size) for path, size in sizes.items()]
    reasons = [Reason.LIMIT_REACHED] * 3 + [Reason.OVERSIZE]
    decisions.replace(connection, [Decided(*one, "") for one in zip(ids, reasons, strict=True)])


def _dump(connection: Connection, path: str, size: int) -> int:
    values = {"state": DumpState.PENDING, "dump_time": START, "recorded_at": START, "signature": ""}
    return dumps.add(connection, {"watch": "dumps", "path": path, "fingerprint": path, "bytes": size, **values})


def _fill_watches(connection: Connection) -> None:
    told = {
        "last_scan_at": START,
        "last_scan_seconds": 0.25,
        "listening": False,
        "free_bytes": 9_000,
        "pinned_bytes": 500,
    }
    counters.set_watch_status(connection, "dumps", up=True, **told)
    counters.set_watch_status(connection, "taken out", up=False, last_scan_at=START, last_scan_seconds=1.0)


def _fill_counters(connection: Connection) -> None:
    plain = ("passes", "pass_failures", "released_dumps", "released_bytes", "confirmed_dumps", "confirmed_bytes")
    for amount, name in enumerate((*plain, "link_failures", "foreign_files"), start=1):
        counters.count(connection, name, amount)
    wire = (
        "wire_sent_bytes",
        "wire_received_bytes",
        "wire_beyond_charge_bytes",
        "links_sent_again",
        "links_read_again",
    )
    for amount, name in enumerate(wire, start=30):
        counters.count(connection, name, amount)
    counters.count(connection, "links_taken_back", 2, Reason.CHANGED)
    counters.count(connection, "links_taken_back", 1, Reason.ON_HOLD)
    counters.count(connection, "markers", 20, MarkerResult.RECORDED)
    counters.count(connection, "watch_overflows", 5, "dumps")
    counters.count(connection, "missed_events", 2, "dumps")
    counters.count_delays(connection, [0.004, 0.01, 0.02, 1.5, 7200, -3])
