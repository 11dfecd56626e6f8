"""The log of one dump: what was run, what that printed, and what came of it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

#: Of each VM so many logs stay.
_KEPT = 30


def open_journal(folder: Path, vm: str, name: str) -> BinaryIO:
    """A new log for the dump of this name, in the VM's own folder, less those that nobody reads any more.

    Raises OSError.
    """
    own = folder / vm
    own.mkdir(parents=True, exist_ok=True)
    path = own / f"{name}.log"
    journal = open(path, "a+b", buffering=0, opener=_private)  # noqa: SIM115 - it is the caller's to close
    for old in sorted(own.glob("*.log"), key=_written)[:-_KEPT]:
        with suppress(OSError):  # two runs may tidy at once
            old.unlink()
    return cast(BinaryIO, journal)


def _private(path: str, flags: int) -> int:
    """What commands print may be nobody else's business."""
    return os.open(path, flags, 0o640)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
