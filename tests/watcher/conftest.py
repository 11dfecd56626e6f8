"""What the tests of the watcher share. The fixtures ``disks``, ``hung`` and ``mount`` need root."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mounts import mount
from tests.watcher.disks import disks
from tests.watcher.hung import hung
from tests.watcher.place import Place
from tests.watcher.site import Site

__all__ = ["disks", "hung", "mount"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A watch folder that is looked at from inside the process."""
    with contextlib.closing(Place(tmp_path)) as place:
        yield place


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A host with a watch folder for a watcher that runs."""
    return Site(tmp_path)
