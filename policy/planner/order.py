"""Which candidate has its turn first: deadlines, then the set of most worth, then what still fits.

The pass gives turns in this order and lets out whatever still fits. So nothing is left behind that would have
fitted, whatever is thought of here.

1. Deadline: what cannot be left to the coming days without a target being missed (``lane``).
2. Worth: of all others, the set of highest value (``value``) that fits what is left (``packing``).
3. Fits: the others by value per byte.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from policy.planner.candidates import Candidate
from policy.planner.lane import DENSE, HORIZON, Deadline, days_left, must_leave, weight
from policy.planner.packing import Item, best_set
from policy.planner.price import step_of
from policy.planner.records import Rules, Vm
from policy.planner.targets import DAY, density
from policy.planner.tomorrow import best_of_two_days
from policy.planner.value import Offer, value
from tidegate.terms import Choice


class Chosen(NamedTuple):
    """A candidate and by which rule it has its turn."""

    candidate: Candidate
    choice: Choice | None


class Line(NamedTuple):
    """What the order of turns depends on besides the candidates.

    ``room`` is what is left of today and ``owed`` what the coming days pay before they let anything out, in bytes;
    ``price`` is what ``price.fair_price`` says of ``vms``, all VMs that are not retired.
    """

    vms: Sequence[Vm]
    rules: Rules
    now: float
    room: int
    price: float
    owed: int = 0


def in_turn(candidates: Sequence[Candidate], line: Line) -> list[Chosen]:
    """``candidates`` in the order of their turns (DESIGN 6.1), in whatever order they come. A VM has one at most."""
    urgent, in_need = _urgent(candidates, line)
    room = line.room
    out: list[Candidate] = []
    missed: list[Candidate] = []
    for candidate in urgent:
        fits = candidate.dump.bytes <= room
        (out if fits else missed).append(candidate)
        room -= candidate.dump.bytes if fits else 0
    passed = {candidate.dump.vm for candidate in urgent}
    others = [one for one in candidates if one.dump.vm not in passed] if passed else candidates
    worth, rest = _by_worth(others, line, room, in_need=in_need)
    return [
        *[Chosen(candidate, Choice.DEADLINE) for candidate in out],
        *[Chosen(candidate, Choice.WORTH) for candidate in worth],
        *[Chosen(candidate, Choice.FITS) for candidate in (*missed, *rest)],
    ]


def _urgent(candidates: Sequence[Candidate], line: Line) -> tuple[list[Candidate], bool]:
    """Those that must leave today, the first due first; none, and True, where the targets cannot all be met."""
    deadlines = []
    for place, (dump, (vm, target, _, age), _) in enumerate(candidates):
        if target - age < HORIZON * DAY:
            deadlines.append(Deadline(days_left(age, target), -age / target, dump.bytes, vm.vm, place))
    late = sum([one.size for one in deadlines if one.days == 0])
    if deadlines and (late > line.rules.mean_day or density(line.vms, line.rules).value > DENSE):
        return [], True
    return [candidates[one.place] for one in must_leave(deadlines, line.rules.coming_days(line.owed))], False


class _Valued(NamedTuple):
    """A candidate by its value per byte; of equal ones the smaller is first, then by name."""

    thin: float
    size: int
    name: str
    value: float
    offer: Offer
    candidate: Candidate


def _by_worth(
    candidates: Sequence[Candidate], line: Line, room: int, *, in_need: bool
) -> tuple[list[Candidate], list[Candidate]]:
    """Those of the best set for ``room`` bytes, and the others; both by value per byte."""
    valued = sorted([_valued(candidate, line, in_need=in_need) for candidate in candidates])
    packable = [one for one in valued if one.value > 0 and one.size <= room]
    best = best_set([Item(one.value, one.size) for one in packable], room)
    if not in_need:
        rooms = room, next(line.rules.coming_days(line.owed))
        present = [one.offer for one in packable]
        best = best_of_two_days(present, best, _expected(candidates, line), rooms, line.price)
    worth = [packable[index] for index in best]
    taken = {one.name for one in worth}
    return [one.candidate for one in worth], [one.candidate for one in valued if one.name not in taken]


def _valued(candidate: Candidate, line: Line, *, in_need: bool) -> _Valued:
    dump, (vm, target, _, age), _ = candidate
    size, step, made = max(1, dump.bytes), step_of(vm), max(0.0, line.now - dump.dump_time)
    due = min(step, max(DAY, step - made))
    offer = Offer(size, max(1.0, age - made), step, due, weight(age, target) if in_need else 1.0)
    worth = value(offer, line.price)
    return _Valued(-worth / size, size, vm.vm, worth, offer, candidate)


def _expected(candidates: Sequence[Candidate], line: Line) -> Iterable[Offer]:
    """What VMs that have no candidate now will have tomorrow, as far as their periods tell."""
    present = {candidate.dump.vm for candidate in candidates}
    for vm in line.vms:
        step = step_of(vm)
        if vm.vm not in present and vm.offsite_time is not None and line.now + DAY - vm.offsite_time >= step:
            yield Offer(max(1, vm.bytes), step, step, step)
