"""Which dump of a VM may leave, and why its others may not.

Each dump that may not gets a rejection: a reason and a sentence. What is left of the day is not asked here.

A newer dump may supersede its VM's link that nobody has read: the link's bytes are free for it. Nobody else loses by
that. One that is no larger than the link comes before the queue, since it only makes room; a larger one takes what the
queue leaves over.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from core.enums import Force, Oversize
from core.reasons import Reason
from policy.planner import explanations
from policy.planner.model import Dump, Rules, Sentence, Vm
from policy.planner.staleness import offsite_age, queue_age, target_of

#: An off-site copy older than this many targets waives ``max_dump_age``: a late copy beats none.
WAIVED_PAST_TARGETS = 2

_is_outstanding = attrgetter("outstanding")


class VmStaleness(NamedTuple):
    """How old a VM's copy is at this pass; spans in seconds.

    ``offsite_age`` is None where it was never off-site; ``queue_age`` is known for every VM (``staleness``).
    """

    vm: Vm
    target: float
    offsite_age: float | None
    queue_age: float


class Candidate(NamedTuple):
    """The one dump of a VM that may leave. ``late`` is true when ``max_dump_age`` is waived for it."""

    dump: Dump
    staleness: VmStaleness
    late: bool

    @property
    def vm(self) -> Vm:
        """The VM of the dump."""
        return self.staleness.vm

    @property
    def net_bytes(self) -> int:
        """Bytes that it takes of what is left of the day: what an unread link held is free for it, or more."""
        return self.dump.bytes - self.staleness.vm.unread_link_bytes

    @property
    def is_forced(self) -> bool:
        """Whether the admin has put it first."""
        return self.staleness.vm.forced is not None

    @property
    def may_exceed_limit(self) -> bool:
        """Whether it leaves however little is left of the day."""
        return self.staleness.vm.forced is Force.OVER_LIMIT


class Rejection(NamedTuple):
    """Why a dump may not leave."""

    dump: Dump
    staleness: VmStaleness
    reason: Reason
    sentence: str | Sentence


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What a dump must pass to become its VM's candidate.

    ``largest_day`` is the most bytes that this or any coming day can release; ``set_days`` is
    ``staleness.full_set_days``.
    """

    rules: Rules
    now: float
    largest_day: int
    set_days: int

    def examine(self, vm: Vm, dumps: Sequence[Dump]) -> list[Candidate | Rejection]:
        """One answer for each of the ``dumps`` of ``vm``, newest first; at most one is its candidate.

        A dump is superseded by a newer one that can leave, now or once it has waited. Newer ones that cannot
        (for their block reason, or oversize) leave it the VM's newest.
        """
        staleness = self._staleness(vm)
        ordered = newest_first(dumps)
        linked = vm.outstanding_since_day is not None or any(map(_is_outstanding, ordered))
        answers: list[Candidate | Rejection] = []
        newer: Dump | None = None
        for dump in ordered:
            rejection = self._by_itself(dump, staleness, newer)
            answers.append(rejection or self._by_its_vm(dump, staleness, linked=linked))
            if newer is None and (rejection is None or dump.outstanding):
                newer = dump
        return answers

    def _staleness(self, vm: Vm) -> VmStaleness:
        target = target_of(vm, self.set_days, self.rules.retention)
        age = offsite_age(vm, self.now)
        return VmStaleness(vm, target, age, queue_age(vm, self.now) if age is None else age)

    def _by_itself(self, dump: Dump, staleness: VmStaleness, newer: Dump | None) -> Rejection | None:
        """Why ``dump`` is not the newest that can leave, or None if it is.

        What became of the dump itself comes before what a newer one does to it, and that before its size: a
        superseded dump that is too large needs nobody's care.
        """
        if dump.offsite or dump.outstanding or dump.block_reason is not None:
            return _by_its_state(dump, staleness)
        vm, rules = staleness.vm, self.rules
        if vm.offsite_time is not None:
            gain = dump.dump_time - vm.offsite_time
            if gain <= 0:
                return Rejection(dump, staleness, Reason.NO_GAIN, explanations.no_gain(-gain))
            if gain < rules.min_gain and vm.forced is None:
                return Rejection(dump, staleness, Reason.NO_GAIN, explanations.little_gain(gain, rules.min_gain))
        if newer is not None:
            return Rejection(dump, staleness, Reason.SUPERSEDED, explanations.superseded(newer.path))
        if dump.bytes > self.largest_day and rules.oversize is Oversize.HOLD and vm.forced is not Force.OVER_LIMIT:
            sentence = explanations.oversize(dump.bytes, self.largest_day, dump.vm, dump.dump_time)
            return Rejection(dump, staleness, Reason.OVERSIZE, sentence)
        return None

    def _by_its_vm(self, dump: Dump, staleness: VmStaleness, *, linked: bool) -> Candidate | Rejection:
        """``dump`` as a candidate, or what its VM makes it wait for: the admin's order first, then its links."""
        vm = staleness.vm
        if vm.on_hold:
            return Rejection(dump, staleness, Reason.ON_HOLD, explanations.on_hold(vm.vm))
        if linked and not vm.unread_link_bytes:
            return Rejection(dump, staleness, Reason.OUTSTANDING, explanations.waits_for_link(vm.outstanding_since_day))
        if vm.backing_off_until is not None and vm.backing_off_until > self.now and vm.forced is None:
            return Rejection(dump, staleness, Reason.BACKING_OFF, explanations.BACKING_OFF)
        if vm.replaces_while_syncing:
            return Rejection(dump, staleness, Reason.OUTSTANDING, explanations.SYNC_RUNS)
        return self._by_its_age(dump, staleness)

    def _by_its_age(self, dump: Dump, staleness: VmStaleness) -> Candidate | Rejection:
        """``dump`` as a candidate, unless it is too old to be worth the traffic and the VM can do without it."""
        limit, age = self.rules.max_dump_age, self.now - dump.dump_time
        if limit is None or age <= limit or staleness.vm.forced is not None:
            return Candidate(dump, staleness, late=False)
        if staleness.offsite_age is None or staleness.offsite_age > WAIVED_PAST_TARGETS * staleness.target:
            return Candidate(dump, staleness, late=True)
        return Rejection(dump, staleness, Reason.TOO_OLD, explanations.too_old(limit))


def _by_its_state(dump: Dump, staleness: VmStaleness) -> Rejection:
    """Of a dump that is off-site, released, or cannot leave as it is."""
    if dump.offsite:
        return Rejection(dump, staleness, Reason.ALREADY_OFFSITE, explanations.ALREADY_OFFSITE)
    released = explanations.released(staleness.vm.outstanding_since_day) if dump.outstanding else ""
    if dump.block_reason is not None:
        return Rejection(dump, staleness, dump.block_reason, "; ".join(filter(None, (dump.note, released))))
    return Rejection(dump, staleness, Reason.OUTSTANDING, "; ".join(filter(None, (released, dump.note))))


def newest_first(dumps: Sequence[Dump]) -> Sequence[Dump]:
    """``dumps`` by dump time, the newest first; those of one time by path, then by id."""
    if len(dumps) < 2:  # as most VMs have
        return dumps
    return sorted(dumps, key=lambda dump: (-dump.dump_time, dump.path, dump.dump_id))


# --- dumps that supersede an unread link


class BesideQueue(NamedTuple):
    """Candidates by when they leave beside those that supersede a link; ``others`` as they came."""

    smaller: list[Candidate]
    others: Sequence[Candidate]
    larger: list[Candidate]


def beside_queue(candidates: Sequence[Candidate]) -> BesideQueue:
    """The smallest first, then by name. What the admin forces is not kept back for being larger than the link."""
    superseding = superseding_links(candidates)
    if not superseding:
        return BesideQueue([], list(candidates), [])
    smaller = [one for one in superseding if one.net_bytes <= 0]
    larger = [one for one in superseding if one.net_bytes > 0 and not one.is_forced]
    others = [one for one in candidates if not one.vm.unread_link_bytes or (one.net_bytes > 0 and one.is_forced)]
    return BesideQueue(sorted(smaller, key=_by_size), others, sorted(larger, key=_by_size))


def superseding_links(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of them that would supersede a link."""
    return [one for one in candidates if one.vm.unread_link_bytes]


def with_superseded(rejections: Sequence[Rejection], superseding: Collection[Candidate]) -> list[Rejection]:
    """The rejections, in which the dumps of the links that are superseded by now have that reason."""
    if not superseding:
        return list(rejections)
    newer = {one.dump.vm: one.dump.path for one in superseding}
    return [
        rejection._replace(reason=Reason.SUPERSEDED, sentence=explanations.link_superseded(newer[rejection.dump.vm]))
        if rejection.dump.outstanding and rejection.dump.vm in newer
        else rejection
        for rejection in rejections
    ]


def waits_for_its_link(candidate: Candidate) -> Rejection:
    """Of one that would supersede a link and that the day has no room for."""
    vm = candidate.vm
    sentence = explanations.waits_for_link_bytes(vm.outstanding_since_day, candidate.dump.bytes, vm.unread_link_bytes)
    return Rejection(candidate.dump, candidate.staleness, Reason.OUTSTANDING, sentence)


def _by_size(candidate: Candidate) -> tuple[int, str]:
    return candidate.net_bytes, candidate.dump.vm
