"""``python -m tools.torture``: commands are cut off at each of their instants, and what is left is judged.

Ends with 1 when anything was violated, or a deliberate defect was not caught. What it makes is gone at its end.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.forked import load_everything
from tools.soak.reliability_page import PAPER, put_into
from tools.soak.removable_disk import own_mounts
from tools.torture import clock_jumps, concurrency, kills, power_cuts, scenario, syscall_errors, torture_table
from tools.torture.defects import DEFECTS, Plays, having
from tools.torture.image_disk import KINDS as FILESYSTEMS
from tools.torture.points import Found, Point, sampled, try_all
from tools.torture.scenario import Act

#: How many points of each kind a short torture tries, and of which acts.
_SHORT = {"kill": 24, "errors": 24, "power": 9, "together": 12, "clock": 2}
_SHORT_ACTS = ("mirror pass", "mirror synced", "collect pass")
#: In memory where there is such a place: a hundred thousand fsyncs are waited for.
_MEMORY = Path("/dev/shm")


def main() -> int:
    """Tortures, prints the account, and returns the exit code."""
    words = _words()
    if not own_mounts():
        sys.exit("torture: it mounts filesystems: only root can")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    load_everything()
    folder = Path(tempfile.mkdtemp(prefix="tidegate-torture-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        return _torture(words, folder)
    finally:
        for point in folder.glob("*/mounted"):  # of processes that were ended
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the clearing away
    sys.exit(f"torture: ended by {signal.Signals(number).name}")


def _torture(words: argparse.Namespace, folder: Path) -> int:
    plays = _rehearsed(folder, short=words.short)
    points: dict[str, Callable[[], list[Point]]] = {
        "kill": lambda: kills.points(plays["ext4"], folder),
        "errors": lambda: syscall_errors.points(plays["ext4"], folder),
        "power": lambda: power_cuts.points(plays, folder),
        "together": lambda: concurrency.points(plays["ext4"], folder),
        "clock": clock_jumps.points,
    }
    found: dict[str, Found] = {}
    counts: dict[str, int] = {}
    for kind in words.kinds:
        every = [point for point in points[kind]() if not words.only or point.name == words.only]
        counts[kind] = len(every)
        found[kind] = try_all(kind, sampled(every, _most(words, kind, len(every))), folder)
    if not any(counts.values()):
        sys.exit(f"torture: there is no such point: {words.only}")
    caught = _defects(plays, folder, words.kinds) if words.defects else []
    print(text := torture_table.section(found, counts, caught))
    faults = [fault for one in found.values() for fault in one.faults]
    faults += [f"not caught: {told}" for told, _, one in caught if not one.faults]
    for fault in faults:
        print(f"torture: {fault}", file=sys.stderr)
    if words.write and not faults and found.keys() == torture_table.TOLD.keys():
        put_into(PAPER, text)
    return 1 if faults else 0


def _rehearsed(folder: Path, *, short: bool) -> Plays:
    """The short one plays on ext4, and on the others no more than what power cuts need."""
    plays: dict[str, list[Act]] = {}
    for kind in FILESYSTEMS:
        acts = [] if short and kind != "ext4" else scenario.mirror(folder / f"mirror-{kind}", kind)
        acts += scenario.collect(folder / f"collect-{kind}", kind)
        plays[kind] = [act for act in acts if not short or act.name in _SHORT_ACTS]
    return plays


def _defects(plays: Plays, folder: Path, kinds: list[str]) -> list[tuple[str, str, Found]]:
    found = []
    for number, one in enumerate(DEFECTS):
        if one.kind in kinds:
            own = folder / f"defect-{number}"
            own.mkdir()
            points = one.points(plays, own, having(one.patch))
            random.Random(number).shuffle(points)  # where it shows is not known, and one fault is enough
            found.append((one.told, one.kind, try_all(one.told, points, own, until_found=True)))
            shutil.rmtree(own)
    return found


def _most(words: argparse.Namespace, kind: str, count: int) -> int:
    return _SHORT[kind] if words.short else max(1, round(count * dict(words.share).get(kind, 1.0)))


def _share(word: str) -> tuple[str, float]:
    kind, _, share = word.partition("=")
    return kind, float(share)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.torture", description=__doc__)
    kinds = list(torture_table.TOLD)
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds, help="default: all of them")
    parser.add_argument("--only", default="", help="try the one point of this name, as a violation tells it")
    share = "of this kind try only such a share of the points, evenly chosen (errors=0.2)"
    parser.add_argument("--share", nargs="+", type=_share, default=[], metavar="KIND=SHARE", help=share)
    parser.add_argument("--short", action="store_true", help="try a few points of each kind")
    parser.add_argument("--no-defects", dest="defects", action="store_false", help="leave the deliberate defects out")
    parser.add_argument("--write", action="store_true", help=f"put a whole account into {PAPER.name}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
