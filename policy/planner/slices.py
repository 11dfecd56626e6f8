"""A dump heavier than any day, sent in slices: half of each day is set aside for it, and what nobody else takes.

Where the storage pulls, a dump leaves whole or not at all; who pushes can send a part each day. The limit is then
never exceeded, there is no debt, and the others keep half of each day. Nothing asks for this yet: it is what a push
needs to know.
"""

from itertools import islice
from typing import NamedTuple

from policy.planner.records import Allowance, Day, Rules

#: One part in so many of a day is set aside.
SET_ASIDE = 2

#: How many coming days are looked at for the last slice.
HORIZON = 4000


class Slice(NamedTuple):
    """Of a dump the ``bytes`` from the offset ``first`` on may go today.

    It is whole on the day of this number at the latest, None where no day of the horizon ends it.
    """

    first: int
    bytes: int
    whole_on: int | None


def set_aside(size: int, sent: int, allowance: Allowance) -> int:
    """Bytes that are kept free of today for a dump of ``size`` bytes of which ``sent`` have gone."""
    return min(size - sent, allowance.left, allowance.whole // SET_ASIDE)


def slice_of_today(size: int, sent: int, day: Day, rules: Rules, *, others: int = 0) -> Slice:
    """The slice of today; ``others`` are the bytes that all other dumps take of what is left of the day.

    The sizes that it leaves and takes sum to the dump: nothing is sent twice and nothing is left out.
    Raises ValueError where more was sent than there is.
    """
    if not 0 <= sent <= size:
        raise ValueError(f"{sent} of {size} bytes cannot have gone")
    today = min(size - sent, max(0, day.allowance.left - others))
    in_days = _days_to_send(size - sent - today, day.allowance.owed, rules)
    return Slice(sent, today, None if in_days is None else day.number + in_days)


def _days_to_send(rest: int, owed: int, rules: Rules) -> int | None:
    """After how many days ``rest`` bytes have gone, if only what is set aside of each is free for them."""
    if rest == 0:
        return 0
    for number, whole in enumerate(islice(rules.coming_days(owed), HORIZON), 1):
        rest -= whole // SET_ASIDE
        if rest <= 0:
            return number
    return None
