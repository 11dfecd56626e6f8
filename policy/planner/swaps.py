"""A newer dump in the place of its VM's link that nobody has read: the link's bytes are free for it.

Nobody else loses by it. One that weighs no more than the link comes before all turns, since it only makes room; one
that weighs more takes what all turns have left.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from core.enums import Reason
from policy.planner import explanations
from policy.planner.eligibility import Candidate, Rejection


class Sorted(NamedTuple):
    """Candidates by when they have their turn beside a swap; ``others`` as they came."""

    lighter: list[Candidate]
    others: list[Candidate]
    heavier: list[Candidate]


def by_weight(candidates: Sequence[Candidate]) -> Sorted:
    """The lightest swaps first, then by name. What the admin forces is not held up for being heavier."""
    swaps = of(candidates)
    if not swaps:
        return Sorted([], list(candidates), [])
    lighter = [one for one in swaps if one.weight <= 0]
    heavier = [one for one in swaps if one.weight > 0 and one.standing.vm.forced is None]
    others = [one for one in candidates if not one.standing.vm.swap_bytes or _is_forced_heavier(one)]
    return Sorted(sorted(lighter, key=_turn), others, sorted(heavier, key=_turn))


def of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of them that would take the place of a link."""
    return [one for one in candidates if one.standing.vm.swap_bytes]


def left_behind(rejections: Sequence[Rejection], swapped: Collection[Candidate]) -> list[Rejection]:
    """The refusals, in which the dumps of links that are ``swapped`` are now superseded."""
    if not swapped:
        return list(rejections)
    newer = {one.dump.vm: one.dump.path for one in swapped}
    return [
        rejection._replace(reason=Reason.SUPERSEDED, told=explanations.swapped(newer[rejection.dump.vm]))
        if rejection.dump.outstanding and rejection.dump.vm in newer
        else rejection
        for rejection in rejections
    ]


def waits(candidate: Candidate) -> Rejection:
    """Of a swap that the day has no room for."""
    vm = candidate.standing.vm
    detail = explanations.waits_for_swap(vm.outstanding_since_day, candidate.dump.bytes, vm.swap_bytes)
    return Rejection(candidate.dump, candidate.standing, Reason.OUTSTANDING, detail)


def _is_forced_heavier(candidate: Candidate) -> bool:
    return candidate.weight > 0 and candidate.standing.vm.forced is not None


def _turn(candidate: Candidate) -> tuple[int, str]:
    return candidate.weight, candidate.dump.vm
