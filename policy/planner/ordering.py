"""The queue: which candidate comes first.

The pass releases in this order whatever still fits. So nothing is left behind that would have fitted, whatever is
decided here.

1. Forced: by the admin.
2. Deadline: what cannot be left to the coming days without a target being missed.
3. Utility: of all others, the set of highest utility (``price``) that fits into what is left (``knapsack``).
4. Fits: the others by utility per byte.

No more than must leave is released for a deadline: each deadline of the coming days is given to the days that are left
until it, and only what does not fit into these leaves today. It goes by part of each coming day (``RELIED_ON``): dumps
cannot be cut, and the days bring surprises.

Where targets ask for more than the limit, deadlines would release the late ones, in their order, and make everybody
late in turn. There a byte is worth how late its VM is by its own target, and the day is filled with the latest: that
spreads the delay in proportion to the targets.

Where a day holds many dumps, whatever is left over today finds its place tomorrow, and the best set of each day by
itself is as good as it gets. Where it holds a few, today's set decides what tomorrow can be filled with: 0.6 and 0.4
of a limit are better kept together than the 0.6 with 0.3 today and 0.4 alone tomorrow. So the best set is compared
with others near it, each together with the best set of tomorrow, with the dumps that are expected then.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, repeat
from typing import NamedTuple

from core.enums import ReleaseRule
from policy.planner.eligibility import Candidate
from policy.planner.knapsack import Item, best_set
from policy.planner.model import Rules, Vm
from policy.planner.price import Offer, dump_interval, utility
from policy.planner.staleness import DAY, density

#: A candidate and the rule by which it has its queue position.
Queued = tuple[Candidate, ReleaseRule]


class QueueInputs(NamedTuple):
    """What the order depends on besides the candidates.

    ``left`` is what is left of today and ``owed`` what the coming days pay before they release anything, in bytes;
    ``price`` is the ``price.shadow_price`` of ``vms``, all VMs that are not retired.
    """

    vms: Sequence[Vm]
    rules: Rules
    now: float
    left: int
    price: float
    owed: int = 0


def forced_first(candidates: Sequence[Candidate]) -> tuple[list[Candidate], Sequence[Candidate]]:
    """The forced ones of ``candidates`` in the order in which they leave, and the others as they came.

    Those that may exceed the limit are last of the forced: what they take beyond it is then no more than it must be.
    Of equal ones the smaller is first, then by name.
    """
    forced = [candidate for candidate in candidates if candidate.is_forced]
    if not forced:
        return forced, candidates
    return sorted(forced, key=_forced_order), [candidate for candidate in candidates if not candidate.is_forced]


def _forced_order(candidate: Candidate) -> tuple[bool, int, str, str, int]:
    dump = candidate.dump
    return candidate.may_exceed_limit, dump.bytes, dump.vm, dump.path, dump.dump_id


def queue(candidates: Sequence[Candidate], inputs: QueueInputs) -> list[Queued]:
    """``candidates`` in the order in which they leave, in whatever order they come. A VM has one at most."""
    urgent, is_overloaded = _urgent(candidates, inputs)
    left = inputs.left
    out: list[Candidate] = []
    missed: list[Candidate] = []
    for candidate in urgent:
        fits = candidate.dump.bytes <= left
        (out if fits else missed).append(candidate)
        left -= candidate.dump.bytes if fits else 0
    passed = {candidate.dump.vm for candidate in urgent}
    others = [one for one in candidates if one.dump.vm not in passed] if passed else candidates
    best, rest = _by_utility(others, inputs, left, is_overloaded=is_overloaded)
    return [
        *zip(out, repeat(ReleaseRule.DEADLINE), strict=False),
        *zip(best, repeat(ReleaseRule.UTILITY), strict=False),
        *zip(chain(missed, rest), repeat(ReleaseRule.FITS), strict=False),
    ]


# --- deadlines

#: How many coming days are looked at.
HORIZON = 14

#: The part of each coming day that deadlines are expected to find.
RELIED_ON = 0.8

#: Targets that need more of the limit than this are taken for more than it can keep.
DENSE = 0.95

#: Up to so many targets of age a tenth later is worth seventeen times as much, and beyond them half as much again:
#: no size is so large that it could keep a small one back for ever.
LATEST, STEEP, LESS_STEEP = 20.0, 30, 4

#: Beyond so many targets nothing is later. The target is a second then, or the clock wrong.
_ABSURD = 1e9


class Deadline(NamedTuple):
    """One dump that must leave in ``days`` at the latest; ``place`` is where the caller has it.

    ``left`` is the less, the more of its target the age of its copy is. Of equal ones the smaller is first, then by
    name.
    """

    days: int
    left: float
    size: int
    name: str
    place: int


def days_left(age: float, target: float) -> int:
    """On which coming day a dump must leave at the latest, 0 being today: the last before its copy is too old.

    A copy that reaches its target between two passes is renewed by the earlier one.
    """
    return max(0, int((target - age) / DAY))


def must_leave(deadlines: Iterable[Deadline], coming: Iterable[int]) -> list[Deadline]:
    """The dumps that cannot be left to the coming days, of so many bytes each; the first due first.

    What is due until a day and is more than the days until then can release is too much; the first due, up to the
    most that is too much, leave today.
    """
    ordered = sorted(one for one in deadlines if one.days <= HORIZON)
    capacities = iter(coming)
    day, due, capacity, too_much = 0, 0, 0, 0.0
    for one in ordered:
        while day < one.days:
            day, capacity = day + 1, capacity + next(capacities)
        due += one.size
        too_much = max(too_much, due - RELIED_ON * capacity)
    due_before = accumulate((one.size for one in ordered), initial=0)
    return [one for one, before in zip(ordered, due_before, strict=False) if before < too_much]


def lateness(age: float, target: float) -> float:
    """What a byte is worth in overload, by the part of its target that the age of its VM's copy is.

    So steep that the latest leave first; what fits beside them is chosen by how well it fills the day.
    """
    late = min(age / target, _ABSURD)
    return min(late, LATEST) ** STEEP * max(1.0, late / LATEST) ** LESS_STEEP


def _urgent(candidates: Sequence[Candidate], inputs: QueueInputs) -> tuple[list[Candidate], bool]:
    """Those that must leave today, the first due first; none, and True, where the targets cannot all be met."""
    deadlines = []
    for place, (dump, (vm, target, _, age), _) in enumerate(candidates):
        if target - age < HORIZON * DAY:
            deadlines.append(Deadline(days_left(age, target), -age / target, dump.bytes, vm.vm, place))
    late = sum([one.size for one in deadlines if one.left < -1])
    if deadlines and (late > inputs.rules.mean_day or density(inputs.vms, inputs.rules).value > DENSE):
        return [], True
    return [candidates[one.place] for one in must_leave(deadlines, inputs.rules.coming_days(inputs.owed))], False


# --- utility

#: A candidate behind its utility per byte (negative: the highest is first), its size, its VM and its utility. So it is
#: sorted; a plain tuple, since there is one for each candidate.
_Valued = tuple[float, int, str, float, Candidate]


def _by_utility(
    candidates: Sequence[Candidate], inputs: QueueInputs, left: int, *, is_overloaded: bool
) -> tuple[list[Candidate], list[Candidate]]:
    """Those of the best set for the ``left`` bytes, and the others; both by utility per byte."""
    valued = sorted(_valued(candidates, inputs, is_overloaded=is_overloaded))
    packable = [one for one in valued if one[3] > 0 and one[1] <= left]
    best = best_set([Item(worth, size) for _, size, _, worth, _ in packable], left)
    if not is_overloaded and len(best) <= FEW:
        capacities = left, next(inputs.rules.coming_days(inputs.owed))
        present = [Offer(*_offered(one[4], inputs.now)) for one in packable]
        best = best_of_two_days(present, best, _expected(candidates, inputs), capacities, inputs.price)
    chosen = [packable[index][4] for index in best]
    taken = {candidate.dump.vm for candidate in chosen}
    return chosen, [one[4] for one in valued if one[2] not in taken]


def _valued(candidates: Iterable[Candidate], inputs: QueueInputs, *, is_overloaded: bool) -> Iterator[_Valued]:
    now, price = inputs.now, inputs.price
    for candidate in candidates:
        offered, (vm, target, _, age) = _offered(candidate, now), candidate.staleness
        size = offered[0]
        worth = size * lateness(age, target) if is_overloaded else utility(offered, price)
        yield -worth / size, size, vm.vm, worth, candidate


def _offered(candidate: Candidate, now: float) -> tuple[int, float, float, float]:
    """Its ``Offer``, of which nothing is nothing."""
    dump, (vm, _, _, age), _ = candidate
    interval, made = dump_interval(vm), max(0.0, now - dump.dump_time)
    return dump.bytes or 1, max(1.0, age - made), interval, max(DAY, interval - made)


def _expected(candidates: Sequence[Candidate], inputs: QueueInputs) -> Iterable[Offer]:
    """What VMs that have no candidate now will have tomorrow, by their periods."""
    present = {candidate.dump.vm for candidate in candidates}
    for vm in inputs.vms:
        interval = dump_interval(vm)
        if vm.vm not in present and vm.offsite_time is not None and inputs.now + DAY - vm.offsite_time >= interval:
            yield Offer(max(1, vm.bytes), interval, interval, interval)


# --- look-ahead: whether another set today leaves a better day tomorrow, for days that a few dumps fill

#: A set of more dumps than this is taken as it is.
FEW = 12

#: So many of the set's largest are left out one by one, and so many of the densest others are put in.
TRIED = 5


class _Tomorrow(NamedTuple):
    """What a dump of today is tomorrow. ``late`` is what it costs that it has not left before."""

    item: Item | None
    late: float


class _Option(NamedTuple):
    """One dump of today: what it is worth, and what there is of its VM tomorrow, if it leaves and if it waits."""

    item: Item
    out: _Tomorrow
    waits: _Tomorrow


def best_of_two_days(
    offers: Sequence[Offer], best: Sequence[int], expected: Iterable[Offer], capacities: tuple[int, int], price: float
) -> list[int]:
    """The places in ``offers`` of the set that is best together with tomorrow's; ``capacities`` are the days' bytes.

    ``offers`` come by utility per byte, each of them fits and is worth something; ``best`` are the places of the best
    set of today alone. ``expected`` are the dumps that VMs without an offer today will have tomorrow.
    """
    today, tomorrow = capacities
    if len(best) == len(offers) or len(best) > FEW:
        return list(best)
    options = [_option(offer, price) for offer in offers]
    sure = [_tomorrow(offer, price) for offer in expected]
    # max takes the first of equals: the best set of today.
    return max(_sets(options, best, today), key=lambda chosen: _worth(options, chosen, sure, tomorrow))


def _sets(options: Sequence[_Option], best: Sequence[int], capacity: int) -> Iterable[list[int]]:
    """The best set; the best ones without one of its largest; and the best ones with one that it has not."""
    yield list(best)
    items = [option.item for option in options]
    for place in sorted(best, key=lambda place: -items[place].size)[:TRIED]:
        yield _filled(items, [], place, capacity)
    chosen = set(best)
    for place in [place for place in range(len(items)) if place not in chosen][:TRIED]:
        yield _filled(items, [place], place, capacity)


def _filled(items: Sequence[Item], kept: list[int], but: int, capacity: int) -> list[int]:
    """``kept`` and the best set of all but the place ``but`` for what they leave over; then what still fits."""
    left = capacity - sum(items[place].size for place in kept)
    places = [place for place in range(len(items)) if place != but]
    chosen = kept + [places[index] for index in best_set([items[place] for place in places], left)]
    left = capacity - sum(items[place].size for place in chosen)
    for place in [*places, but]:
        if place not in chosen and items[place].size <= left:
            chosen.append(place)
            left -= items[place].size
    return sorted(chosen)


def _worth(options: Sequence[_Option], chosen: Iterable[int], sure: Sequence[_Tomorrow], capacity: int) -> float:
    """What today's ``chosen`` and the best set of tomorrow are worth, less what will be late tomorrow."""
    out = set(chosen)
    ahead = [one.out if place in out else one.waits for place, one in enumerate(options)] + list(sure)
    items = [one.item for one in ahead if one.item is not None and one.item.value > 0 and one.item.size <= capacity]
    items.sort(key=lambda item: -item.value / item.size)
    today = sum(options[place].item.value for place in out)
    return today + sum(items[place].value for place in best_set(items, capacity)) - sum(one.late for one in ahead)


def _option(offer: Offer, price: float) -> _Option:
    size, gain, interval, due = offer
    if due > DAY:
        waits, out = offer._replace(due=max(DAY, due - DAY)), _Tomorrow(None, 0.0)
    else:
        waits = offer._replace(gain=gain + interval, due=interval)
        out = _tomorrow(offer._replace(gain=interval, due=interval), price)
    return _Option(Item(utility(offer, price), size), out, _tomorrow(waits, price))


def _tomorrow(offer: Offer, price: float) -> _Tomorrow:
    worth = utility(offer, price)
    return _Tomorrow(Item(worth, offer.size), max(0.0, worth - price * offer.size))
