"""What comes before any order of turns: the admin's word that a VM's next dump is the first in line."""

from collections.abc import Sequence

from core.enums import Force
from policy.planner.eligibility import Candidate


def forced_first(candidates: Sequence[Candidate]) -> tuple[list[Candidate], Sequence[Candidate]]:
    """The forced ones of ``candidates`` in the order of their turns, and the others as they came.

    Those that may exceed the limit are last of the forced: what they take beyond it is then no more than it must be.
    Of equal ones the smaller is first, then by name.
    """
    forced = [candidate for candidate in candidates if candidate.standing.vm.forced is not None]
    if not forced:
        return forced, candidates
    return sorted(forced, key=_turn), [candidate for candidate in candidates if candidate.standing.vm.forced is None]


def may_exceed(candidate: Candidate) -> bool:
    """Whether this one leaves however little is left of the day."""
    return candidate.standing.vm.forced is Force.OVER_LIMIT


def _turn(candidate: Candidate) -> tuple[bool, int, str, str, int]:
    dump = candidate.dump
    return may_exceed(candidate), dump.bytes, dump.vm, dump.path, dump.dump_id
