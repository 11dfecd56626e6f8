"""The decision of a pass: which dumps leave now, and for every other dump why not."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from core.enums import Oversize, ReleaseRule
from core.reasons import Reason
from policy.planner import explanations, oversize
from policy.planner.eligibility import (
    Candidate,
    Eligibility,
    Rejection,
    beside_queue,
    superseding_links,
    waits_for_its_link,
    with_superseded,
)
from policy.planner.knapsack import first_days_that_fit
from policy.planner.model import Day, Decision, Dump, Plan, Rules, Slice, Vm
from policy.planner.ordering import Queued, QueueInputs, forced_first, queue
from policy.planner.oversize import Slicing
from policy.planner.price import shadow_price
from policy.planner.staleness import full_set_days


def decide(vms: Iterable[Vm], dumps: Iterable[Dump], day: Day, rules: Rules, now: float) -> Plan:
    """What leaves at ``now`` (seconds since the epoch) and why, and why each other of the ``dumps`` does not.

    ``vms`` are all VMs that are not retired, each name once, also those without a dump: the implied targets
    look at the whole set. The plan has exactly one decision for each dump: the released and then those that do
    not fit, both in the order of the queue; then the rest by VM, newest first. The released bytes never exceed
    ``day.account.left`` but for what the admin forces above it and for a debt; what does not fit never keeps a later
    one from leaving.

    A dump is oversize when neither today nor a coming day could release it whole: limit less reserve, of the
    open day or of the largest coming one, whichever is more. One that a limit raised today will hold just waits.
    Where the rules allow it an oversize one leaves alone and in debt (``spread``), or in parts (``slices``).

    Raises ValueError for a dump whose VM is not among ``vms``.
    """
    known = {vm.vm: vm for vm in vms}
    dumps = tuple(dumps)
    largest_day = max(day.account.capacity, rules.largest_day)
    eligibility = Eligibility(rules, now, largest_day, full_set_days(known.values(), rules))
    candidates, rejections = _examine(eligibility, known, dumps)
    smaller, others, larger = beside_queue(candidates)
    large, others = oversize.by_size(others, largest_day)
    forced, others = forced_first(others)
    slicing = Slicing.begin(dumps, large, day, rules, largest_day)
    spreads = rules.oversize is Oversize.SPREAD
    alone = oversize.leaves_alone(large, others, day.account) if spreads and not forced else None
    ahead = _ahead_of_queue(smaller, forced, alone)
    first, _ = _release(ahead, slicing.left, alone)
    left = max(0, slicing.left - _net_bytes(first))
    price = shadow_price(known.values(), rules)
    queued = queue(others, QueueInputs(tuple(known.values()), rules, now, left, price, day.account.owed))
    last: list[Queued] = [(one, ReleaseRule.UNREAD_LINK) for one in larger]
    released, waiting = _release([*ahead, *queued, *last], slicing.left, alone)
    slices = slicing.today(_net_bytes(released), day, rules)
    large = [one for one in large if one is not alone and one is not slicing.begins]
    rejections = _after_release(rejections, released, waiting)
    return Plan(
        day,
        (
            *[_released(one, rules, now) for one in released],
            *([] if slicing.begins is None else [_begun(slicing.begins, slices)]),
            *_without_room([one for one in waiting if not one.candidate.vm.unread_link_bytes], day, rules),
            *(oversize.not_alone(large, others, day, rules) if spreads else slicing.waiting(large, day, rules)),
            *[_rejected(rejection, slices) for rejection in rejections],
        ),
        price,
    )


def _examine(
    eligibility: Eligibility, vms: Mapping[str, Vm], dumps: Iterable[Dump]
) -> tuple[list[Candidate], list[Rejection]]:
    candidates, rejections = [], []
    for name, own in _by_vm(dumps).items():
        if name not in vms:
            raise ValueError(f"dump {own[0].dump_id} is of {name!r}, which is not among the VMs")
        for answer in eligibility.examine(vms[name], own):
            if isinstance(answer, Candidate):
                candidates.append(answer)
            else:
                rejections.append(answer)
    return candidates, rejections


def _by_vm(dumps: Iterable[Dump]) -> dict[str, list[Dump]]:
    groups: dict[str, list[Dump]] = defaultdict(list)
    for dump in dumps:
        groups[dump.vm].append(dump)
    return groups


# --- releasing in order


class _Position(NamedTuple):
    """A candidate at its queue position, the bytes that were left of the day, and the rule by which it is there."""

    candidate: Candidate
    position: int
    left: int
    rule: ReleaseRule


def _ahead_of_queue(
    superseding: Iterable[Candidate], forced: Iterable[Candidate], alone: Candidate | None
) -> list[Queued]:
    """What only makes room, and then what is forced or has the day for itself."""
    ahead: list[Queued] = [(one, ReleaseRule.UNREAD_LINK) for one in superseding]
    if alone is not None:
        return [*ahead, (alone, ReleaseRule.OVERSIZE)]
    return [*ahead, *((one, ReleaseRule.FORCED) for one in forced)]


def _release(
    ordered: Iterable[Queued], balance: int, alone: Candidate | None
) -> tuple[list[_Position], list[_Position]]:
    """Those of ``ordered`` that fit into what is left or may exceed it, as ``alone`` may; and the others.

    ``balance`` are the bytes left; negative where more was released than the limit: what an unread link gives back pays
    that first.
    """
    released: list[_Position] = []
    waiting: list[_Position] = []
    for position, (candidate, rule) in enumerate(ordered, 1):
        size = candidate.net_bytes
        left = max(0, balance)
        if size <= left:
            released.append(_Position(candidate, position, left, rule))
            balance -= size
        elif candidate is alone or candidate.may_exceed_limit:
            released.append(_Position(candidate, position, left, rule))
            balance = 0
        else:
            waiting.append(_Position(candidate, position, left, rule))
    return released, waiting


def _net_bytes(released: Sequence[_Position]) -> int:
    return sum([one.candidate.net_bytes for one in released])


def _after_release(
    rejections: Sequence[Rejection], released: Sequence[_Position], waiting: Sequence[_Position]
) -> list[Rejection]:
    """The rejections by VM, with those that follow from what is released and what is not."""
    stuck = superseding_links([one.candidate for one in waiting])
    superseding = superseding_links([one.candidate for one in released])
    found = with_superseded([*rejections, *map(waits_for_its_link, stuck)], superseding)
    return sorted(found, key=lambda rejection: rejection.dump.vm)  # stable: a VM's stay newest first


# --- decisions


def _released(one: _Position, rules: Rules, now: float) -> Decision:
    candidate, position, left, rule = one
    dump, (vm, target, age, _), late = candidate
    exceeding = max(0, candidate.net_bytes - left)
    over_limit, debt = (exceeding, 0) if candidate.may_exceed_limit else (0, exceeding)
    sentence = explanations.release(age, target) if vm.forced is None else explanations.forced(over_limit)
    if vm.unread_link_bytes:
        sentence = f"{sentence}{explanations.supersedes_link(vm.outstanding_since_day)}"
    if debt:
        sentence = f"{sentence}{explanations.alone(dump.bytes, debt)}"
    if late and rules.max_dump_age is not None:
        sentence = f"{sentence}{explanations.late_release(now - dump.dump_time, rules.max_dump_age)}"
    return Decision(
        dump,
        vm.backup_set,
        Reason.RELEASED,
        sentence,
        target,
        age,
        position,
        over_limit=over_limit,
        debt=debt,
        rule=rule,
    )


def _without_room(waiting: Sequence[_Position], day: Day, rules: Rules) -> Iterator[Decision]:
    sizes = [one.candidate.dump.bytes for one in waiting]
    ahead = first_days_that_fit(sizes, rules.coming_days(day.account.owed)) if sizes else []
    for ((dump, (vm, target, age, _), _), position, left, _), days in zip(waiting, ahead, strict=True):
        sentence = explanations.limit_reached(dump.bytes, left)
        leaves = None if days is None else day.number + days
        yield Decision(dump, vm.backup_set, Reason.LIMIT_REACHED, sentence, target, age, position, leaves)


def _begun(candidate: Candidate, slices: Mapping[int, Slice]) -> Decision:
    dump, (vm, target, age, _), _ = candidate
    own = slices[dump.dump_id]
    return Decision(
        dump,
        vm.backup_set,
        Reason.RELEASED,
        f"{explanations.release(age, target)}; {explanations.slice_of_today(dump.bytes, own)}",
        target,
        age,
        forecast_day=own.complete_on,
        rule=ReleaseRule.OVERSIZE,
        slice=own,
    )


def _rejected(rejection: Rejection, slices: Mapping[int, Slice]) -> Decision:
    dump, (vm, target, age, _), reason, sentence = rejection
    own = slices.get(dump.dump_id) if slices else None
    if own is None:
        return Decision(dump, vm.backup_set, reason, sentence, target, age)
    sentence = f"{sentence}; {explanations.slice_of_today(dump.bytes, own)}"
    return Decision(dump, vm.backup_set, reason, sentence, target, age, forecast_day=own.complete_on, slice=own)
