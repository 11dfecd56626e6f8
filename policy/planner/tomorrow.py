"""Whether another set today leaves a better day tomorrow: for days that a few dumps fill.

Where a day holds many dumps, whatever is left over today finds its place tomorrow, and the best set of each day by
itself is as good as it gets. Where it holds a few, today's set decides what tomorrow can be filled with: 0.6 and 0.4
of a limit are better kept together than the 0.6 with 0.3 today and 0.4 alone tomorrow. So the best set is compared
with others near it, each together with the best set of tomorrow, with the dumps that are expected then.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from policy.planner.knapsack import Item, best_set
from policy.planner.staleness import DAY
from policy.planner.value import Offer, value

#: A set of more dumps than this is taken as it is.
FEW = 12

#: So many of the set's largest are left out in turn, and so many of the densest others are put in.
TRIED = 5


class _Next(NamedTuple):
    """What a dump of today is tomorrow. ``late`` is what it costs that it has not left before."""

    item: Item | None
    late: float


class _Choice(NamedTuple):
    """One dump of today: what it is worth, and what there is of its VM tomorrow, if it leaves and if it waits."""

    item: Item
    out: _Next
    waits: _Next


def best_of_two_days(
    offers: Sequence[Offer], best: Sequence[int], expected: Iterable[Offer], rooms: tuple[int, int], price: float
) -> list[int]:
    """The places in ``offers`` of the set that is best together with tomorrow's; ``rooms`` are the two days' bytes.

    ``offers`` come by value per byte, each of them fits and is worth something; ``best`` are the places of the best
    set of today alone. ``expected`` are the dumps that VMs without an offer today will have tomorrow.
    """
    room, coming = rooms
    if len(best) == len(offers) or len(best) > FEW:
        return list(best)
    choices = [_choice(offer, price) for offer in offers]
    sure = [_next(offer, price) for offer in expected]
    # max takes the first of equals: the best set of today.
    return max(_sets(choices, best, room), key=lambda chosen: _worth(choices, chosen, sure, coming))


def _sets(choices: Sequence[_Choice], best: Sequence[int], room: int) -> Iterable[list[int]]:
    """The best set; the best ones without one of its largest; and the best ones with one that it has not."""
    yield list(best)
    items = [choice.item for choice in choices]
    for place in sorted(best, key=lambda place: -items[place].size)[:TRIED]:
        yield _filled(items, [], place, room)
    chosen = set(best)
    for place in [place for place in range(len(items)) if place not in chosen][:TRIED]:
        yield _filled(items, [place], place, room)


def _filled(items: Sequence[Item], kept: list[int], but: int, room: int) -> list[int]:
    """``kept`` and the best set of all but the place ``but`` for what they leave of ``room``; then what still fits."""
    left = room - sum(items[place].size for place in kept)
    places = [place for place in range(len(items)) if place != but]
    chosen = kept + [places[index] for index in best_set([items[place] for place in places], left)]
    left = room - sum(items[place].size for place in chosen)
    for place in [*places, but]:
        if place not in chosen and items[place].size <= left:
            chosen.append(place)
            left -= items[place].size
    return sorted(chosen)


def _worth(choices: Sequence[_Choice], chosen: Iterable[int], sure: Sequence[_Next], coming: int) -> float:
    """What today's ``chosen`` and the best set of tomorrow are worth, less what will be late tomorrow."""
    out = set(chosen)
    ahead = [one.out if place in out else one.waits for place, one in enumerate(choices)] + list(sure)
    items = [one.item for one in ahead if one.item is not None and one.item.value > 0 and one.item.size <= coming]
    items.sort(key=lambda item: -item.value / item.size)
    today = sum(choices[place].item.value for place in out)
    return today + sum(items[place].value for place in best_set(items, coming)) - sum(one.late for one in ahead)


def _choice(offer: Offer, price: float) -> _Choice:
    size, gain, step, due = offer
    if due > DAY:
        waits, out = offer._replace(due=max(DAY, due - DAY)), _Next(None, 0.0)
    else:
        waits, out = offer._replace(gain=gain + step, due=step), _next(offer._replace(gain=step, due=step), price)
    return _Choice(Item(value(offer, price), size), out, _next(waits, price))


def _next(offer: Offer, price: float) -> _Next:
    worth = value(offer, price)
    return _Next(Item(worth, offer.size), max(0.0, worth - price * offer.size))
