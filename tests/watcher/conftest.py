"""What the tests of the watcher stand on."""

from pathlib import Path

import pytest

from tests.watcher.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
