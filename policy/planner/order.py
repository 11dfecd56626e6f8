"""The ordering rule: which candidate has its turn first.

The pass gives turns in this order and lets out whatever still fits. So any rule can be told as an order: one
that picks a whole set for the day puts that set first, and whatever else fits tops it up.
"""

from collections.abc import Iterable

from policy.planner.candidates import Candidate


def in_turn(candidates: Iterable[Candidate]) -> list[Candidate]:
    """``candidates`` in the order of their turns: the one that used up most of its target first (DESIGN 6.1).

    Of equal ones the smaller is first, then by name. It starves nobody: the share of a VM that waits grows
    without end, and that of each that leaves falls back.
    """
    return sorted(candidates, key=_turn)


def _turn(candidate: Candidate) -> tuple[float, int, str, str, int]:
    dump, standing, _ = candidate
    return -standing.turn_age / standing.target, dump.bytes, dump.vm, dump.path, dump.dump_id
