"""Recording ``life``: two months of 200 VMs, hour by hour, with all that happens to them in ``tools.life``."""

from datetime import UTC, datetime
from pathlib import Path

from tools.life.life import Life
from tools.oracle.passes import Pass, RecordingAdmin

#: Before the present of any machine: the stamps that the kernel gives to files are then later than the given clock.
_END = datetime(2024, 11, 20, 12, tzinfo=UTC)
_VMS, _DAYS = 200, 60


def record(folder: Path, *, vms: int = _VMS, days: int = _DAYS) -> list[Pass]:
    """Lives in ``folder``, which is made."""
    life = Life(folder, count=vms, days=days, end=_END.timestamp())
    admin = RecordingAdmin(life.host, life.clock)
    life.admin = life.puller.admin = admin
    life.live(every=24 * days)  # its own scrapes are not needed
    life.close()
    return admin.passes
