"""What is opened below a descriptor is what lies there, and its access time is left alone."""

import errno
import os
from pathlib import Path

import pytest

from core.fs.openat import open_below, open_folder, open_folder_at, open_new, open_to_read, sync_at, write_new
from tests.users import as_nobody, open_the_way

LONG_AGO = 1_000_000_000


def read(file: int) -> bytes:
    with os.fdopen(file, "rb") as opened:
        return opened.read()


@pytest.mark.parametrize("step", ["link", "..", ".", "", "real/sub", "file"])
def test_no_step_leads_elsewhere(tmp_path: Path, step: str) -> None:
    """Neither through a symbolic link, nor up, nor two steps at once, nor into a file."""
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    with open_folder(tmp_path) as folder:
        with pytest.raises(NotADirectoryError):
            open_folder_at(folder, step)
        with pytest.raises(NotADirectoryError), open_below(folder, [step]):
            pass
    with pytest.raises(NotADirectoryError), open_folder(tmp_path, step):
        pass


def test_the_path_itself_may_lead_through_a_link(tmp_path: Path) -> None:
    """It is the admin's."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with open_folder(tmp_path / "link") as folder:
        assert os.fstat(folder).st_ino == (tmp_path / "real").stat().st_ino


def test_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to("secret")
    with open_folder(tmp_path) as folder, pytest.raises(OSError, match="Too many levels") as error:
        open_to_read("link", folder)
    assert error.value.errno == errno.ELOOP


def test_a_pipe_without_a_writer_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open_folder(tmp_path) as folder:
        assert read(open_to_read("pipe", folder)) == b""


def test_what_is_read_keeps_its_access_time(tmp_path: Path) -> None:
    """In an export tree that time is evidence that the storage has read."""
    file = tmp_path / "dump"
    file.write_bytes(b"dump")
    os.utime(file, (LONG_AGO, LONG_AGO))
    with open_folder(tmp_path) as folder:
        assert read(open_to_read("dump", folder)) == b"dump"
    assert file.stat().st_atime == LONG_AGO


def test_what_belongs_to_others_is_read_all_the_same(tmp_path: Path) -> None:
    """The kernel lets nobody leave the access time of others' files alone."""
    open_the_way(tmp_path / "dump")
    (tmp_path / "dump").write_bytes(b"dump")
    with as_nobody(), open_folder(tmp_path) as folder:
        assert read(open_to_read("dump", folder)) == b"dump"


def test_what_may_not_be_read_is_refused(tmp_path: Path) -> None:
    open_the_way(tmp_path / "dump")
    (tmp_path / "dump").write_bytes(b"dump")
    (tmp_path / "dump").chmod(0)
    with as_nobody(), open_folder(tmp_path) as folder, pytest.raises(PermissionError) as error:
        open_to_read("dump", folder)
    assert error.value.errno == errno.EACCES


def test_a_new_file_takes_no_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("elsewhere")
    with open_folder(tmp_path) as folder, pytest.raises(FileExistsError):
        open_new("dangling", folder)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("is_exact", "mode"), [(False, 0o600), (True, 0o644)])
def test_a_written_file_is_whole_and_has_its_mode(tmp_path: Path, *, is_exact: bool, mode: int) -> None:
    before = os.umask(0o077)
    try:
        with open_folder(tmp_path) as folder:
            write_new(folder, "new", b"content", mode=0o644, is_exact=is_exact)
            sync_at(folder, "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"content"
    assert (tmp_path / "new").stat().st_mode & 0o777 == mode


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with open_folder(tmp_path) as folder, pytest.raises(OSError, match="No space"):
        write_new(folder, "new", b"content", mode=0o644)
    assert list(tmp_path.iterdir()) == []
