"""``python -m tools.bench``: measures, and writes docs/BENCHMARKS.md anew. Twenty minutes on two quiet cores."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.bench import (
    bursting,
    dumping,
    growing,
    latency,
    lost,
    machine,
    paging,
    passing,
    resting,
    scanning,
    starting,
)
from tools.bench.paired import ROOT
from tools.bench.results_page import Section, page

PAGE = ROOT / "docs" / "BENCHMARKS.md"
BENCHMARKS: dict[str, Callable[[Path], Section]] = {
    "start": starting.measure,
    "pass": passing.measure,
    "burst": bursting.measure,
    "scan": scanning.measure,
    "latency": latency.measure,
    "lost": lost.measure,
    "stopped": lost.measure_stopped,
    "page": paging.measure,
    "rest": resting.measure,
    "growth": growing.measure,
    "dump": dumping.measure,
}


def main() -> int:
    """Runs all of them, or some for a look."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"these only, on stdout: {', '.join(BENCHMARKS)}")
    parser.add_argument("--write", action="store_true", help="write the page also when only some are measured")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build", help="where to measure; default: build/")
    parser.add_argument("--idle", type=float, default=1, metavar="MINUTES", help="at rest for so long; default: 1")
    chosen = parser.parse_args()
    BENCHMARKS["rest"] = partial(resting.measure, minutes=chosen.idle)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started and made goes with it
    chosen.scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.scratch.resolve()) as name:
        facts = machine.facts(Path(name))
        names = chosen.only or list(BENCHMARKS)
        text = page(facts, [_measured(one, Path(name)) for one in names])
    if chosen.only and not chosen.write:
        print(text)
    else:
        PAGE.write_text(text)
        print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


def _measured(name: str, scratch: Path) -> Section:
    begun = time.perf_counter()
    folder = scratch / name
    folder.mkdir()
    section = BENCHMARKS[name](folder)
    told = "; ".join(f"{aim.aim}: {aim.found}, {'kept' if aim.kept else 'missed'}" for aim in section.aims)
    print(f"{section.title}: {time.perf_counter() - begun:.0f} s{f' ({told})' if told else ''}", file=sys.stderr)
    return section


if __name__ == "__main__":
    sys.exit(main())
