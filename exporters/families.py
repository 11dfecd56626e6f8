"""From the state to families of metrics.

Reads, and decides nothing: what needs the planner was stored by the pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from prometheus_client.core import Metric

from core.config.settings import Config
from core.enums import Freshness, MarkerResult, Reason, Verdict
from core.state import counters as tallies
from core.state import ledger, slices, vms
from core.state.database import Connection
from core.state.ledger import DayRow
from core.version import __version__
from exporters import metrics

#: Words that are exported as 0 before they ever occur, so that their first occurrence is seen as growth.
_NOT_RELEASED = tuple(reason for reason in Reason if reason.verdict is not Verdict.RELEASED)
_TAKEN_BACK = (Reason.CHANGED, Reason.RUNNING, Reason.BACKING_OFF, Reason.MISSING)

#: More than two weeks of a pass each workday, so that two weekends are among them.
_PASSES_LOOKED_AT = 16
_DAY = 86_400.0

_Counters = Mapping[str, Mapping[str, int]]


class View(NamedTuple):
    """What there is to read from: one transaction, so that the figures belong together, and the time of the text.

    ``now`` is in seconds since the epoch.
    """

    connection: Connection
    config: Config
    now: float


def build_info() -> Metric:
    """The one family that needs no state."""
    return metrics.BUILD_INFO.of([((__version__,), 1)])


def all_vms(view: View) -> Iterator[Metric]:
    """The only ones that change though nothing in the state does."""
    standing = vms.standing(view.connection, view.now)
    fresh = standing.vms - standing.never - standing.stale
    counts = {Freshness.FRESH: fresh, Freshness.STALE: standing.stale, Freshness.NEVER: standing.never}
    yield metrics.VMS.of(((state,), count) for state, count in counts.items())
    yield metrics.VMS_PAST_TARGET.one(standing.past_target)
    yield metrics.VMS_PAST_TWICE_TARGET.one(standing.past_twice_target)
    yield metrics.VMS_OLDEST_OFFSITE.one(standing.oldest_offsite)
    yield metrics.VMS_FIRST_SEEN.one(standing.first_seen)


def hypervisor(view: View) -> Iterator[Metric]:
    """What it had when it was last asked."""
    look = vms.last_hypervisor_look(view.connection)
    yield metrics.HYPERVISOR_ASKED.one(None if look is None else look.asked_at)
    yield metrics.HYPERVISOR_VMS.one(None if look is None else look.vms)
    yield metrics.WITHOUT_BACKUP.one(None if look is None else len(look.without_backup))


def waiting(view: View) -> Iterator[Metric]:
    """What the last pass held."""
    tally = tallies.waiting(view.connection)
    amounts = [((reason,), tally.get(reason, (0, 0))) for reason in _NOT_RELEASED]
    yield metrics.DUMPS_WAITING.of((label, dumps) for label, (dumps, _) in amounts)
    yield metrics.BYTES_WAITING.of((label, size) for label, (_, size) in amounts)


def day(view: View) -> Iterator[Metric]:
    """The account of the open day."""
    day = ledger.open_day(view.connection)
    outstanding = 0 if day is None else slices.outstanding_bytes(view.connection, day.number)
    days = [] if day is None else [day]
    yield metrics.DAY_NUMBER.of(((), one.number) for one in days)
    yield metrics.DAY_OPENED.of(((), one.opened.wall) for one in days)
    yield metrics.DAY_LIMIT.of(((), one.limit_bytes) for one in days)
    yield metrics.DAY_RESERVE.of(((), one.reserve_bytes) for one in days)
    yield metrics.DAY_USED.of(((), one.used_bytes) for one in days)
    yield metrics.DAY_DEBT.of(((), one.debt_bytes) for one in days)
    yield metrics.DAY_LEFT.of(((), _left(one, outstanding)) for one in days)


def _left(day: DayRow, outstanding: int) -> int:
    return max(0, day.limit_bytes - day.reserve_bytes - outstanding - day.used_bytes)


def links(view: View) -> Iterator[Metric]:
    """What was let out, and what became of it."""
    counters = tallies.counters(view.connection)
    outstanding = ledger.outstanding_total(view.connection)
    yield metrics.OUTSTANDING_LINKS.one(outstanding.links)
    yield metrics.OUTSTANDING_BYTES.one(outstanding.bytes)
    yield metrics.OUTSTANDING_OLDEST.one(ledger.waiting_since(view.connection))
    yield metrics.LAST_FETCHED.one(vms.last_fetched(view.connection))
    yield metrics.RELEASED_DUMPS.one(_count(counters, "released_dumps"))
    yield metrics.RELEASED_BYTES.one(_count(counters, "released_bytes"))
    yield metrics.LIMIT_EXCEEDED.one(_count(counters, "limit_exceeded_bytes"))
    yield metrics.CONFIRMED_DUMPS.one(_count(counters, "confirmed_dumps"))
    yield metrics.CONFIRMED_BYTES.one(_count(counters, "confirmed_bytes"))
    yield metrics.WIRE_SENT.one(_count(counters, "wire_sent_bytes"))
    yield metrics.WIRE_RECEIVED.one(_count(counters, "wire_received_bytes"))
    yield metrics.WIRE_BEYOND_CHARGE.one(_count(counters, "wire_beyond_charge_bytes"))
    yield metrics.LINKS_SENT_AGAIN.one(_count(counters, "links_sent_again"))
    yield metrics.LINKS_READ_AGAIN.one(_count(counters, "links_read_again"))
    yield metrics.LINK_FAILURES.one(_count(counters, "link_failures"))
    yield metrics.LINKS_TAKEN_BACK.of(_by_label(counters, "links_taken_back", _TAKEN_BACK))
    yield metrics.FOREIGN_FILES.one(_count(counters, "foreign_files"))


def passes(view: View) -> Iterator[Metric]:
    """When they ran, and how often they are meant to."""
    counters = tallies.counters(view.connection)
    started, finished = tallies.pass_times(view.connection)
    latest = [] if view.config.daily_pass.at else tallies.last_passes(view.connection, _PASSES_LOOKED_AT)
    yield metrics.PASSES.one(_count(counters, "passes"))
    yield metrics.PASS_FAILURES.one(_count(counters, "pass_failures"))
    yield metrics.PASS_STARTED.one(started)
    yield metrics.PASS_FINISHED.one(finished)
    yield metrics.PASS_INTERVAL.one(pass_interval([one.started_at for one in latest]))


def pass_interval(starts: Sequence[float]) -> float:
    """Seconds in which a pass is meant to come. ``starts``: of the latest passes that somebody else runs, newest first.

    A day at least. Where passes stop at weekends, or come with a weekly dump, it is the longest gap that has come
    twice: one that has come once is a host that was down.
    """
    gaps = sorted(later - earlier for later, earlier in pairwise(starts))
    return max(_DAY, gaps[-2]) if len(gaps) > 1 else _DAY


def watches(view: View) -> Iterator[Metric]:
    """The configured folders only: one that was taken out of the configuration has nothing to tell."""
    watches, statuses = view.config.watches, tallies.watch_statuses(view.connection)
    counters = tallies.counters(view.connection)
    names = [watch.name for watch in watches]
    up = {name for name in names if name in statuses and statuses[name].up}
    seen = [statuses[name] for name in names if name in statuses]
    overflows = counters.get("watch_overflows", {})
    yield metrics.WATCH_UP.of(((name,), int(name in up)) for name in names)
    yield metrics.WATCH_SCANNED.of(((one.watch,), one.last_scan_at) for one in seen)
    yield metrics.WATCH_SCAN_SECONDS.of(((one.watch,), one.last_scan_seconds) for one in seen)
    yield metrics.WATCH_SCAN_INTERVAL.of(((watch.name,), watch.scan_interval) for watch in watches)
    yield metrics.WATCH_OVERFLOWS.of(((name,), overflows.get(name, 0)) for name in names)
    listening = [(one.watch, one.listening) for one in seen]
    yield metrics.WATCH_LISTENING.of(((name,), None if does is None else int(does)) for name, does in listening)
    unannounced = counters.get("markers_unannounced", {})
    yield metrics.WATCH_UNANNOUNCED.of(((name,), unannounced.get(name, 0)) for name in names)
    yield metrics.WATCH_FREE.of(((one.watch,), one.free_bytes) for one in seen)
    yield metrics.WATCH_MIN_FREE.of(((watch.name,), watch.min_free) for watch in watches)
    yield metrics.WATCH_PINNED.of(((one.watch,), one.pinned_bytes) for one in seen)


def markers(view: View) -> Iterator[Metric]:
    """How long their records took, and what became of them."""
    counters = tallies.counters(view.connection)
    times = tallies.delays(counters)
    yield metrics.MARKER_RECORD.of_buckets(times.buckets, times.sum)
    yield metrics.MARKERS.of(_by_label(counters, "markers", tuple(MarkerResult)))


def _count(counters: _Counters, name: str) -> int:
    return counters.get(name, {}).get("", 0)


def _by_label(counters: _Counters, name: str, words: Sequence[str]) -> Iterator[tuple[tuple[str], int]]:
    """The closed set's words, unused ones as 0; then whatever else was counted."""
    counted = counters.get(name, {})
    for word in dict.fromkeys([*words, *sorted(counted)]):
        yield (word,), counted.get(word, 0)
