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

    ``room`` is what is left of today, ``coming`` what the coming days may let out, in bytes; ``price`` is what
    ``price.fair_price`` says of ``vms``, all VMs that are not retired.
    """

    vms: Sequence[Vm]
    rules: Rules
    now: float
    room: int
    price: float


def in_turn(candidates: Sequence[Candidate], line: Line) -> list[Chosen]:
    """``candidates`` in the order of their turns (DESIGN 6.1), in whatever order they come."""
    ordered = sorted(candidates, key=_size_and_name)
    urgent, in_need = _urgent(ordered, line)
    room = line.room
    out: list[int] = []
    for place in urgent:
        if ordered[place].dump.bytes <= room:
            room -= ordered[place].dump.bytes
            out.append(place)
    taken, passed = set(out), set(urgent)
    missed = [place for place in urgent if place not in taken]
    others = [place for place in range(len(ordered)) if place not in passed]
    worth, rest = _by_worth(ordered, others, line, room, in_need=in_need)
    return [
        *[Chosen(ordered[place], Choice.DEADLINE) for place in out],
        *[Chosen(ordered[place], Choice.WORTH) for place in worth],
        *[Chosen(ordered[place], Choice.FITS) for place in (*missed, *rest)],
    ]


def _size_and_name(candidate: Candidate) -> tuple[int, str]:
    """Equal ones have their turns in this order; a VM has one candidate at most."""
    return candidate.dump.bytes, candidate.dump.vm


def _urgent(candidates: Sequence[Candidate], line: Line) -> tuple[list[int], bool]:
    """The places of those that must leave today; none, and True, where the targets cannot all be met."""
    deadlines = []
    for place, (dump, (_, target, _, age), _) in enumerate(candidates):
        days = days_left(age, target)
        if days <= HORIZON:
            deadlines.append(Deadline(days, -age / target, dump.bytes, place))
    late = sum([one.size for one in deadlines if one.days == 0])
    if deadlines and (late > line.rules.mean_day or density(line.vms, line.rules).value > DENSE):
        return [], True
    return must_leave(deadlines, line.rules.coming_days()), False


def _by_worth(
    candidates: Sequence[Candidate], places: Sequence[int], line: Line, room: int, *, in_need: bool
) -> tuple[list[int], list[int]]:
    """Of ``places`` those of the best set for ``room`` bytes, and the others; both by value per byte."""
    offers = [(_offer(candidates[place], line.now, in_need=in_need), place) for place in places]
    valued = [(value(offer, line.price), offer, place) for offer, place in offers]
    valued.sort(key=lambda one: -one[0] / one[1].size)
    packable = [one for one in valued if one[0] > 0 and one[1].size <= room]
    best = best_set([Item(worth, offer.size) for worth, offer, _ in packable], room)
    if not in_need:
        rooms = room, next(line.rules.coming_days())
        present = [offer for _, offer, _ in packable]
        best = best_of_two_days(present, best, _expected(candidates, line), rooms, line.price)
    worth = [packable[index][2] for index in best]
    taken = set(worth)
    return worth, [place for _, _, place in valued if place not in taken]


def _expected(candidates: Sequence[Candidate], line: Line) -> Iterable[Offer]:
    """What VMs that have no candidate now will have tomorrow, as far as their periods tell."""
    present = {candidate.dump.vm for candidate in candidates}
    for vm in line.vms:
        step = step_of(vm)
        if vm.vm not in present and vm.offsite_time is not None and line.now + DAY - vm.offsite_time >= step:
            yield Offer(max(1, vm.bytes), step, step, step)


def _offer(candidate: Candidate, now: float, *, in_need: bool) -> Offer:
    dump, (vm, target, _, age), _ = candidate
    step, made = step_of(vm), max(0.0, now - dump.dump_time)
    due = min(step, max(DAY, step - made))
    return Offer(max(1, dump.bytes), max(1.0, age - made), step, due, weight(age, target) if in_need else 1.0)
