"""What a byte of the limit is worth in the long run, and the turn that each VM has by it.

A VM that leaves every T seconds has a mean off-site age of T/2 and takes size/T of the line. The mean age of
all VMs is least where one more byte would gain the same wherever it went: T = √(2 · price · size), never below
the VM's period. The price is the one at which all turns together just fill the limit. So it is computed and
nothing is tuned: a heavy VM has a longer turn than a light one, by the square root of its size.
"""

from collections.abc import Iterable
from math import ceil, fsum, sqrt

from policy.planner.model import Rules, Vm
from policy.planner.staleness import DAY, heaviest


def step_of(vm: Vm) -> float:
    """Seconds between the dumps of ``vm`` that can have a turn: its period, but one a day at most."""
    period = vm.period
    return DAY if period is None or period < DAY else period


def fair_price(vms: Iterable[Vm], rules: Rules) -> float:
    """The price in s² a byte at which the turns of all ``vms`` together take what an average day lets out.

    0 where every dump can leave. A VM too heavy to leave takes none of it.
    """
    most, free = heaviest(rules), rules.mean_day / DAY
    longer = [(vm.bytes, step_of(vm)) for vm in vms if 0 < vm.bytes <= most]
    price = 0.0
    # Sums without rounding, so that the order of the VMs changes nothing.
    if fsum([size / step for size, step in longer]) <= free:
        return price
    # If everybody's turn were longer than his step the price would be too high. Whose is not even then has each of his
    # dumps: the others share what is left, at a lower price, at which there may be more of them.
    while longer and free > 0:
        price = (fsum([sqrt(size / 2) for size, _ in longer]) / free) ** 2
        each = [(size, step) for size, step in longer if 2 * price * size <= step * step]
        if not each:
            break
        free -= fsum([size / step for size, step in each])
        longer = [(size, step) for size, step in longer if 2 * price * size > step * step]
    return price


def fair_turn(vm: Vm, price: float) -> float:
    """Every how many seconds ``vm`` leaves in the long run at ``price``: a whole number of its steps."""
    step = step_of(vm)
    return step * turns(price * vm.bytes / (step * step))


def turns(cost: float) -> int:
    """Every how many dumps one leaves when leaving costs ``cost``, in squares of the time between two dumps.

    Every n-th at n steps costs n/2 + cost/n a step: least at the smallest n with n · (n + 1) / 2 ≥ cost.
    """
    return ceil((sqrt(1 + 8 * cost) - 1) / 2) or 1
