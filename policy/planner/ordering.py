"""Which candidate has its turn first: deadlines, then the set of most worth, then what still fits.

The pass gives turns in this order and lets out whatever still fits. So nothing is left behind that would have
fitted, whatever is thought of here.

1. Deadline: what cannot be left to the coming days without a target being missed (``lane``).
2. Worth: of all others, the set of highest value (``value``) that fits what is left (``packing``).
3. Fits: the others by value per byte.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from core.enums import Choice
from policy.planner.eligibility import Candidate
from policy.planner.knapsack import Item, best_set
from policy.planner.lane import DENSE, HORIZON, Deadline, days_left, lateness, must_leave
from policy.planner.model import Rules, Vm
from policy.planner.price import step_of
from policy.planner.staleness import DAY, density
from policy.planner.tomorrow import FEW, best_of_two_days
from policy.planner.value import Offer, value

#: A candidate and by which rule it has its turn.
Chosen = tuple[Candidate, Choice | None]


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
        *zip(out, repeat(Choice.DEADLINE), strict=False),
        *zip(worth, repeat(Choice.WORTH), strict=False),
        *zip(chain(missed, rest), repeat(Choice.FITS), strict=False),
    ]


def _urgent(candidates: Sequence[Candidate], line: Line) -> tuple[list[Candidate], bool]:
    """Those that must leave today, the first due first; none, and True, where the targets cannot all be met."""
    deadlines = []
    for place, (dump, (vm, target, _, age), _) in enumerate(candidates):
        if target - age < HORIZON * DAY:
            deadlines.append(Deadline(days_left(age, target), -age / target, dump.bytes, vm.vm, place))
    late = sum([one.size for one in deadlines if one.left < -1])
    if deadlines and (late > line.rules.mean_day or density(line.vms, line.rules).value > DENSE):
        return [], True
    return [candidates[one.place] for one in must_leave(deadlines, line.rules.coming_days(line.owed))], False


#: A candidate behind its value per byte (negative: the highest is first), its size, its VM and its value. So it is
#: sorted; a plain tuple, since there is one for each candidate.
_Valued = tuple[float, int, str, float, Candidate]


def _by_worth(
    candidates: Sequence[Candidate], line: Line, room: int, *, in_need: bool
) -> tuple[list[Candidate], list[Candidate]]:
    """Those of the best set for ``room`` bytes, and the others; both by value per byte."""
    valued = sorted(_valued(candidates, line, in_need=in_need))
    packable = [one for one in valued if one[3] > 0 and one[1] <= room]
    best = best_set([Item(worth, size) for _, size, _, worth, _ in packable], room)
    if not in_need and len(best) <= FEW:
        rooms = room, next(line.rules.coming_days(line.owed))
        present = [Offer(*_offered(one[4], line.now)) for one in packable]
        best = best_of_two_days(present, best, _expected(candidates, line), rooms, line.price)
    worth = [packable[index][4] for index in best]
    taken = {candidate.dump.vm for candidate in worth}
    return worth, [one[4] for one in valued if one[2] not in taken]


def _valued(candidates: Iterable[Candidate], line: Line, *, in_need: bool) -> Iterator[_Valued]:
    now, price = line.now, line.price
    for candidate in candidates:
        offered, (vm, target, _, age) = _offered(candidate, now), candidate.standing
        size = offered[0]
        worth = size * lateness(age, target) if in_need else value(offered, price)
        yield -worth / size, size, vm.vm, worth, candidate


def _offered(candidate: Candidate, now: float) -> tuple[int, float, float, float]:
    """Its ``Offer``, of which nothing is nothing."""
    dump, (vm, _, _, age), _ = candidate
    step, made = step_of(vm), max(0.0, now - dump.dump_time)
    return dump.bytes or 1, max(1.0, age - made), step, max(DAY, step - made)


def _expected(candidates: Sequence[Candidate], line: Line) -> Iterable[Offer]:
    """What VMs that have no candidate now will have tomorrow, as far as their periods tell."""
    present = {candidate.dump.vm for candidate in candidates}
    for vm in line.vms:
        step = step_of(vm)
        if vm.vm not in present and vm.offsite_time is not None and line.now + DAY - vm.offsite_time >= step:
            yield Offer(max(1, vm.bytes), step, step, step)
