"""How long commands take over a dozen dumps, beside the least that Python can do."""

import sys
from functools import partial
from pathlib import Path

from tools.bench.bench_host import BenchHost
from tools.bench.paired import Cost, cpus, median, ratios, rounds, run
from tools.bench.results_page import Aim, Line, Section, milliseconds, times

DUMPS = 12
ROUNDS = 15
#: Command -> how many times the processor time of ``python3 -c pass`` it may take.
AIMS = {"mark": 6, "status": 12, "plan": 12, "pass": 12}


def measure(scratch: Path) -> Section:
    """Processor time of whole processes; half of the dumps have left."""
    host = BenchHost(scratch / "host")
    names = host.dump(DUMPS)
    host.mark(names[: DUMPS // 2])
    run(host.command("pass"))
    host.mark(names[DUMPS // 2 :])
    words = {
        "python3 -c pass": [sys.executable, "-c", "pass"],
        **{name: host.command(name) for name in AIMS if name != "mark"},
        "mark": host.command("mark", str(host.dumps / names[0])),
    }
    figures = rounds(ROUNDS, {name: partial(_started, command) for name, command in words.items()})
    used = {name: cpus(costs) for name, costs in figures.items()}
    least = used.pop("python3 -c pass")
    return Section(
        "The start of a command",
        f"Processor time of the whole process over {DUMPS} dumps, {ROUNDS} rounds.",
        "`python3 -c pass`",
        (
            *(Line(f"`tidegate {name}`", used[name], milliseconds, least) for name in AIMS),
            Line("`python3 -c pass`", least, milliseconds),
        ),
        tuple(_aim(name, most, median(ratios(used[name], least))) for name, most in AIMS.items()),
    )


def _started(command: list[str], _number: int) -> Cost:
    return run(command)


def _aim(name: str, most: float, found: float) -> Aim:
    return Aim(f"`{name}` within {most} ×", times(found), found <= most)
