"""The decision of a pass: which dumps leave now, and for every other dump why not."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from core.enums import Choice, Oversize, Reason
from policy.planner import explanations, oversize, slices, swaps
from policy.planner.eligibility import Candidate, Eligibility, Rejection
from policy.planner.model import Day, Decision, Dump, Plan, Rules, Slice, Vm
from policy.planner.ordering import Chosen, Line, in_turn
from policy.planner.precedence import forced_first, may_exceed
from policy.planner.price import fair_price
from policy.planner.room import first_days
from policy.planner.staleness import full_set_days


def decide(vms: Iterable[Vm], dumps: Iterable[Dump], day: Day, rules: Rules, now: float) -> Plan:
    """What leaves at ``now`` (seconds since the epoch) and why, and why each other of the ``dumps`` does not.

    ``vms`` are all VMs that are not retired, each name once, also those without a dump: the implied targets
    look at the whole set. The plan has exactly one decision for each dump: the granted and then those that do
    not fit, both in the order of turns; then the rest by VM, newest first. The granted bytes never exceed
    ``day.account.left`` but for what the admin forces above it and for a debt; what does not fit never keeps a later
    one from leaving (DESIGN 6).

    A dump is oversize when neither today nor a coming day could let it out whole: limit less reserve, of the
    open day or of the largest coming one, whichever is more. One that a limit raised today will hold just waits.
    Where the rules say so an oversize one leaves alone and in debt (``spread``), or in parts (``slices``).

    Raises ValueError for a dump whose VM is not among ``vms``.
    """
    known = {vm.vm: vm for vm in vms}
    dumps = tuple(dumps)
    whole_day = max(day.account.whole, rules.largest_day)
    eligibility = Eligibility(rules, now, whole_day, full_set_days(known.values(), rules))
    candidates, rejections = _sift(eligibility, known, dumps)
    lighter, turns, heavier = swaps.by_weight(candidates)
    heavy, others = oversize.by_weight(turns, whole_day)
    forced, others = forced_first(others)
    slicing = _Slicing.begin(dumps, heavy, day, rules, whole_day)
    spreads = rules.oversize is Oversize.SPREAD
    alone = oversize.leaves_alone(heavy, others, day.account) if spreads and not forced else None
    ahead: list[Chosen] = [(one, None) for one in (*lighter, *(forced if alone is None else [alone]))]
    first, _ = _give_turns(ahead, slicing.left, alone)
    room = max(0, slicing.left - sum([candidate.weight for candidate, *_ in first]))
    price = fair_price(known.values(), rules)
    chosen = in_turn(others, Line(tuple(known.values()), rules, now, room, price, day.account.owed))
    last: list[Chosen] = [(one, None) for one in heavier]
    released, waiting = _give_turns([*ahead, *chosen, *last], slicing.left, alone)
    sliced = slicing.end(sum([candidate.weight for candidate, *_ in released]), day, rules)
    heavy = [one for one in heavy if one is not alone and one is not slicing.begins]
    swapped = swaps.of([candidate for candidate, *_ in released])
    stuck = swaps.of([candidate for candidate, *_ in waiting])
    rejections = swaps.left_behind([*rejections, *map(swaps.waits, stuck)], swapped)
    rejections.sort(key=lambda rejection: rejection.dump.vm)  # stable: a VM's stay newest first
    return Plan(
        day,
        (
            *[_granted(turn, rules, now) for turn in released],
            *([] if slicing.begins is None else [_begun(slicing.begins, sliced)]),
            *_without_room([turn for turn in waiting if not turn[0].standing.vm.swap_bytes], day, rules),
            *(oversize.held(heavy, others, day, rules) if spreads else slicing.held(heavy, day, rules)),
            *[_refused(rejection, sliced) for rejection in rejections],
        ),
        price,
    )


class _Slicing(NamedTuple):
    """The dumps that leave in slices, what is kept free of today for each, and what is ``left`` for all others."""

    dumps: Sequence[Dump]
    begins: Candidate | None
    kept: Mapping[int, int]
    left: int
    whole_day: int

    @classmethod
    def begin(
        cls, dumps: Sequence[Dump], heavy: Sequence[Candidate], day: Day, rules: Rules, whole_day: int
    ) -> "_Slicing":
        """Before the others have their turns."""
        found = slices.under_way(dumps)
        free = day.account.without_slices
        has_the_days = any(dump.bytes > whole_day for dump in found)
        new = None if has_the_days else slices.begins(heavy, rules)
        kept = slices.kept_free([*found, *([] if new is None else [new.dump])], free, whole_day)
        if new is not None and not kept[new.dump.dump_id]:
            new = None
        sliced = [*found, *([] if new is None else [new.dump])]
        return cls(sliced, new, kept, free.balance - sum(kept.values()), whole_day)

    def end(self, taken: int, day: Day, rules: Rules) -> Mapping[int, Slice]:
        """When the others have ``taken`` so many bytes."""
        return slices.of_today(self.dumps, self.kept, max(0, self.left - taken), day, rules)

    def held(self, heavy: Sequence[Candidate], day: Day, rules: Rules) -> Iterator[Decision]:
        """Why the other heavy ones do not begin."""
        ahead = next((dump for dump in self.dumps if dump.bytes > self.whole_day), None)
        return slices.held(heavy, day, rules, ahead)


#: A candidate at its turn: its rank, and the bytes that were left of the day; and by which rule it has it.
_Turn = tuple[Candidate, int, int, Choice | None]


def _sift(
    eligibility: Eligibility, vms: Mapping[str, Vm], dumps: Iterable[Dump]
) -> tuple[list[Candidate], list[Rejection]]:
    candidates, rejections = [], []
    for name, own in _by_vm(dumps).items():
        if name not in vms:
            raise ValueError(f"dump {own[0].dump_id} is of {name!r}, which is not among the VMs")
        for answer in eligibility.sift(vms[name], own):
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


def _give_turns(ordered: Iterable[Chosen], balance: int, alone: Candidate | None) -> tuple[list[_Turn], list[_Turn]]:
    """Those of ``ordered`` that fit into what is left or may exceed it, as ``alone`` may; and the others.

    ``balance`` are the bytes left; negative where more was let out than the limit: what a swap gives back pays that
    first.
    """
    released: list[_Turn] = []
    waiting: list[_Turn] = []
    for rank, (candidate, choice) in enumerate(ordered, 1):
        weight = candidate.weight
        left = max(0, balance)
        if weight <= left:
            released.append((candidate, rank, left, choice))
            balance -= weight
        elif candidate is alone or may_exceed(candidate):
            released.append((candidate, rank, left, choice))
            balance = 0
        else:
            waiting.append((candidate, rank, left, choice))
    return released, waiting


def _granted(turn: _Turn, rules: Rules, now: float) -> Decision:
    candidate, rank, left, choice = turn
    dump, (vm, target, age, _), late = candidate
    exceeding = max(0, candidate.weight - left)
    beyond, debt = (exceeding, 0) if may_exceed(candidate) else (0, exceeding)
    told = explanations.grant(age, target) if vm.forced is None else explanations.forced(beyond)
    if vm.swap_bytes:
        told = f"{told}{explanations.swaps(vm.outstanding_since_day)}"
    if debt:
        told = f"{told}{explanations.alone(dump.bytes, debt)}"
    if late and rules.max_dump_age is not None:
        told = f"{told}{explanations.late_grant(now - dump.dump_time, rules.max_dump_age)}"
    return Decision(
        dump,
        vm.backup_set,
        Reason.RELEASED,
        told,
        target,
        age,
        rank,
        beyond=beyond,
        debt=debt,
        choice=choice,
    )


def _without_room(waiting: Sequence[_Turn], day: Day, rules: Rules) -> Iterator[Decision]:
    sizes = [candidate.dump.bytes for candidate, *_ in waiting]
    ahead = first_days(sizes, rules.coming_days(day.account.owed)) if sizes else []
    for ((dump, (vm, target, age, _), _), rank, left, _), days in zip(waiting, ahead, strict=True):
        told = explanations.limit_reached(dump.bytes, left)
        leaves = None if days is None else day.number + days
        yield Decision(dump, vm.backup_set, Reason.LIMIT_REACHED, told, target, age, rank, leaves)


def _begun(candidate: Candidate, sliced: Mapping[int, Slice]) -> Decision:
    dump, (vm, target, age, _), _ = candidate
    own = sliced[dump.dump_id]
    told = f"{explanations.grant(age, target)}; {_told_of(dump, own)}"
    return Decision(dump, vm.backup_set, Reason.RELEASED, told, target, age, forecast_day=own.whole_on, slice=own)


def _refused(rejection: Rejection, sliced: Mapping[int, Slice]) -> Decision:
    dump, (vm, target, age, _), reason, told = rejection
    own = sliced.get(dump.dump_id) if sliced else None
    if own is not None:
        told = f"{told}; {_told_of(dump, own)}"
    leaves = None if own is None else own.whole_on
    return Decision(dump, vm.backup_set, reason, told, target, age, forecast_day=leaves, slice=own)


def _told_of(dump: Dump, own: Slice) -> str:
    return explanations.slice_of_today(dump.bytes, own.first, own.bytes, own.whole_on)
