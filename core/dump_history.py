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


# --- times: whole seconds


def remembered(times: str, dump_time: float) -> str:
    """``times`` and that of one dump more."""
    newest = times.rpartition(" ")[2]
    if newest and int(newest) < int(dump_time):
        return _appended(times, str(int(dump_time)), REMEMBERED)
    return joined(times, str(int(dump_time)))


def joined(times: str, others: str) -> str:
    """The latest of both, where two VMs turn out to be one."""
    return " ".join(sorted({*times.split(), *others.split()}, key=int)[-REMEMBERED:])


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


def _appended(entries: str, newest: str, kept: int) -> str:
    """As nearly always; much faster than putting all of them in order."""
    return " ".join([*entries.split()[1 - kept :], newest])


# --- sizes: "time:bytes", the time to the millisecond, since dumps of one second have an order too


def remembered_sizes(sizes: str, dump_time: float, size: int) -> str:
    """``sizes`` and that of one dump more."""
    entry = f"{dump_time:.3f}:{size}"
    newest = sizes.rpartition(" ")[2]
    if newest and _timed_size(newest) < _timed_size(entry):
        return _appended(sizes, entry, SIZES + 1)
    return joined_sizes(sizes, entry)


def joined_sizes(sizes: str, others: str) -> str:
    """The latest of both."""
    return " ".join(sorted({*sizes.split(), *others.split()}, key=_timed_size)[-SIZES - 1 :])


def shrunk_from(sizes: str) -> int | None:
    """The usual size in bytes, if the newest dump is below half of it; else None."""
    *earlier, newest = [size for _, size in sorted(map(_timed_size, sizes.split()))] or [0]
    usual = sorted(earlier)[(len(earlier) - 1) // 2] if earlier else 0
    return usual if newest * 2 < usual else None


def _timed_size(text: str) -> tuple[float, int]:
    time, _, size = text.partition(":")
    return float(time), int(size)
