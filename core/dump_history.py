"""What the times of a VM's dumps tell of its period. Pure; times are seconds since the epoch.

The period is the middle one of the latest gaps between its turns. So one odd gap, and even two, move it nowhere: a
month of silence, a dump made by hand; and a job that was moved from weekly to daily is known after three turns.

A dump that failed has no time here, so that a VM of which every other dump fails has twice the period.

Of sizes nothing is expected: a VM that doubles will not halve again. But a dump below half of what is usual may be one
that lacks something, and people should look at it.
"""

from collections.abc import Sequence
from itertools import pairwise

#: Dump times that are remembered: enough for the gaps, also where turns were made more than once.
REMEMBERED = 12

#: The latest gaps of which the middle one counts: two of them may be odd.
GAPS = 5

#: Dumps this close are one turn made twice; so are those closer than this part of the period.
SAME_TURN_SECONDS = 3600
SAME_TURN_SHARE = 4


#: What is usual is the middle one of so many sizes before the newest.
SIZES = 5


def remembered(times: str, dump_time: float) -> str:
    """``times`` and ``dump_time``, the latest of them in their order: whole seconds with blanks between.

    The same for the same dumps, in whatever order they are found.
    """
    return joined(times, str(int(dump_time)))


def joined(times: str, others: str) -> str:
    """The latest of both, where two VMs turn out to be one."""
    known = {*map(int, times.split()), *map(int, others.split())}
    return " ".join(map(str, sorted(known)[-REMEMBERED:]))


def period(times: str) -> float | None:
    """Seconds between the turns of a VM with these dump times (``remembered``); None before the second turn."""
    turns = _turns([int(time) for time in times.split()], SAME_TURN_SECONDS)
    if len(turns) < 2:  # as most are in a burst
        return None
    return float(_middle(_turns(turns, _middle(turns) // SAME_TURN_SHARE)))


def _turns(times: Sequence[int], apart: int) -> list[int]:
    """The first time of each turn: a dump closer to it than ``apart`` is the same turn."""
    turns = [*times[:1]]
    for time in times:
        if time - turns[-1] >= apart:
            turns.append(time)
    return turns


def _middle(turns: Sequence[int]) -> int:
    """The middle one of the latest gaps; of two the shorter, since a dump that is expected early only waits."""
    latest = turns[-GAPS - 1 :]
    gaps = sorted([after - before for before, after in pairwise(latest)])
    return gaps[(len(gaps) - 1) // 2]


def remembered_sizes(sizes: str, dump_time: float, size: int) -> str:
    """``sizes`` and that of one more dump, the latest of them in the order of their times: ``time:bytes`` each.

    The same for the same dumps, in whatever order they are found.
    """
    return joined_sizes(sizes, f"{dump_time}:{size}")


def joined_sizes(sizes: str, others: str) -> str:
    """The latest of both."""
    known = {*map(_sized, sizes.split()), *map(_sized, others.split())}
    return " ".join(f"{time:.3f}:{each}" for time, each in sorted(known)[-SIZES - 1 :])


def shrunk_from(sizes: str) -> int | None:
    """The usual size in bytes, if the newest dump (``remembered_sizes``) is below half of it; else None."""
    *earlier, newest = [size for _, size in sorted(map(_sized, sizes.split()))] or [0]
    usual = sorted(earlier)[(len(earlier) - 1) // 2] if earlier else 0
    return usual if newest * 2 < usual else None


def _sized(told: str) -> tuple[float, int]:
    """To the millisecond: dumps of one second have an order too."""
    time, _, size = told.partition(":")
    return round(float(time), 3), int(size)
