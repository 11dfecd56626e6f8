"""How long one decision takes, and how much memory, over the number of candidates."""

import gc
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from random import Random

from policy.planner.decide import decide
from policy.planner.model import Day, DayAccount, Dump, Rules, Vm
from tools.simulation.policies import DAY, START

COUNTS = (300, 1_000, 5_000, 20_000, 100_000)


def measure() -> list[tuple[int, float, float]]:
    """For each of the counts the candidates, the best decision in processor seconds, and its MB at the peak."""
    found = []
    for count in COUNTS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            found.append((count, *alone.submit(decision, count).result()))
    return found


def decision(count: int) -> tuple[float, float]:
    """Of ``count`` candidates a twentieth of which leaves: processor seconds and MB."""
    gc.disable()  # as the commands do
    vms, dumps, limit = facts(count)
    day, rules = Day(1, START, DayAccount(limit)), Rules(limit)
    before = _peak()
    times = []
    for _ in range(3 if count > 20_000 else 7):
        started = time.process_time()
        plan = decide(vms, dumps, day, rules, START)
        times.append(time.process_time() - started)
        del plan
    return min(times), _peak() - before


def facts(count: int) -> tuple[list[Vm], list[Dump], int]:
    """VMs of all ages, periods and sizes, each with a dump; and a limit of a twentieth of all bytes."""
    chance = Random(count)
    vms, dumps = [], []
    for number in range(count):
        name = f"vm{number}"
        size, period = int(chance.lognormvariate(0, 1) * 1e9) + 1, chance.choice((1, 7, 30)) * DAY
        offsite = START - (period + chance.randint(1, 20) * DAY)
        vms.append(Vm(name, None, START - 100 * DAY, size, offsite, period))
        dumps.append(Dump(number, name, f"/dumps/{name}", size, START - chance.random() * period))
    return vms, dumps, sum(vm.bytes for vm in vms) // 20


def _peak() -> float:
    """MB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
