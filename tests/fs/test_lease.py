"""Whether somebody writes into a file, as the kernel knows it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.fs.lease import is_open_for_writing, take_read_lease
from core.fs.openat import open_folder, open_to_read
from tests.users import as_nobody, open_the_way


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "dump").write_bytes(b"dump")
    with open_folder(tmp_path) as opened:
        yield opened


def test_a_file_that_is_open_for_writing_is_known(folder: int, tmp_path: Path) -> None:
    assert not is_open_for_writing(folder, "dump")
    with (tmp_path / "dump").open("ab"):
        assert is_open_for_writing(folder, "dump")
    with (tmp_path / "dump").open("rb"):
        assert not is_open_for_writing(folder, "dump")


def test_nobody_opens_a_leased_file_for_writing(folder: int) -> None:
    """Who does not want to wait is told."""
    file = open_to_read("dump", folder)
    take_read_lease(file)
    with pytest.raises(BlockingIOError):
        os.open("dump", os.O_WRONLY | os.O_NONBLOCK, dir_fd=folder)
    os.close(file)
    os.close(os.open("dump", os.O_WRONLY | os.O_NONBLOCK, dir_fd=folder))


def test_where_no_lease_is_to_be_had_it_is_not_known(folder: int, tmp_path: Path) -> None:
    """Of others' files, of a symbolic link, and of what may not be read."""
    open_the_way(tmp_path / "dump")
    (tmp_path / "link").symlink_to("dump")
    (tmp_path / "closed").touch(0o000)
    with (tmp_path / "dump").open("ab"), as_nobody() as user:
        assert is_open_for_writing(folder, "dump") == (user == os.stat("dump", dir_fd=folder).st_uid)
        assert not is_open_for_writing(folder, "link")
        assert not is_open_for_writing(folder, "closed")


def test_what_is_gone_cannot_be_looked_at(folder: int) -> None:
    with pytest.raises(FileNotFoundError):
        is_open_for_writing(folder, "gone")
