"""From a marker to its record while a pass lets 100,000 dumps out: they share the state file."""

import subprocess
import time
from pathlib import Path

from tools.bench.host import BenchHost
from tools.bench.paired import ROOT
from tools.bench.recording import RATE, percentile, touched, watched
from tools.bench.report import Aim, Line, Section, milliseconds, seconds

RELEASED_BYTES = 100_000
#: Enough for two minutes of a pass.
MEANWHILE = 12_500


def measure(dry_run: Path) -> Section:
    """One pass, as the service's own would be: a process beside it."""
    host = BenchHost(dry_run / "host")
    names = host.dump(RELEASED_BYTES + MEANWHILE)
    host.mark(names[:RELEASED_BYTES])
    with watched(host) as (state, _, _):
        alone = touched(host, state, names[RELEASED_BYTES : RELEASED_BYTES + 5 * RATE])
        begun = time.perf_counter()
        with subprocess.Popen(host.command("pass"), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            took = touched(host, state, names[RELEASED_BYTES + 5 * RATE :], lambda: process.poll() is None)
        whole = time.perf_counter() - begun
    released = sum(1 for one in (host.dumps / ".rsync").iterdir() if not one.name.startswith("."))
    host.remove()
    return Section(
        f"From a marker to its record while a pass lets {RELEASED_BYTES:,} dumps out",
        f"`tidegate watch` runs, {RATE} markers a second come by `touch`, and one `tidegate pass` links {released:,} "
        f"dumps beside it; {len(took):,} markers came in that time, and {len(alone)} before it. What waits longest has "
        "met the one transaction in which the pass charges the day with all of them.",
        "",
        (
            Line("before the pass: p50", [percentile(alone, 50)], milliseconds),
            Line("before the pass: the slowest", [max(alone)], milliseconds),
            Line("while it runs: p50", [percentile(took, 50)], milliseconds),
            Line("while it runs: p99", [percentile(took, 99)], milliseconds),
            Line("while it runs: the slowest", [max(took)], milliseconds),
            Line("the pass", [whole], seconds),
        ),
        (Aim("recording goes on: none waits for half of the pass", milliseconds(max(took)), max(took) < whole / 2),),
    )
