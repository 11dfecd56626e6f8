"""From the state to families of metrics.

Reads, and decides nothing: what needs the planner was stored by the pass.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from prometheus_client.core import Metric
from sqlalchemy import Connection

import tidegate
from exporters import catalogue
from tidegate.config.model import Config, WatchFolder
from tidegate.state import hypervisors, lateness, ledger, slices, tallies, vms
from tidegate.state.ledger import DayRow, Outstanding
from tidegate.state.tallies import WatchStatus
from tidegate.state.vms import VmRow
from tidegate.terms import FETCHED, MarkerResult, Reason

#: Words that are exported as 0 before they ever occur, so that their first occurrence is seen as growth.
_HELD = tuple(reason for reason in Reason if reason is not Reason.GRANTED)
_TAKEN_BACK = (Reason.CHANGED, Reason.RUNNING, Reason.BACKING_OFF, Reason.MISSING)

#: More than two weeks of a pass each workday, so that two weekends are among them.
_PASSES_LOOKED_AT = 16
_DAY = 86_400.0

_Counters = Mapping[str, Mapping[str, int]]


def build_info() -> Metric:
    """The one family that needs no state."""
    return catalogue.BUILD_INFO.of([((tidegate.__version__,), 1)])


def of_state(connection: Connection, config: Config) -> Iterator[Metric]:
    """Every family that comes from the state, in the order of the catalogue.

    To be used up within one read transaction, so that the figures belong together.
    """
    counters = tallies.counters(connection)
    outstanding = ledger.outstanding_total(connection)
    known = vms.all_vms(connection).values()
    yield from _vms(known)
    yield from _hypervisor(hypervisors.last_look(connection))
    yield from _waiting(tallies.waiting(connection))
    day = ledger.open_day(connection)
    yield from _day(day, outstanding.bytes if day is None else slices.outstanding_bytes(connection, day.number))
    yield from _links(outstanding, ledger.waiting_since(connection), _last_fetched(known), counters)
    yield from _passes(*tallies.pass_times(connection), counters)
    starts = [] if config.pass_at else [one.started_at for one in tallies.last_passes(connection, _PASSES_LOOKED_AT)]
    yield catalogue.PASS_INTERVAL.one(pass_interval(starts))
    yield from _watches(config.watches, tallies.watch_statuses(connection), counters)
    times = lateness.histogram(counters)
    yield catalogue.MARKER_RECORD.of_buckets(times.buckets, times.sum)
    yield catalogue.MARKERS.of(_by_label(counters, "markers", tuple(MarkerResult)))


def _vms(rows: Collection[VmRow]) -> Iterator[Metric]:
    yield catalogue.VM_INFO.of(((row.name, row.backup_set or ""), 1) for row in rows)
    yield catalogue.VM_FIRST_SEEN.of(((row.name,), row.first_seen) for row in rows)
    yield catalogue.VM_LAST_DUMP.of(((row.name,), row.last_dump_time) for row in rows)
    yield catalogue.VM_LAST_DUMP_SIZE.of(((row.name,), _last_size(row)) for row in rows)
    yield catalogue.VM_LAST_DUMP_SHRUNK.of(((row.name,), _shrunk(row)) for row in rows)
    yield catalogue.VM_LAST_DUMP_SUCCESS.of(((row.name,), _last_success(row)) for row in rows)
    yield catalogue.VM_OFFSITE.of(((row.name,), None if row.is_dropped else row.offsite_time) for row in rows)
    yield catalogue.VM_TARGET.of(((row.name,), row.target) for row in rows)


def _last_size(row: VmRow) -> int | None:
    return None if row.last_dump_time is None else row.last_dump_bytes


def _shrunk(row: VmRow) -> int | None:
    return None if row.last_dump_time is None else int(row.shrunk_from is not None)


def _last_success(row: VmRow) -> int | None:
    return None if row.last_result_at is None else int(not row.last_dump_failed)


def _hypervisor(look: hypervisors.Look | None) -> Iterator[Metric]:
    yield catalogue.HYPERVISOR_ASKED.one(None if look is None else look.asked_at)
    yield catalogue.HYPERVISOR_VMS.one(None if look is None else look.vms)
    yield catalogue.WITHOUT_BACKUP.one(None if look is None else len(look.without_backup))


def _waiting(tally: Mapping[Reason, tuple[int, int]]) -> Iterator[Metric]:
    amounts = [((reason,), tally.get(reason, (0, 0))) for reason in _HELD]
    yield catalogue.DUMPS_WAITING.of((label, dumps) for label, (dumps, _) in amounts)
    yield catalogue.BYTES_WAITING.of((label, size) for label, (_, size) in amounts)


def _day(day: DayRow | None, outstanding: int) -> Iterator[Metric]:
    days = [] if day is None else [day]
    yield catalogue.DAY_NUMBER.of(((), one.number) for one in days)
    yield catalogue.DAY_OPENED.of(((), one.opened.wall) for one in days)
    yield catalogue.DAY_LIMIT.of(((), one.limit_bytes) for one in days)
    yield catalogue.DAY_RESERVE.of(((), one.reserve_bytes) for one in days)
    yield catalogue.DAY_USED.of(((), one.used_bytes) for one in days)
    yield catalogue.DAY_DEBT.of(((), one.debt_bytes) for one in days)
    yield catalogue.DAY_ALLOWANCE.of(((), _allowance(one, outstanding)) for one in days)


def _allowance(day: DayRow, outstanding: int) -> int:
    return max(0, day.limit_bytes - day.reserve_bytes - outstanding - day.used_bytes)


def _links(
    outstanding: Outstanding, since: float | None, fetched: float | None, counters: _Counters
) -> Iterator[Metric]:
    yield catalogue.OUTSTANDING_LINKS.one(outstanding.links)
    yield catalogue.OUTSTANDING_BYTES.one(outstanding.bytes)
    yield catalogue.OUTSTANDING_OLDEST.one(since)
    yield catalogue.LAST_FETCHED.one(fetched)
    yield catalogue.GRANTED_DUMPS.one(_count(counters, "granted_dumps"))
    yield catalogue.GRANTED_BYTES.one(_count(counters, "granted_bytes"))
    yield catalogue.LIMIT_EXCEEDED.one(_count(counters, "limit_exceeded_bytes"))
    yield catalogue.CONFIRMED_DUMPS.one(_count(counters, "confirmed_dumps"))
    yield catalogue.CONFIRMED_BYTES.one(_count(counters, "confirmed_bytes"))
    yield catalogue.WIRE_SENT.one(_count(counters, "wire_sent_bytes"))
    yield catalogue.WIRE_RECEIVED.one(_count(counters, "wire_received_bytes"))
    yield catalogue.WIRE_BEYOND_CHARGE.one(_count(counters, "wire_beyond_charge_bytes"))
    yield catalogue.LINKS_SENT_AGAIN.one(_count(counters, "links_sent_again"))
    yield catalogue.LINKS_READ_AGAIN.one(_count(counters, "links_read_again"))
    yield catalogue.LINK_FAILURES.one(_count(counters, "link_failures"))
    yield catalogue.LINKS_TAKEN_BACK.of(_by_label(counters, "links_taken_back", _TAKEN_BACK))
    yield catalogue.FOREIGN_FILES.one(_count(counters, "foreign_files"))


def _last_fetched(rows: Collection[VmRow]) -> float | None:
    return max(
        (row.offsite_at for row in rows if row.offsite_by in FETCHED and row.offsite_at is not None), default=None
    )


def _passes(started: float | None, finished: float | None, counters: _Counters) -> Iterator[Metric]:
    yield catalogue.PASSES.one(_count(counters, "passes"))
    yield catalogue.PASS_FAILURES.one(_count(counters, "pass_failures"))
    yield catalogue.PASS_STARTED.one(started)
    yield catalogue.PASS_FINISHED.one(finished)


def pass_interval(starts: Sequence[float]) -> float:
    """Seconds in which a pass is meant to come. ``starts``: of the latest passes that somebody else runs, newest first.

    A day at least. Where passes stop at weekends, or come with a weekly dump, it is the longest gap that has come
    twice: one that has come once is a host that was down.
    """
    gaps = sorted(later - earlier for later, earlier in pairwise(starts))
    return max(_DAY, gaps[-2]) if len(gaps) > 1 else _DAY


def _watches(
    watches: Sequence[WatchFolder], statuses: Mapping[str, WatchStatus], counters: _Counters
) -> Iterator[Metric]:
    """The configured folders only: one that was taken out of the configuration has nothing to tell."""
    names = [watch.name for watch in watches]
    up = {name for name in names if name in statuses and statuses[name].up}
    seen = [statuses[name] for name in names if name in statuses]
    overflows = counters.get("watch_overflows", {})
    yield catalogue.WATCH_UP.of(((name,), int(name in up)) for name in names)
    yield catalogue.WATCH_SCANNED.of(((one.watch,), one.last_scan_at) for one in seen)
    yield catalogue.WATCH_SCAN_SECONDS.of(((one.watch,), one.last_scan_seconds) for one in seen)
    yield catalogue.WATCH_SCAN_INTERVAL.of(((watch.name,), watch.scan_interval) for watch in watches)
    yield catalogue.WATCH_OVERFLOWS.of(((name,), overflows.get(name, 0)) for name in names)
    listening = [(one.watch, one.listening) for one in seen]
    yield catalogue.WATCH_LISTENING.of(((name,), None if does is None else int(does)) for name, does in listening)
    unannounced = counters.get("markers_unannounced", {})
    yield catalogue.WATCH_UNANNOUNCED.of(((name,), unannounced.get(name, 0)) for name in names)
    yield catalogue.WATCH_FREE.of(((one.watch,), one.free_bytes) for one in seen)
    yield catalogue.WATCH_MIN_FREE.of(((watch.name,), watch.min_free) for watch in watches)
    yield catalogue.WATCH_PINNED.of(((one.watch,), one.pinned_bytes) for one in seen)


def _count(counters: _Counters, name: str) -> int:
    return counters.get(name, {}).get("", 0)


def _by_label(counters: _Counters, name: str, words: Sequence[str]) -> Iterator[tuple[tuple[str], int]]:
    """The closed set's words, unused ones as 0; then whatever else was counted."""
    counted = counters.get(name, {})
    for word in dict.fromkeys([*words, *sorted(counted)]):
        yield (word,), counted.get(word, 0)
