"""Folders that are removed with all that is in them, and nothing besides."""

import os
from pathlib import Path

import pytest

from core.fs.openat import open_folder
from core.fs.subtree import each_folder, remove, remove_empty


def test_a_folder_goes_with_all_that_is_in_it_and_nothing_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere" / "file").touch()
    (tmp_path / "dump" / "a" / "b").mkdir(parents=True)
    (tmp_path / "dump" / "a" / "file").touch()
    (tmp_path / "dump" / "a" / "way_out").symlink_to(tmp_path / "elsewhere")
    with open_folder(tmp_path) as folder:
        assert remove(folder, "dump")
        assert not remove(folder, "dump")
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["file", "sub"]


def test_a_link_itself_is_removed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    with open_folder(tmp_path) as folder:
        assert remove(folder, "link")
    assert (tmp_path / "elsewhere").is_dir()


def test_a_nest_of_any_depth_is_removed(tmp_path: Path) -> None:
    """Deeper than a path may be long, and than we may have files open."""
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("deeper", dir_fd=folder)
        folder, above = os.open("deeper", os.O_RDONLY, dir_fd=folder), folder
        os.close(above)
    os.close(folder)
    with open_folder(tmp_path) as opened:
        assert remove(opened, "deeper")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_file_in_it_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "some" / "sub").mkdir(parents=True)
    (tmp_path / "some" / "file").touch()
    (tmp_path / "none" / "sub").mkdir(parents=True)
    with open_folder(tmp_path) as folder:
        remove_empty(folder, "none")
        with pytest.raises(OSError, match="not empty"):
            remove_empty(folder, "some")
    assert os.listdir(tmp_path) == ["some"]


def test_folders_come_parents_first_and_not_through_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "around").symlink_to(tmp_path)
    with open_folder(tmp_path) as folder:
        assert [steps for _, steps, _ in each_folder(folder)] == [(), ("a",), ("a", "b")]
