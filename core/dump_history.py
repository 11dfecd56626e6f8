"""A VM's period and its usual size, learned from its latest dumps. Pure; times are seconds since the epoch.

The period is the median of the latest gaps between its turns, so that one odd gap, or two, do not move it: a month of
silence, a dump made by hand; and a job that was moved from weekly to daily is known after three turns.
A dump that failed has no time here: a VM of which every other dump fails has twice the period.

No growth is expected: a VM that doubles will not halve again. But a dump below half of the usual size may lack
something, and people should look at it.

Times and sizes are kept as texts, with blanks between, in the order of the dumps' times: the same for the same dumps,
in whatever order they are found.
"""

from collections.abc import Sequence
from itertools import pairwise

#: Dump times that are kept: enough for the gaps, also where turns were made more than once.
REMEMBERED = 12
#: The latest gaps of which the median counts: two of them may be odd.
GAPS = 5
#: Dumps this close are one turn made twice; so are those closer than this part of the period.
SAME_TURN_SECONDS = 3600
SAME_TURN_SHARE = 4
#: The usual size is the median of so many before the newest.
SIZES = 5


# --- times: whole seconds, ten digits each


def remembered(times: str, dump_time: float) -> str:
    """``times`` and that of one dump more."""
    return joined(times, f"{int(dump_time):010}")


def joined(times: str, others: str) -> str:
    """The latest of both, where two VMs turn out to be one."""
    return _latest(times, others, REMEMBERED)


def period(times: str) -> float | None:
    """Seconds between the turns of a VM with these dump times; None before the second turn."""
    turns = _turns([int(time) for time in times.split()], SAME_TURN_SECONDS)
    if len(turns) < 2:  # as most are in a burst
        return None
    return float(_median_gap(_turns(turns, _median_gap(turns) // SAME_TURN_SHARE)))


def _turns(times: Sequence[int], apart: int) -> list[int]:
    """The first time of each turn: a dump closer to it than ``apart`` is the same turn."""
    turns = [*times[:1]]
    for time in times:
        if time - turns[-1] >= apart:
            turns.append(time)
    return turns


def _median_gap(turns: Sequence[int]) -> int:
    """Of the latest gaps; of two the shorter, since a dump that is expected early only waits."""
    latest = turns[-GAPS - 1 :]
    gaps = sorted([after - before for before, after in pairwise(latest)])
    return gaps[(len(gaps) - 1) // 2]


# --- sizes: "time:bytes", the time to the millisecond, since dumps of one second have an order too


def remembered_sizes(sizes: str, dump_time: float, size: int) -> str:
    """``sizes`` and that of one dump more."""
    return joined_sizes(sizes, f"{dump_time:014.3f}:{size}")


def joined_sizes(sizes: str, others: str) -> str:
    """The latest of both."""
    return _latest(sizes, others, SIZES + 1)


def shrunk_from(sizes: str) -> int | None:
    """The usual size in bytes, if the newest dump is below half of it; else None."""
    *earlier, newest = [int(entry.partition(":")[2]) for entry in sizes.split()] or [0]
    usual = sorted(earlier)[(len(earlier) - 1) // 2] if earlier else 0
    return usual if newest * 2 < usual else None


def _latest(entries: str, others: str, kept: int) -> str:
    """Times are of one width, so that their texts are in their order: they need not be read for it."""
    return " ".join(sorted({*entries.split(), *others.split()})[-kept:])
