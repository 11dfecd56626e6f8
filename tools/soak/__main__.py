"""``python -m tools.soak --minutes N``: all that happens to the watcher, at once, and an exact account at the end.

Ends with 1 when a marker is missing or recorded twice, or a service failed. What it makes is gone at its end:
processes, mounts, files.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from tools.soak import reliability_page
from tools.soak.removable_disk import own_mounts
from tools.soak.run import Play


def main() -> int:
    """Plays, prints the account, and returns the exit code."""
    words = _words()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    mounts = own_mounts()
    with tempfile.TemporaryDirectory(prefix="tidegate-soak-", ignore_cleanup_errors=True) as folder:
        play = Play(Path(folder), words.seed, words.minutes * 60, mounts=mounts)
        try:
            found = play.run()
        finally:
            play.close()
        faults = reliability_page.faults(found, play)
        print(text := reliability_page.section(found, play, words.minutes))
        if faults:
            faults += [f"kept: {file}" for file in play.keep_logs(Path(tempfile.gettempdir()))]
    for fault in faults:
        print(f"soak: {fault}", file=sys.stderr)
    if words.write and not faults:
        reliability_page.put_into(reliability_page.PAPER, text)
    return 1 if faults else 0


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed does the same things (default: 1)")
    parser.add_argument("--write", action="store_true", help=f"put the account into {reliability_page.PAPER.name}")
    return parser.parse_args()


def _end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the clearing away
    sys.exit(f"soak: ended by {signal.Signals(number).name}")


if __name__ == "__main__":
    sys.exit(main())
