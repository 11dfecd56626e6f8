"""What the tests of the links stand on."""

from pathlib import Path

import pytest

from tests.export.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)
