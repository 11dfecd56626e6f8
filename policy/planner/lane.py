"""What must leave today so that every target can still be met, and what takes its place where that is impossible.

The lane of deadlines comes before any worth, but it lets out no more than it must: each deadline of the coming
days is given to the days that are left until it, and only what does not fit into these leaves today. It goes by
part of each coming day (``RELIED_ON``): dumps cannot be cut, and the days bring surprises.

Where targets ask for more than the line carries, a lane would let out the late ones, in their order, and make
everybody late in turn. There a byte is worth how late its VM is by its own target, and the day is filled with the
latest: that spreads the delay in proportion to the targets.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from policy.planner.staleness import DAY

#: How many coming days are looked at.
HORIZON = 14

#: The part of each coming day that the lane expects to find.
RELIED_ON = 0.8

#: Targets that need more of the limit than this are taken for more than it can carry.
DENSE = 0.95

#: Up to so many targets of age a tenth later is worth seventeen times as much, and beyond them half as much again:
#: no size is so large that it could keep a small one back for ever.
LATEST, STEEP, LESS_STEEP = 20.0, 30, 4

#: Beyond so many targets nothing is later. The target is a second then, or the clock wrong.
_ABSURD = 1e9


class Deadline(NamedTuple):
    """One dump that must leave in ``days`` at the latest; ``place`` tells where the caller has it.

    ``left`` is the less, the more of its target the age of its copy is. Of equal ones the smaller is first, then by
    name.
    """

    days: int
    left: float
    size: int
    name: str
    place: int


def days_left(age: float, target: float) -> int:
    """On which coming day a dump must leave at the latest, 0 being today: the last before its copy is too old.

    A copy that reaches its target between two passes is renewed by the earlier one.
    """
    return max(0, int((target - age) / DAY))


def must_leave(deadlines: Iterable[Deadline], coming: Iterable[int]) -> list[Deadline]:
    """The dumps that cannot be left to the coming days, of so many bytes each; the first due first.

    What is due until a day and is more than the days until then carry is too much; the first of the line, up to the
    most that is too much, leave today.
    """
    line = sorted(one for one in deadlines if one.days <= HORIZON)
    rooms = (RELIED_ON * size for size in coming)
    day, due, carried, too_much = 0, 0, 0.0, 0.0
    for one in line:
        while day < one.days:
            day, carried = day + 1, carried + next(rooms)
        due += one.size
        too_much = max(too_much, due - carried)
    return [one for one, before in zip(line, _before(line), strict=True) if before < too_much]


def _before(line: Sequence[Deadline]) -> Iterable[int]:
    """For each of the ``line``, the bytes of those before it."""
    return accumulate((one.size for one in line[:-1]), initial=0) if line else ()


def lateness(age: float, target: float) -> float:
    """What a byte is worth in need, by the part of its target that the age of its VM's copy is.

    So steep that the latest leave first; what fits beside them is chosen by how well it fills the day.
    """
    late = min(age / target, _ABSURD)
    return min(late, LATEST) ** STEEP * max(1.0, late / LATEST) ** LESS_STEEP
