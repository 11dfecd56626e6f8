"""What ``make bench-policy`` writes: the tables of docs/POLICY.md and the pictures beside it."""

import json
from collections.abc import Callable, Iterable, Mapping
from math import exp, log
from pathlib import Path
from typing import Any

from tools.simulation.line_chart import chart
from tools.simulation.simulate import Result
from tools.simulation.workloads import FEASIBLE, GB, OVERLOAD, PACKING, Workload

PAGE = Path(__file__).parents[2] / "docs" / "POLICY.md"
FIGURES = PAGE.parent / "policy" / "figures.json"

OURS = "Tidegate"
FIRST_THAT_FITS = "by name, stop at the first that does not fit"
TROUBLED = ("user", "few", "daily heavy")


def geometric(ratios: Iterable[float]) -> float:
    """The geometric mean."""
    known = list(ratios)
    return exp(sum(map(log, known)) / len(known))


def write(figures: Mapping[str, Any]) -> None:
    """Keeps the figures and, when none is missing, puts the tables between their marks in the page."""
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    measured = {run["kind"] for run in figures.get("workloads", {}).values()} | set(figures)
    wanted = {kind.name for kind in (*FEASIBLE, *PACKING, *OVERLOAD)} | {"small", "speed", "troubles"}
    if missing := sorted(wanted - measured):
        print(f"not measured yet: {', '.join(missing)}")
        return
    tables: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "policies": policies,
        "workloads": workloads,
        "optimum": optimum,
        "troubles": troubles,
        "overload": overload,
        "speed": speed,
    }
    page = PAGE.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = before + begin + table(figures) + end + after
    PAGE.write_text(page)


def draw(folder: Path, workload: Workload, results: Mapping[str, Result]) -> None:
    """Mean age and bytes over time, each a week's mean."""
    folder.mkdir(exist_ok=True)
    # Behind the first that does not fit ages grow without end: nothing else could be seen beside them.
    ages = {name: _weeks(one.ages) for name, one in results.items() if name != FIRST_THAT_FITS}
    used = {name: _weeks([size / GB for size in one.bytes_out]) for name, one in results.items()}
    used["the limit"] = [workload.limit / GB] * workload.days
    (folder / "age.svg").write_text(chart("Mean off-site age of all VMs", "days", ages))
    (folder / "used.svg").write_text(
        chart("Released a day", "GB", {n: used[n] for n in (OURS, FIRST_THAT_FITS, "the limit")})
    )


def _weeks(values: Any) -> list[float]:
    """For each day the mean of the seven days up to it."""
    return [sum(values[max(0, day - 6) : day + 1]) / min(7, day + 1) for day in range(len(values))]


def policies(figures: Mapping[str, Any]) -> str:
    """All policies over the feasible workloads, the best first."""
    runs = _runs(figures, {kind.name for kind in FEASIBLE})
    rows = ["| rule | mean age / bound | VM-days over target | starved | limit used |", "|---|--:|--:|--:|--:|"]
    ratios = {
        name: geometric(run["policies"][name]["mean"] / run["bound"] for run in runs) for name in runs[0]["policies"]
    }
    for name, ratio in sorted(ratios.items(), key=lambda one: one[1]):
        own = [run["policies"][name] for run in runs]
        over, starved = sum(one["over"] for one in own), sum(one["starved"] for one in own)
        used = sum(one["used"] for one in own) / len(own)
        shown = f"**{name}**" if name == OURS else name
        rows.append(f"| {shown} | {ratio:.3f} | {over:,} | {starved:,} | {used:.3f} |")
    return "\n".join([*rows, ""])


def workloads(figures: Mapping[str, Any]) -> str:
    """The rule on each kind of workload."""
    rows = [
        "| workload | VMs | mean age, days | bound | ratio | oldest | limit used |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in (*FEASIBLE, *PACKING):
        runs = _runs(figures, {kind.name})
        own = [run["policies"][OURS] for run in runs]
        mean, bound = sum(one["mean"] for one in own) / len(own), sum(run["bound"] for run in runs) / len(runs)
        ratio = geometric(one["mean"] / run["bound"] for one, run in zip(own, runs, strict=True))
        oldest, used = max(one["oldest"] for one in own), sum(one["used"] for one in own) / len(own)
        rows.append(
            f"| {kind.name} | {kind.count:,} | {mean:.3f} | {bound:.3f} | {ratio:.3f} | {oldest} | {used:.3f} |"
        )
    return "\n".join([*rows, ""])


def optimum(figures: Mapping[str, Any]) -> str:
    """The rule against exact optima."""
    ratios = figures["small"]
    return (
        f"{len(ratios)} workloads of 3 to 5 VMs and 12 days: {geometric(ratios):.3f} of the optimum, "
        f"{max(ratios):.3f} at worst; {sum(ratio < 1 + 1e-9 for ratio in ratios)} of them optimal.\n"
    )


def troubles(figures: Mapping[str, Any]) -> str:
    """What each trouble does to the mean age."""
    found = {kind: figures["troubles"][kind] for kind in TROUBLED}
    rows = [f"| fault | {' | '.join(found)} | VM-days over target |", f"|---|{'--:|' * len(found)}--:|"]
    for name in next(iter(found.values())):
        factors = " | ".join(_trouble(one[name]) for one in found.values())
        rows.append(f"| {name} | {factors} | {sum(one[name]['over'] for one in found.values()):+} |")
    return "\n".join([*rows, ""])


def _trouble(found: Mapping[str, float]) -> str:
    rise = "" if found["factor"] == 1 else f"{100 * (found['factor'] - 1):+.1f} % "
    return f"{rise}({found['ratio']:.3f})"


def overload(figures: Mapping[str, Any]) -> str:
    """What becomes of the worst where targets cannot be met."""
    names = (OURS, "most of its target used, skip", "earliest deadline first", "gain² by size")
    rows = [f"| workload | density | bound | {' | '.join(names)} |", f"|---|--:|--:|{'--:|' * len(names)}"]
    for kind in OVERLOAD:
        runs = _runs(figures, {kind.name})
        cells = [
            f"{max(run['policies'][name]['worst'] for run in runs):.2f} ({_mean(runs, name):.1f} d)" for name in names
        ]
        density = sum(run["density"] for run in runs) / len(runs)
        least = max(run["least worst"] for run in runs)
        rows.append(f"| {kind.name} | {density:.2f} | {least:.2f} | {' | '.join(cells)} |")
    return "\n".join([*rows, ""])


def _mean(runs: list[Mapping[str, Any]], name: str) -> float:
    return sum(float(run["policies"][name]["mean"]) for run in runs) / len(runs)


def speed(figures: Mapping[str, Any]) -> str:
    """Time and memory of one decision."""
    rows = ["| candidates | one decision | a candidate | memory |", "|--:|--:|--:|--:|"]
    for count, seconds, megabytes in figures["speed"]:
        each = f"{seconds / count * 1e6:.0f} µs"
        rows.append(f"| {count:,} | {seconds * 1000:.1f} ms | {each} | {megabytes:.0f} MB |")
    return "\n".join([*rows, ""])


def _runs(figures: Mapping[str, Any], kinds: set[str]) -> list[Mapping[str, Any]]:
    return [run for run in figures["workloads"].values() if run["kind"] in kinds]
