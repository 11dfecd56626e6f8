"""What fits into a day: the set of highest value, and the first coming day for each of the others.

The knapsack, as good as exact:

By value per byte the greedy set is found at once; the best one differs from it in a few items near the cut. So
the search begins with the greedy set and widens the strip around the cut by one item at a time, in which
everything is open (Pisinger's expanding core). What cannot get better than the best set found so far, even if
the bytes that it leaves were filled at the next item's value a byte, is dropped. In practice nothing is soon left
to follow, and the best set is found.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

#: So many sets are followed at once. Where more of them promise something, those that promise least are dropped.
FOLLOWED = 100

#: A set that could be better by less than this part of the best one's value is not followed.
WORTHWHILE = 2e-4


class Item(NamedTuple):
    """Something of ``size`` (above 0) that is worth ``value`` (above 0)."""

    value: float
    size: int


class _Change(NamedTuple):
    """The item at ``place`` is in where the greedy set has it not, and the other way round; and so ``before`` it."""

    place: int
    before: "_Change | None"


class _Set(NamedTuple):
    """A set of items, told by its difference from the greedy one. It may still be too heavy."""

    size: int
    value: float
    changes: _Change | None


def best_set(items: Sequence[Item], capacity: int) -> list[int]:
    """The places in ``items`` of the set of highest value whose sizes sum to at most ``capacity``, in ascending order.

    ``items`` come by value per byte, the highest first.
    """
    cut = _cut(items, capacity)
    chosen = set(range(cut))
    change = _best_change(items, capacity, cut) if cut < len(items) else None
    while change is not None:
        chosen ^= {change.place}
        change = change.before
    return sorted(chosen)


def _cut(items: Sequence[Item], capacity: int) -> int:
    """The place of the first item that does not fit behind all before it."""
    for place, item in enumerate(items):
        capacity -= item.size
        if capacity < 0:
            return place
    return len(items)


def _best_change(items: Sequence[Item], capacity: int, cut: int) -> _Change | None:
    """What makes the greedy set, which ends before ``cut``, the best one."""
    best = _Set(sum([item.size for item in items[:cut]]), sum([item.value for item in items[:cut]]), None)
    followed = [best]
    left, right = cut - 1, cut
    while followed and (left >= 0 or right < len(items)):
        if right < len(items):
            followed = _both_ways(followed, items[right].size, items[right].value, right)
            right += 1
        if left >= 0:
            followed = _both_ways(followed, -items[left].size, -items[left].value, left)
            left -= 1
        best = max([best, *(one for one in followed if one.size <= capacity)], key=lambda one: one.value)
        gain = _density(items, right)
        loss = _density(items, left) if left >= 0 else float("inf")
        followed = _promising(followed, capacity, best.value * (1 + WORTHWHILE), gain, loss)
    return best.changes


def _density(items: Sequence[Item], place: int) -> float:
    return items[place].value / items[place].size if place < len(items) else 0.0


def _both_ways(sets: Sequence[_Set], size: int, value: float, place: int) -> list[_Set]:
    """``sets`` with and without the change at ``place``; what is as heavy as another and worth less is left out."""
    changed = [_Set(one.size + size, one.value + value, _Change(place, one.changes)) for one in sets]
    most = float("-inf")
    kept = []
    for one in sorted([*sets, *changed], key=lambda one: (one.size, -one.value)):
        if one.value > most:
            most = one.value
            kept.append(one)
    return kept


def _promising(sets: Sequence[_Set], capacity: int, needed: float, gain: float, loss: float) -> list[_Set]:
    """Those of ``sets`` that may still become worth more than ``needed``.

    What a set leaves over may be filled at ``gain`` a byte at most; what is too large is made smaller at
    ``loss`` a byte at least.
    """
    kept = []
    for one in sets:
        rest = capacity - one.size
        promise = one.value + rest * (gain if rest >= 0 else loss)
        if promise > needed:
            kept.append((promise, one))
    if len(kept) > FOLLOWED:
        kept.sort(key=lambda pair: -pair[0])
        del kept[FOLLOWED:]
    return [one for _, one in kept]


# --- the first day that fits

#: How many coming days are looked at. Beyond a year the dumps of that day are not those of today.
HORIZON = 400


def first_days_that_fit(sizes: Iterable[int], days: Iterable[int], horizon: int = HORIZON) -> list[int | None]:
    """For each of the ``sizes``, in their order, the first of the coming ``days`` that holds it; 1 is the next.

    ``days`` are the bytes that each of them may release, with all links confirmed by then. None where no day of the
    ``horizon`` holds it. Releasing day by day and skipping what does not fit puts each dump into the first day
    that has room for it: one walk gives the same.
    """
    free_days = _FreeDays(list(islice(days, horizon)))
    return [free_days.take(size) for size in sizes]


class _FreeDays:
    """The bytes free on each coming day, as a binary tree whose nodes hold the most of the days below them.

    The first day that fits is found in 9 steps instead of by a walk over 400 days: a backlog of 10,000 dumps
    is forecast in every pass.
    """

    def __init__(self, days: list[int]) -> None:
        self._leaves = 1 << max(0, len(days) - 1).bit_length()
        free = days + [-1] * (self._leaves - len(days))
        self._most = [-1] * self._leaves + free
        for node in range(self._leaves - 1, 0, -1):
            self._most[node] = max(self._most[2 * node], self._most[2 * node + 1])

    def take(self, size: int) -> int | None:
        """Takes ``size`` bytes of the first day that has them; its number, from 1."""
        most, leaves = self._most, self._leaves
        if size > most[1]:
            return None
        node = 1
        while node < leaves:
            node *= 2
            if size > most[node]:
                node += 1
        day = node - leaves + 1
        most[node] -= size
        self._lower(node // 2)
        return day

    def _lower(self, node: int) -> None:
        """Lowers the nodes from ``node`` up, where less is free, as far as that changes anything."""
        most = self._most
        while node:
            highest = max(most[2 * node], most[2 * node + 1])
            if most[node] == highest:
                return
            most[node] = highest
            node //= 2
