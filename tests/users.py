"""Tests as another user: root may do everything, and most mistakes of permission are made by others."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534


@contextlib.contextmanager
def as_nobody() -> Iterator[int]:
    """Runs the block as a user who owns nothing, and gives its uid; without root, as the one who runs the tests."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    os.seteuid(NOBODY)
    try:
        yield NOBODY
    finally:
        os.seteuid(0)


def open_the_way(folder: Path) -> None:
    """Lets everybody go to ``folder``: pytest's own folders around it are closed to others."""
    names = [parent.name.startswith("pytest-of-") for parent in folder.parents]
    for parent in folder.parents[: names.index(True) + 1]:  # what is around that one is not ours to open
        parent.chmod(parent.stat().st_mode | 0o055)
