"""Recording ``year``: forty days of the sixty VMs of ``tests.acceptance.test_year``, with the watcher running.

The year test begins at the machine's present time. Here it begins at a given time, so the time stamps of dumps and
markers, which a dump script gets from the kernel, are set to the given clock too.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from tests.acceptance import test_year
from tests.clock import GivenClock
from tests.host import Host
from tests.watcher import site
from tools.oracle.passes import Pass, RecordingAdmin

_BEGIN = datetime(2024, 9, 1, 8, tzinfo=UTC)
_DAYS = 40


def record(folder: Path, *, days: int = _DAYS) -> list[Pass]:
    """Lives in ``folder``, which is made."""
    clock = GivenClock(_BEGIN.timestamp())

    class StampedHost(Host):
        """Its dumps and markers have the time stamps of the given clock from the moment they have their names."""

        def mark(self, name: str, kind: str = "done", **body: Any) -> Path:
            if (dump := self.dumps / name).exists():
                os.utime(dump, (clock.wall, clock.wall))
            aside = super().mark(f".{name}", f"{kind}.part", **body)
            os.utime(aside, (clock.wall, clock.wall))
            return aside.rename(self.dumps / f"{name}.{kind}")

    with mock.patch.object(site, "Host", StampedHost), mock.patch.object(test_year, "DAYS", days):
        year = test_year.Year(folder)
        year.clock = clock
        year.admin = admin = RecordingAdmin(year.site.host, clock)
        with year.watched():
            for day in range(days):
                year.live(day)
        year.site.state.close()
    return admin.passes
