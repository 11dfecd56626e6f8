"""``tidegate mark`` beside the least that Python can do, and beside ``touch``."""

import sys
from pathlib import Path

from tools.bench.host import TIDEGATE
from tools.bench.paired import Cost, cpus, median, rounds, run
from tools.bench.report import Aim, Line, Section, milliseconds

ROUNDS = 21
AIM = 0.060


def measure(dry_run: Path) -> Section:
    """Processor time of whole processes."""
    dump = dry_run / "vm1"
    dump.write_bytes(b"a dump")

    def mark(_: int) -> Cost:
        return run([*TIDEGATE, "mark", str(dump)])

    figures = rounds(
        ROUNDS,
        {
            "mark": mark,
            "python": lambda _: run([sys.executable, "-c", "pass"]),
            "touch": lambda _: run(["touch", f"{dump}.done"]),
        },
    )
    used = {name: cpus(costs) for name, costs in figures.items()}
    found = median(used["mark"])
    return Section(
        "Writing a marker",
        f"Processor time of the whole process, {ROUNDS} rounds. `tidegate mark` checks the dump, writes the size that "
        "it has, and syncs; where the time matters there is `touch`, which the watcher takes just as well.",
        "`python3 -c pass`",
        (
            Line("`tidegate mark X`", used["mark"], milliseconds, used["python"]),
            Line("`python3 -c pass`", used["python"], milliseconds),
            Line("`touch X.done`", used["touch"], milliseconds, used["python"]),
        ),
        (Aim("less than 60 ms of processor time", milliseconds(found), found < AIM),),
    )
