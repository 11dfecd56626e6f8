"""``tidegate dump`` beside its commands alone: what the runner adds to many small dumps, and to a large one."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.bench.bench_host import BenchHost
from tools.bench.paired import Cost, cpus, median, rounds, run, walls
from tools.bench.results_page import Line, Section, milliseconds, seconds

SMALL, SMALL_BYTES = 100, 1_000_000
LARGE_BYTES = 1_000_000_000
ROUNDS = 3
#: What each dump is a copy of, so that its making costs little and the same everywhere.
_COPY = "cat {source}"
_Contestants = dict[str, Callable[[int], Cost]]


def measure(scratch: Path) -> Section:
    """All rounds, in folders of their own below ``scratch``."""
    small = rounds(ROUNDS, _contestants(scratch / "small", SMALL, SMALL_BYTES))
    large = rounds(ROUNDS, _contestants(scratch / "large", 1, LARGE_BYTES))
    start = rounds(ROUNDS, {"start": lambda number: run(BenchHost(scratch / f"start-{number}").command("status"))})
    return Section(
        f"Dumps: {SMALL} of 1 MB, and one of 1 GB",
        "The command of each dump is `cat` of a file. Alone, a shell runs it in a loop: `cat FILE > X.part`, "
        "`sync X.part`, `mv`, `touch X.done`, which is the least that a careful script does; the runner does that too, "
        f"and claims, logs, marks and sums. {ROUNDS} rounds.",
        "the shell",
        (*_lines(f"{SMALL} dumps of 1 MB", small, milliseconds), *_lines("one dump of 1 GB", large, seconds)),
        after="The start of a command that opens the state is in each of the runner's: "
        f"{milliseconds(median(walls(start['start'])))} here.\n\n"
        "What the runner adds to a small dump is its fsyncs, five where the shell has one: the claim, the dump, its "
        "name, the marker and the marker's name. `parallel` lets them wait together. To a large one it adds the sum, "
        "which is half a second a gigabyte, and reading it once more where the command writes `$OUT`.",
    )


def _lines(what: str, costs: dict[str, list[Cost]], show: Callable[[float], str]) -> list[Line]:
    alone = costs["shell"]
    times = [
        Line(f"{what}: {name}", walls(costs[name]), show, None if name == "shell" else walls(alone)) for name in costs
    ]
    used = [Line(f"{what}, processor time: {name}", cpus(costs[name]), show, cpus(alone)) for name in costs]
    return times + used[1:]


def _contestants(scratch: Path, count: int, size: int) -> _Contestants:
    scratch.mkdir(parents=True)
    source = scratch / "source"
    _fill(source, size)
    vms = [f"vm{number}" for number in range(count)]

    def runner(name: str, *, script: str, **keys: object) -> Callable[[int], Cost]:
        def measured(number: int) -> Cost:
            host = BenchHost(scratch / f"{name}-{number}".replace(" ", "-"))
            told = {"vms": vms, "command": ["sh", "-c", script], **keys}
            lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]  # TOML has the same
            host.file.write_text("\n".join([host.file.read_text(), "[backup_sets.bench]", *lines, ""]))
            cost = run(host.command("dump", "bench"))
            shutil.rmtree(host.folder)
            return cost

        return measured

    copy = _COPY.format(source=source)
    return {
        "shell": lambda number: _alone(scratch / f"shell-{number}", copy, vms),
        "`tidegate dump`, `$OUT`": runner("out", script=f"{copy} > $OUT"),
        "`tidegate dump`, `$OUT`, checksum = false": runner("bare", script=f"{copy} > $OUT", checksum=False),
        "`tidegate dump`, stdout = true": runner("stdout", script=copy, stdout=True),
        "`tidegate dump`, stdout = true, checksum = false": runner(
            "stdout bare", script=copy, stdout=True, checksum=False
        ),
    }


def _alone(folder: Path, copy: str, vms: list[str]) -> Cost:
    folder.mkdir()
    one = f"{copy} > $vm.part && sync $vm.part && mv $vm.part $vm && touch $vm.done"
    cost = run(["sh", "-c", f"cd {folder}; for vm in {' '.join(vms)}; do {one} || exit 1; done"])
    shutil.rmtree(folder)
    return cost


def _fill(path: Path, size: int) -> None:
    part = os.urandom(1_000_000)
    with path.open("wb") as file:
        for _ in range(size // len(part)):
            file.write(part)
