"""A pass over 10,000 waiting dumps, all of which leave, beside ``cp -al`` of the same files."""

import gc
import time
from collections.abc import Callable
from pathlib import Path

from core.clock import SystemClock
from core.state.database import State
from policy.export import ExportTree
from policy.passes import facts, grant
from policy.passes import run as passes
from tools.bench.host import BenchHost
from tools.bench.paired import Cost, cpus, median, ratios, rounds, run, walls
from tools.bench.report import Aim, Line, Section, milliseconds, times
from tools.bench.stopwatch import Place, Stopwatch
from watcher import scanner

DUMPS = 10_000
ROUNDS = 5
AIM = 3.0

PARTS: dict[str, tuple[Place, ...]] = {
    "scanning the markers": ((scanner, "scan_and_record"),),
    "planning: reading the facts": ((facts, "gather"),),
    "planning: deciding": ((passes, "decide"),),
    "the last look at each dump": ((grant.Releasing, "check"),),
    "the day, charged in the ledger": ((grant.Releasing, "grant"),),
    "linking": ((ExportTree, "publish"),),
    "recording the links": ((grant, "_record"),),
}
_REST = "everything else"


def measure(dry_run: Path) -> Section:
    """All rounds, in folders of their own below ``scratch``."""
    nothing = BenchHost(dry_run / "nothing")
    costs = _Rounds(dry_run).measure(
        {
            "start": lambda _: run(nothing.command("pass")),
        }
    )
    parts = [_parts(dry_run / f"parts-{number}") for number in range(ROUNDS)]
    copied = walls(costs["copy"])
    whole = median(ratios(walls(costs["pass"]), copied))
    return Section(
        f"A pass over {DUMPS:,} waiting dumps",
        f"Single files of 1 to 4096 bytes, recorded beforehand, and a limit under which all of them leave. {ROUNDS} "
        "rounds, each on files of its own; `cp -al` is given the same files by name. It makes its links with no "
        "promise that a power cut leaves them, looks at no file twice and keeps no books. The parts of the pass were "
        "timed in one process, in rounds of their own, so that their sum is less than the whole command by its start.",
        "`cp -al`",
        (
            Line("`tidegate pass`, the whole command", walls(costs["pass"]), milliseconds, copied),
            Line("`cp -al` of the same files", copied, milliseconds),
            Line("processor time: `tidegate pass`", cpus(costs["pass"]), milliseconds, cpus(costs["copy"])),
            Line("processor time: `cp -al`", cpus(costs["copy"]), milliseconds),
            Line("`tidegate pass` over no dumps: its start", walls(costs["start"]), milliseconds, copied),
            Line("`tidegate pass` once more: nothing new", walls(costs["again"]), milliseconds, copied),
            *[Line(f"of the pass: {name}", [one[name] for one in parts], milliseconds, copied) for name in parts[0]],
        ),
        (Aim(f"the whole pass within {AIM:.0f} × `cp -al`", times(whole), whole <= AIM),),
    )


class _Rounds:
    """Each round has a host of its own, which is made when the round begins and removed when it is over."""

    def __init__(self, dry_run: Path) -> None:
        self._scratch = dry_run
        self._host: BenchHost | None = None
        self._round = -1
        self._names: list[str] = []

    def measure(self, others: dict[str, Callable[[int], Cost]]) -> dict[str, list[Cost]]:
        again: list[Cost] = []

        def one_pass(number: int) -> Cost:
            host = self._of(number)
            cost = run(host.command("pass"))
            again.append(run(host.command("pass")))
            return cost

        costs = rounds(ROUNDS, {"pass": one_pass, "copy": self._copy, **others})
        if self._host is not None:
            self._host.remove()
        return {**costs, "again": again}

    def _copy(self, number: int) -> Cost:
        host = self._of(number)
        target = host.folder / "copy"
        target.mkdir()
        return run(["cp", "-al", "-t", str(target), *(str(host.dumps / name) for name in self._names)])

    def _of(self, number: int) -> BenchHost:
        if self._host is None or number != self._round:
            if self._host is not None:
                self._host.remove()
            self._host, self._round = BenchHost(self._scratch / f"round-{number}"), number
            self._names = _fill(self._host)
        return self._host


def _fill(host: BenchHost) -> list[str]:
    names = host.dump(DUMPS)
    host.mark(names)
    host.record()
    return names


def _parts(folder: Path) -> dict[str, float]:
    host = BenchHost(folder)
    _fill(host)
    config, clock, watch = host.config(), SystemClock(), Stopwatch()
    gc.disable()  # as a command does
    try:
        with watch.on(PARTS):
            begun = time.perf_counter()
            state = State(config.state.path)
            scanner.scan_and_record(config, state, clock)
            result = passes.run(config, state, clock, wait=0)
            whole = time.perf_counter() - begun
    finally:
        gc.enable()
    state.close()
    host.remove()
    if len(result.plan.released) != DUMPS or result.failed:
        raise RuntimeError(f"{len(result.plan.released)} of {DUMPS} dumps left, {len(result.failed)} failed")
    return {**watch.took, _REST: whole - sum(watch.took.values())}
