"""Recording ``demo``: the ten days of ``make demo``, its two dump scripts and its rsync, at a given time.

``make demo`` itself runs by the real clock, and both scripts at the same time: which of two dumps of one size is
older differs from run to run. Here the scripts run one after the other, and each dump gets a time stamp of its own.
"""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.clock import HOUR, GivenClock
from tests.host import Host
from tools.demo import ten_days
from tools.demo.demo_host import HERE
from tools.oracle import terms
from tools.oracle.passes import Pass, RecordingAdmin

_BEGIN = datetime(2024, 9, 1, 8, tzinfo=UTC)
#: Between two days, as in the demo "at_least" is nothing; and between two dumps of a script.
_DAY, _DUMP = 24 * HOUR, 60.0
_MARKERS = (".done", ".failed")


def record(folder: Path) -> list[Pass]:
    """Plays in ``folder``, which is made."""
    host = Host(
        folder,
        daily=ten_days.LIMIT,
        backup_sets={"house": {"vms": list(ten_days.VMS)}},
        **terms.DEMO,
    )
    clock = GivenClock(_BEGIN.timestamp())
    admin = RecordingAdmin(host, clock)
    storage = folder / "storage"
    _dump(host, clock, "weekly.sh", ends_with=1)
    _dump(host, clock, "every-third-day.sh")
    for day in range(1, ten_days.DAYS + 1):
        if day in ten_days.DUMPED_AGAIN:
            _dump(host, clock, "every-third-day.sh")
        admin.run(terms.PASS)
        admin.run(terms.SYNC_STARTED)
        _pull(host, clock, storage)
        admin.run(terms.SYNC_FINISHED)
        clock.advance(_DAY)
    admin.run(terms.PASS)
    return admin.passes


def _pull(host: Host, clock: GivenClock, storage: Path) -> None:
    """What the storage does once a day. The dumps that it has read were read at the given time."""
    subprocess.run(["rsync", "-a", f"--exclude=/{terms.METADATA}/", f"{host.tree}/", str(storage)], check=True)
    for name in terms.of_tree(host.tree):
        os.utime(host.tree / name, ns=(int(clock.wall * 1e9), (host.tree / name).stat().st_mtime_ns))


def _dump(host: Host, clock: GivenClock, script: str, *, ends_with: int = 0) -> None:
    """Runs a dump script to its end. Its dumps are a minute apart, in the order of their names."""
    before = {path: path.stat().st_mtime_ns for path in host.dumps.glob("vm*")}
    words = ["sh", str(HERE / script), str(host.dumps)]
    if (status := subprocess.run(words, capture_output=True, check=False).returncode) != ends_with:
        raise RuntimeError(f"{script} ended with {status}, not {ends_with}")
    made = {path for path in host.dumps.glob("vm*") if before.get(path) != path.stat().st_mtime_ns}
    for vm in sorted({path.stem for path in made}):
        clock.advance(_DUMP)
        for path in made & {host.dumps / vm, *(host.dumps / f"{vm}{marker}" for marker in _MARKERS)}:
            os.utime(path, (clock.wall, clock.wall))
