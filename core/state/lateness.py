"""How long it took from markers to their records, as a histogram that outlives restarts.

Kept as counters: how many took at most so long and longer than the bound before, and the sum in microseconds.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import Connection

from core.state import counters as tallies

#: Upper bounds in seconds.
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 900.0, 3600.0)
_LABELS = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
_COUNTS = "marker_record_seconds"
_SUM = "marker_record_microseconds"


@dataclass(frozen=True, slots=True)
class Histogram:
    """``buckets``: (upper bound as text, how many took at most so long), ascending. ``sum`` is in seconds."""

    buckets: tuple[tuple[str, int], ...]
    sum: float


def count(connection: Connection, seconds: Sequence[float]) -> None:
    """Adds the times that some markers took. A clock that was set back makes none negative."""
    if not seconds:
        return
    taken = [max(0.0, one) for one in seconds]
    tallies.count_many(connection, _COUNTS, Counter(_LABELS[bisect_left(BOUNDS, one)] for one in taken))
    tallies.count(connection, _SUM, round(sum(taken) * 1e6))


def histogram(counters: Mapping[str, Mapping[str, int]]) -> Histogram:
    """From all counters of the state."""
    counted = counters.get(_COUNTS, {})
    totals = accumulate(counted.get(label, 0) for label in _LABELS)
    return Histogram(tuple(zip(_LABELS, totals, strict=True)), counters.get(_SUM, {}).get("", 0) / 1e6)
