"""On which coming day a dump that does not fit today would leave, if nothing new comes between."""

from collections.abc import Iterable
from itertools import islice

#: How many coming days are looked at. Beyond a year the dumps of that day are not those of today.
HORIZON = 400


def first_days(sizes: Iterable[int], days: Iterable[int], horizon: int = HORIZON) -> list[int | None]:
    """For each of the ``sizes``, in the order of turns, the first of the coming ``days`` that holds it; 1 is the next.

    ``days`` are the bytes that each of them lets out, with all links confirmed by then. None where no day of the
    ``horizon`` holds it. Giving turns day by day and skipping what does not fit puts each dump into the first day
    that has room for it: one walk tells the same.
    """
    room = _Room(list(islice(days, horizon)))
    return [room.take(size) for size in sizes]


class _Room:
    """The bytes free on each coming day, as a binary tree whose nodes hold the most of the days below them.

    The first day with room is found in 9 steps instead of by a walk over 400 days: a backlog of 10,000 dumps
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
        """Tells the nodes from ``node`` up that less is free, as far as that changes anything."""
        most = self._most
        while node:
            highest = max(most[2 * node], most[2 * node + 1])
            if most[node] == highest:
                return
            most[node] = highest
            node //= 2
