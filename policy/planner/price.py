"""What a byte of the limit is worth in the long run, and what it is worth to release a dump today instead of later.

A VM that leaves every T seconds has a mean off-site age of T/2 and takes size/T of the limit. The mean age of
all VMs is least where one more byte would gain the same wherever it went: T = √(2 · price · size), never below
the VM's period. The shadow price is the one at which all these fair intervals together just fill the limit. So it is
computed and nothing is tuned: a large VM has a longer interval than a small one, by the square root of its size.

To release a dump costs the price of its bytes whenever that is done. So what counts for its utility today is what
waiting costs: the age that the off-site copy has meanwhile and would not have had, less what is saved since a later
dump is newer and the next release later too. The cheapest way to wait is the one to compare with: until tomorrow with
the same dump, or for the next dump, or for the one at the VM's fair interval. The utility of a dump that is due is more
than the price of its bytes, that of another less; but it is worth something to fill what would be left over.

Times are seconds, sizes bytes, utilities s²: seconds of age, for seconds.
"""

from collections.abc import Iterable
from math import ceil, fsum, sqrt
from typing import NamedTuple

from policy.planner.model import Rules, Vm
from policy.planner.staleness import DAY, largest_releasable


def dump_interval(vm: Vm) -> float:
    """Seconds between the dumps of ``vm`` that can leave: its period, but one a day at most."""
    period = vm.period
    return DAY if period is None or period < DAY else period


def shadow_price(vms: Iterable[Vm], rules: Rules) -> float:
    """The price in s² a byte at which the fair intervals of all ``vms`` together take what an average day releases.

    0 where every dump can leave. A VM too large to leave takes none of it.
    """
    most, free = largest_releasable(rules), rules.mean_day / DAY
    longer = [(vm.bytes, dump_interval(vm)) for vm in vms if 0 < vm.bytes <= most]
    price = 0.0
    # Sums without rounding, so that the order of the VMs changes nothing.
    if fsum([size / interval for size, interval in longer]) <= free:
        return price
    # If every VM's fair interval were longer than that of its dumps the price would be too high. A VM for which it is
    # not even then has each of its dumps: the others share what is left, at a lower price, at which there may be more
    # of them.
    while longer and free > 0:
        price = (fsum([sqrt(size / 2) for size, _ in longer]) / free) ** 2
        each = [(size, interval) for size, interval in longer if 2 * price * size <= interval * interval]
        if not each:
            break
        free -= fsum([size / interval for size, interval in each])
        longer = [(size, interval) for size, interval in longer if 2 * price * size > interval * interval]
    return price


def fair_interval(vm: Vm, price: float) -> float:
    """Every how many seconds ``vm`` leaves in the long run at ``price``: a whole number of its dump intervals."""
    interval = dump_interval(vm)
    return interval * dumps_per_release(price * vm.bytes / (interval * interval))


def dumps_per_release(cost: float) -> int:
    """Every how many dumps one leaves when leaving costs ``cost``, in squares of the time between two dumps.

    Every n-th at n intervals costs n/2 + cost/n an interval: least at the smallest n with n · (n + 1) / 2 ≥ cost.
    """
    return ceil((sqrt(1 + 8 * cost) - 1) / 2) or 1


class Offer(NamedTuple):
    """What one dump offers: ``size`` bytes, by which its VM's copy gets ``gain`` seconds newer.

    ``interval`` seconds lie between two dumps of its VM, and the next comes in ``due`` seconds, at least a day.
    """

    size: int
    gain: float
    interval: float
    due: float


def utility(offer: tuple[int, float, float, float], price: float) -> float:
    """What releasing the dump of ``offer`` today is worth at ``price`` (s² a byte)."""
    size, gain, interval, due = offer
    cost = price * size
    fair = dumps_per_release(cost / (interval * interval)) * interval
    # An interval of time costs this much age in the long run, the bytes included.
    even = interval * (fair / 2 + cost / fair)
    later = round((fair - gain) / interval) if fair - gain > interval else 1
    waiting = gain * (due + (later - 1) * interval) + (later * interval) ** 2 / 2 - later * even
    if due > DAY and gain * DAY < waiting:
        waiting = gain * DAY
    return cost + waiting
