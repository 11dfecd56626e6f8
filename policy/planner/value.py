"""What it is worth to let a dump out today instead of later.

To let it out costs the price of its bytes whenever that is done. So what counts is what waiting costs: the age
that the off-site copy has meanwhile and would not have had, less what is saved since a later dump is newer and
the next turn later too. The cheapest way to wait is the one to compare with: until tomorrow with the same dump,
or for the next dump, or for the one at the VM's fair turn. The value of a dump that is due is more than the price
of its bytes, that of another less; but it is worth something as a filling of what would be left over.

Times are seconds, sizes bytes, values s²: seconds of age, for seconds.
"""

from typing import NamedTuple

from policy.planner.price import turns
from policy.planner.staleness import DAY


class Offer(NamedTuple):
    """What one dump offers: ``size`` bytes, by which its VM's copy gets ``gain`` seconds newer.

    ``step`` seconds lie between two dumps of its VM, and the next comes in ``due`` seconds, at least a day.
    """

    size: int
    gain: float
    step: float
    due: float


def value(offer: tuple[int, float, float, float], price: float) -> float:
    """What letting the dump of ``offer`` out today is worth at ``price`` (s² a byte)."""
    size, gain, step, due = offer
    cost = price * size
    turn = turns(cost / (step * step)) * step
    # A step of time costs this much age in the long run, the bytes included.
    even = step * (turn / 2 + cost / turn)
    later = round((turn - gain) / step) if turn - gain > step else 1
    waiting = gain * (due + (later - 1) * step) + (later * step) ** 2 / 2 - later * even
    if due > DAY and gain * DAY < waiting:
        waiting = gain * DAY
    return cost + waiting
