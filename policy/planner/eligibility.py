"""Which dump of a VM may have a turn, and why its others may not.

Each dump that may not gets a refusal: a reason of the closed set and a sentence. What is left of the day is not
asked here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from core.enums import Force, Oversize, Reason
from policy.planner import explanations
from policy.planner.explanations import Sentence
from policy.planner.model import Dump, Rules, Vm
from policy.planner.staleness import offsite_age, target_of, turn_age

#: An off-site copy older than this many targets waives ``max_dump_age``: a late copy beats none.
WAIVED_PAST_TARGETS = 2

_is_outstanding = attrgetter("outstanding")


class Standing(NamedTuple):
    """How a VM stands at this pass; spans in seconds.

    ``offsite_age`` is None where it was never off-site; ``turn_age`` is known for every VM (``targets``).
    """

    vm: Vm
    target: float
    offsite_age: float | None
    turn_age: float


class Candidate(NamedTuple):
    """The one dump of a VM that may have a turn. ``late`` is true when ``max_dump_age`` is waived for it."""

    dump: Dump
    standing: Standing
    late: bool

    @property
    def weight(self) -> int:
        """Bytes that it takes of what is left of the day: what a swapped link held is free for it, or more."""
        return self.dump.bytes - self.standing.vm.swap_bytes


class Rejection(NamedTuple):
    """Why a dump has no turn."""

    dump: Dump
    standing: Standing
    reason: Reason
    told: str | Sentence


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What a dump must pass to become its VM's candidate.

    ``whole_day`` is the most bytes that this or any coming day can let out; ``set_days`` is
    ``targets.full_set_days``.
    """

    rules: Rules
    now: float
    whole_day: int
    set_days: int

    def sift(self, vm: Vm, dumps: Sequence[Dump]) -> list[Candidate | Rejection]:
        """One answer for each of the ``dumps`` of ``vm``, newest first; at most one is its candidate.

        A dump is superseded by a newer one that can leave, now or once it has waited. Newer ones that cannot
        (hindered, or oversize) leave it the VM's newest.
        """
        standing = self._standing(vm)
        ordered = newest_first(dumps)
        linked = vm.outstanding_since_day is not None or any(map(_is_outstanding, ordered))
        answers: list[Candidate | Rejection] = []
        newer: Dump | None = None
        for dump in ordered:
            rejection = self._of_itself(dump, standing, newer)
            answers.append(rejection or self._of_its_vm(dump, standing, linked=linked))
            if newer is None and (rejection is None or dump.outstanding):
                newer = dump
        return answers

    def _standing(self, vm: Vm) -> Standing:
        target = target_of(vm, self.set_days, self.rules.retention)
        age = offsite_age(vm, self.now)
        return Standing(vm, target, age, turn_age(vm, self.now) if age is None else age)

    def _of_itself(self, dump: Dump, standing: Standing, newer: Dump | None) -> Rejection | None:
        """Why ``dump`` is not the newest that can leave, or None if it is.

        What became of the dump itself comes before what a newer one does to it, and that before its size: a
        superseded dump that is too heavy needs nobody's care.
        """
        if dump.offsite or dump.outstanding or dump.hindrance is not None:
            return self._of_its_fate(dump, standing)
        return self._of_its_worth(dump, standing, newer)

    def _of_its_fate(self, dump: Dump, standing: Standing) -> Rejection:
        if dump.offsite:
            return Rejection(dump, standing, Reason.ALREADY_OFFSITE, explanations.ALREADY_OFFSITE)
        released = explanations.released(standing.vm.outstanding_since_day) if dump.outstanding else ""
        if dump.hindrance is not None:
            return Rejection(dump, standing, dump.hindrance, "; ".join(filter(None, (dump.note, released))))
        return Rejection(dump, standing, Reason.OUTSTANDING, "; ".join(filter(None, (released, dump.note))))

    def _of_its_worth(self, dump: Dump, standing: Standing, newer: Dump | None) -> Rejection | None:
        vm, rules = standing.vm, self.rules
        if vm.offsite_time is not None:
            gain = dump.dump_time - vm.offsite_time
            if gain <= 0:
                return Rejection(dump, standing, Reason.NO_GAIN, explanations.no_gain(-gain))
            if gain < rules.min_gain and vm.forced is None:
                return Rejection(dump, standing, Reason.NO_GAIN, explanations.little_gain(gain, rules.min_gain))
        if newer is not None:
            return Rejection(dump, standing, Reason.SUPERSEDED, explanations.superseded(newer.path))
        if dump.bytes > self.whole_day and rules.oversize is Oversize.HOLD and vm.forced is not Force.OVER_LIMIT:
            told = explanations.oversize(dump.bytes, self.whole_day, dump.vm)
            return Rejection(dump, standing, Reason.OVERSIZE, told)
        return None

    def _of_its_vm(self, dump: Dump, standing: Standing, *, linked: bool) -> Candidate | Rejection:
        """The turn of ``dump``, or what its VM makes it wait for: the admin's word first, then its links."""
        vm = standing.vm
        if vm.on_hold:
            return Rejection(dump, standing, Reason.ON_HOLD, explanations.on_hold(vm.vm))
        if linked and not vm.swap_bytes:
            return Rejection(dump, standing, Reason.OUTSTANDING, explanations.waits_for_link(vm.outstanding_since_day))
        if vm.backing_off_until is not None and vm.backing_off_until > self.now and vm.forced is None:
            return Rejection(
                dump, standing, Reason.BACKING_OFF, explanations.backing_off(vm.backing_off_until - self.now)
            )
        if vm.replaces_while_syncing:
            return Rejection(dump, standing, Reason.OUTSTANDING, explanations.SYNC_RUNS)
        return self._of_its_age(dump, standing)

    def _of_its_age(self, dump: Dump, standing: Standing) -> Candidate | Rejection:
        """The turn of ``dump``, unless it is too old to be worth the traffic and the VM can do without it."""
        limit, age = self.rules.max_dump_age, self.now - dump.dump_time
        if limit is None or age <= limit or standing.vm.forced is not None:
            return Candidate(dump, standing, late=False)
        if standing.offsite_age is None or standing.offsite_age > WAIVED_PAST_TARGETS * standing.target:
            return Candidate(dump, standing, late=True)
        return Rejection(dump, standing, Reason.TOO_OLD, explanations.too_old(age, limit))


def newest_first(dumps: Sequence[Dump]) -> Sequence[Dump]:
    """``dumps`` by dump time, the newest first; those of one time by path, then by id."""
    if len(dumps) < 2:  # as most VMs have
        return dumps
    return sorted(dumps, key=lambda dump: (-dump.dump_time, dump.path, dump.dump_id))
