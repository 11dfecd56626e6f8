"""What the tests of the watcher stand on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watcher.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with contextlib.closing(Place(tmp_path)) as place:
        yield place
