"""``make bench-policy``: every policy over every workload beside the bound; docs/POLICY.md shows what came of it.

All figures follow from the seeds; only times do not. Each workload is measured in a process of its own, and its
figures are kept in docs/policy/figures.json, so that a part can be measured anew: ``--only`` names the parts.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tools.simulation import policy_page, speed
from tools.simulation.bound import least_worst, lower_bound
from tools.simulation.optimum import optimum
from tools.simulation.policies import BASELINES, Tidegate
from tools.simulation.simulate import Policy, Result, run
from tools.simulation.workloads import FEASIBLE, OVERLOAD, PACKING, Kind

#: Seeds that no rule was tuned on.
HOLD_OUT = (11, 12)

POLICIES: dict[str, Policy] = {**BASELINES, policy_page.OURS: Tidegate()}

SMALL = tuple(
    Kind(f"small {3 + number % 3} {sizes} {mix}", 3 + number % 3, sizes, mix, days=12)
    for number, (sizes, mix) in enumerate(
        (sizes, mix)
        for sizes in ((0.1, 0.5), (0.2, 0.7), (0.3, 0.9))
        for mix in (((1, 1.0),), ((1, 0.7), (3, 0.3)), ((2, 0.5), (4, 0.5)))
    )
)

Figures = dict[str, Any]


def measure(kind: Kind, seed: int) -> Figures:
    """One workload under all policies; of ages that are days."""
    workload = kind.make(seed)
    bound = lower_bound(workload, _rounds(kind)).total
    return {
        "kind": kind.name,
        "seed": seed,
        "density": workload.density,
        "bound": bound / (kind.days * kind.count),
        "least worst": least_worst(workload) if kind in OVERLOAD else None,
        "policies": {name: _figures(run(workload, policy)) for name, policy in POLICIES.items()},
    }


def _rounds(kind: Kind) -> int:
    return 120 if kind.count <= 200 else 40


def _figures(result: Result) -> Figures:
    return {
        "mean": result.mean,
        "over": result.over,
        "starved": result.starved,
        "worst": result.worst,
        "oldest": result.oldest,
        "used": result.used,
    }


def against_optimum(seeds: Sequence[int]) -> list[float]:
    """The rule's sum of ages over the exact optimum, of each small workload in which not everything fits."""
    pairs = [(run(one, Tidegate()).total, optimum(one)) for one in (kind.make(n) for kind in SMALL for n in seeds)]
    return [reached / best for reached, best in pairs if best > 0]


def disturbed(kind: Kind, seed: int) -> Figures:
    """What a trouble makes of the mean age: as a factor, and over the bound of the same trouble.

    And of the VM-days past a target.
    """
    workload = kind.make(seed)
    chance = Random(seed)
    failing = frozenset(day for day in range(workload.days) if chance.random() < 0.05)
    weekends = replace(workload, week=(1.4, 1.4, 1.4, 1.4, 1.4, 0.0, 0.0))
    plain = run(workload, Tidegate())
    bound = lower_bound(workload, _rounds(kind)).total
    troubles = {
        "none": (plain, bound),
        "5 % of the syncs fail": (
            run(workload, Tidegate(), failing),
            lower_bound(replace(workload, silent=failing), _rounds(kind)).total,
        ),
        "nothing is pulled at weekends, the same bytes a week": (
            run(weekends, Tidegate()),
            lower_bound(weekends, _rounds(kind)).total,
        ),
        "periods taken for half or twice what they are": (run(workload, Tidegate(misjudged=(0.5, 2.0))), bound),
        "the clock is 30 days ahead for three days": (run(workload, Tidegate(ahead=frozenset(range(200, 203)))), bound),
    }
    return {
        name: {"factor": one.total / plain.total, "ratio": one.total / least, "over": one.over - plain.over}
        for name, (one, least) in troubles.items()
    }


def draw(folder: Path) -> None:
    """The pictures, of a workload like the user's own."""
    workload = next(kind for kind in FEASIBLE if kind.name == "user").make(HOLD_OUT[0])
    shown = (
        policy_page.OURS,
        "gain² by size",
        "oldest copy first, skip",
        "earliest deadline first",
        policy_page.FIRST_THAT_FITS,
    )
    policy_page.draw(folder, workload, {name: run(workload, POLICIES[name]) for name in shown})


def main() -> None:
    """Measures what is asked for, keeps the figures, and writes the tables into docs/POLICY.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="kinds of workloads, or small, troubles, speed, pictures")
    parser.add_argument("--seeds", nargs="*", type=int, default=HOLD_OUT)
    asked, seeds = parser.parse_args().only, parser.parse_args().seeds
    figures: Figures = json.loads(policy_page.FIGURES.read_text()) if policy_page.FIGURES.exists() else {}

    def wanted(name: str) -> bool:
        return asked is None or name in asked

    parts: dict[str, Callable[[], object]] = {
        "small": lambda: against_optimum((*HOLD_OUT, 13, 14)),
        "speed": speed.measure,
        "pictures": lambda: draw(policy_page.FIGURES.parent),
    }
    for name, part in parts.items():
        if wanted(name) and (found := part()) is not None:
            figures[name] = found
    with ProcessPoolExecutor(2) as pool:
        kinds = [kind for kind in (*FEASIBLE, *PACKING, *OVERLOAD) if wanted(kind.name)]
        runs = {f"{kind.name} {seed}": pool.submit(measure, kind, seed) for kind in kinds for seed in seeds}
        troubled = [kind for kind in FEASIBLE if kind.name in policy_page.TROUBLED and wanted("troubles")]
        troubles = {kind.name: pool.submit(disturbed, kind, HOLD_OUT[0]) for kind in troubled}
        for name, one in runs.items():
            figures.setdefault("workloads", {})[name] = one.result()
            print(name, flush=True)
        for name, trouble in troubles.items():
            figures.setdefault("troubles", {})[name] = trouble.result()
    policy_page.write(figures)


if __name__ == "__main__":
    main()
