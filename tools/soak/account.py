"""The account: what was written beside what is recorded."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tools.soak.disturber import Disturbances
from tools.soak.sampler import Key
from tools.soak.written_markers import Written

#: A marker is left alone when nothing disturbed its service from so long before it to so long after, in seconds.
_BEFORE, _AFTER = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Latency:
    """From a marker to its row, seconds."""

    count: int
    p50: float
    p99: float
    most: float


@dataclass(slots=True)
class Account:
    """``missing``: written and not recorded. ``twice``: paths with more rows than dumps were made there."""

    written: int = 0
    missing: list[Written] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    by_way: dict[str, tuple[int, Latency]] = field(default_factory=dict)
    alone: Latency | None = None
    everything: Latency | None = None

    @property
    def is_good(self) -> bool:
        """True when every marker is recorded, once."""
        return self.written > 0 and not self.missing and not self.twice


def account(
    written: Sequence[Written], rows: Sequence[Key], seen: Mapping[Key, float], disturbed: Disturbances
) -> Account:
    """``rows`` is what stands in the states at the end, ``seen`` when the clerks saw it come."""
    found = Account(written=len(written))
    stands = Counter(rows)
    stands.update({(*key[:3], "") for key in stands if key[3]})
    found.missing = [one for one in written if _key(one) not in stands]
    found.twice = _surplus(stands, {_key(one) for one in written})
    late = {one: at - one.at for one in written if (at := seen.get(_key(one))) is not None}
    found.everything = _latency(late.values())
    found.alone = _latency(
        seconds
        for one, seconds in late.items()
        if one.watch != "disk" and not disturbed.touches(one.service, one.at - _BEFORE, one.at + _AFTER)
    )
    count = Counter(one.way for one in written)
    for way in sorted(count):
        latency = _latency(seconds for one, seconds in late.items() if one.way == way)
        if latency is not None:
            found.by_way[way] = (count[way], latency)
    return found


def _surplus(stands: Counter[Key], written: set[Key]) -> list[str]:
    """Paths with more rows than there were dumps. Where a name is bad its dump is not told by what it is made of."""
    dumps = Counter(key[:3] for key in written)
    rows = Counter[tuple[str, str, str]]()
    for key, count in stands.items():
        rows[key[:3]] += count if key[3] else 0
    return [
        f"{'/'.join(path)}: {count} rows, {dumps[path]} dumps" for path, count in rows.items() if count > dumps[path]
    ]


def _key(one: Written) -> Key:
    return (one.service, one.watch, one.path, one.fingerprint)


def _latency(seconds: Iterable[float]) -> Latency | None:
    ordered = sorted(max(0.0, one) for one in seconds)
    if not ordered:
        return None
    return Latency(
        len(ordered), statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], ordered[-1]
    )
