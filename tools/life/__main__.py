"""``python -m tools.life FOLDER``: two months of 200 VMs through the real program, hour by hour, ending about now.

::

    FOLDER/config.toml           `tidegate --config FOLDER/config.toml watch` shows them as if it had run through them
    FOLDER/state.db, dumps/      ... as the real commands left them; dumps are holes and take no room
    FOLDER/told.jsonl            the news that its admin was told, a line each time
    FOLDER/metrics.openmetrics   what /metrics answered each second hour, with its time, as of job "tidegate"

    promtool tsdb create-blocks-from openmetrics --max-block-duration=96h FOLDER/metrics.openmetrics DATA
    prometheus --storage.tsdb.path=DATA --storage.tsdb.retention.time=10y --query.lookback-delta=2h …

With hours between samples a Prometheus sees gaps unless its lookback is as long as these.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

from tools.life.life import Life


def main() -> int:
    """Lives, and says what it cost."""
    words = _words()
    if words.folder.exists():
        print(f"life: {words.folder} is there already", file=sys.stderr)
        return 2
    logging.disable(logging.WARNING)  # two months of dumps that failed
    began = time.process_time()
    life = Life(words.folder, count=words.vms, days=words.days, end=time.time(), listen=words.listen)
    life.live(every=words.every)
    life.close()
    life.scrapes.write(words.folder / "metrics.openmetrics")
    print(f"{words.days} days of {words.vms} VMs in {time.process_time() - began:.0f} s of CPU: {words.folder}")
    print(f"{life.scrapes.samples} samples in metrics.openmetrics")
    return 0


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.life", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="is made")
    parser.add_argument("--days", type=int, default=60, help="how many (default: 60)")
    parser.add_argument("--vms", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--every", type=int, default=2, help="hours between two scrapes (default: 2)")
    parser.add_argument("--listen", default="127.0.0.1:9877", help="of the service (default: 127.0.0.1:9877)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
