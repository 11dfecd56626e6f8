"""What a byte of the limit is worth in the long run, and the turn that each VM has by it.

A VM that leaves every T seconds has a mean off-site age of T/2 and takes size/T of the line. The mean age of
all VMs is least where one more byte would gain the same wherever it went: T = √(2 · price · size), never below
the VM's period. The price is the one at which all turns together just fill the limit. So it is computed and
nothing is tuned: a heavy VM has a longer turn than a light one, by the square root of its size.
"""

from collections.abc import Iterable
from math import ceil, sqrt

from policy.planner.records import Rules, Vm
from policy.planner.targets import DAY, heaviest, period_of


def step_of(vm: Vm) -> float:
    """Seconds between the dumps of ``vm`` that can have a turn: its period, but one a day at most."""
    return max(DAY, period_of(vm))


def fair_price(vms: Iterable[Vm], rules: Rules) -> float:
    """The price in s² a byte at which the turns of all ``vms`` together take what an average day lets out.

    0 where every dump can leave. A VM too heavy to leave takes none of it.
    """
    most = heaviest(rules)
    # Half of step²/size is the price from which a VM's turn is longer than its step.
    loads = sorted([(step * step / vm.bytes, vm.bytes, step) for vm, step in _steps(vms) if 0 < vm.bytes <= most])
    room = rules.mean_day / DAY - sum([size / step for _, size, step in loads])
    price = stretched = 0.0
    for square, size, step in loads:
        if room > 0 and price <= square / 2:
            break
        stretched += sqrt(size / 2)
        room += size / step
        price = (stretched / room) ** 2 if room > 0 else 0.0
    return price


def fair_turn(vm: Vm, price: float) -> float:
    """Every how many seconds ``vm`` leaves in the long run at ``price``: a whole number of its steps."""
    step = step_of(vm)
    return step * turns(price * vm.bytes / (step * step))


def turns(cost: float) -> int:
    """Every how many dumps one leaves when leaving costs ``cost``, in squares of the time between two dumps.

    Every n-th at n steps costs n/2 + cost/n a step: least at the smallest n with n · (n + 1) / 2 ≥ cost.
    """
    return max(1, ceil((sqrt(1 + 8 * cost) - 1) / 2))


def _steps(vms: Iterable[Vm]) -> Iterable[tuple[Vm, float]]:
    return ((vm, step_of(vm)) for vm in vms)
