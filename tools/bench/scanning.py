"""A scan of 100,000 markers of which none is new: what the watcher does every few minutes, and each pass."""

from pathlib import Path

from core.clock import SystemClock
from core.state.database import State
from tools.bench.bench_host import BenchHost
from tools.bench.paired import Cost, cpus, rounds, run, timed, walls
from tools.bench.results_page import Line, Section, milliseconds, percent
from watcher.scanner import scan_and_record

MARKERS = 100_000
ROUNDS = 5


def measure(scratch: Path) -> Section:
    """Dumps and markers are made once and recorded once."""
    host = BenchHost(scratch / "host")
    host.mark(host.dump(MARKERS))
    host.record()
    config, clock = host.config(), SystemClock()
    state = State(config.state.path)

    def scan(_: int) -> Cost:
        return timed(lambda: scan_and_record(config, state, clock))

    def find(_: int) -> Cost:
        return run(["find", str(host.dumps), "-name", "*.done", "-printf", "%C@ %i\\n"])

    costs = rounds(ROUNDS, {"scan": scan, "find": find})
    state.close()
    host.remove()
    return Section(
        f"A scan of {MARKERS:,} unchanged markers",
        f"In one folder with as many dumps, {ROUNDS} rounds. Tidegate looks at every marker, reads what is recorded of "
        "it, and compares; `find DIR -name '*.done' -printf '%C@ %i\\n'` looks at the same and compares nothing.",
        "`find`",
        (
            Line("the scan", walls(costs["scan"]), milliseconds, walls(costs["find"])),
            Line("`find`", walls(costs["find"]), milliseconds),
            Line("processor time: the scan", cpus(costs["scan"]), milliseconds, cpus(costs["find"])),
            Line("processor time: `find`", cpus(costs["find"]), milliseconds),
            Line(
                'of one core, with `mode = "poll"`: a scan a minute', [one / 60 for one in cpus(costs["scan"])], percent
            ),
        ),
    )
