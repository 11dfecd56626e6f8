"""What these tests share: a folder that is the storage."""

from pathlib import Path

import pytest


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    folder.mkdir()
    return folder
