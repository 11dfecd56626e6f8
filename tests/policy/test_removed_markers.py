"""Markers go when their dumps have their end, and one that a script is just writing is never among them."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core import failpoints
from core.fs import rename
from core.markers.format import MarkerKind, look
from policy.passes import cleanup


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(os.utime, id="touch"),
        pytest.param(lambda file: os.write(file, b'{"format": 1}\n'), id=">"),
    ],
)
@pytest.mark.parametrize("written_at", ["marker aside", "afterwards"])
def test_a_marker_that_was_opened_before_it_is_removed_is_not_lost(
    write: Callable[[int], object], written_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script of the next dump under this name has opened the marker, and writes into it a moment later."""
    folder = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "vm1.done").touch()
    marker = look(folder, "vm1", MarkerKind.DONE)
    assert marker is not None
    script = os.open(tmp_path / "vm1.done", os.O_WRONLY)

    def finish(at: str) -> None:
        if at == written_at:
            write(script)
            os.close(script)

    monkeypatch.setattr(failpoints, "hook", finish)
    cleanup._remove(folder, "vm1", marker)
    finish("afterwards")
    assert [path.name for path in tmp_path.iterdir()] == ["vm1.done"]
    os.close(folder)


def test_a_marker_that_nobody_writes_is_removed(tmp_path: Path) -> None:
    """Also while somebody reads it, as a backup does."""
    folder = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "vm1.done").touch()
    marker = look(folder, "vm1", MarkerKind.DONE)
    assert marker is not None
    with (tmp_path / "vm1.done").open("rb"):
        cleanup._remove(folder, "vm1", marker)
    assert list(tmp_path.iterdir()) == []
    os.close(folder)


def test_a_marker_that_is_emptied_to_be_written_is_kept_where_no_lease_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`command > vm1.done` gives the marker a new time when it is opened, however long the command then takes."""
    folder = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "vm1.done").touch()
    os.utime(tmp_path / "vm1.done", (1, 1))
    marker = look(folder, "vm1", MarkerKind.DONE)
    assert marker is not None
    monkeypatch.setattr(cleanup, "is_open_for_writing", lambda *_: False)
    with (tmp_path / "vm1.done").open("wb"):
        cleanup._remove(folder, "vm1", marker)
    assert [path.name for path in tmp_path.iterdir()] == ["vm1.done"]
    os.close(folder)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
@pytest.mark.parametrize("newer", [False, True], ids=["alone", "and a newer one has its name"])
def test_a_marker_is_put_back_on_a_filesystem_without_renameat2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, newer: bool
) -> None:
    """NFS and others know no flags of a rename: what was touched meanwhile stayed aside there, and was never read."""
    folder = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "vm1.done").touch()
    marker = look(folder, "vm1", MarkerKind.DONE)
    assert marker is not None

    def touch(at: str) -> None:
        if at == "marker aside":
            os.utime(next(tmp_path.iterdir()))
            if newer:
                (tmp_path / "vm1.done").write_text('{"vm": "newer"}')

    def refuse(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(rename, "_renameat2", refuse)
    monkeypatch.setattr(failpoints, "hook", touch)
    cleanup._remove(folder, "vm1", marker)
    assert [path.name for path in tmp_path.iterdir()] == ["vm1.done"]
    assert (tmp_path / "vm1.done").read_text() == ('{"vm": "newer"}' if newer else "")
    os.close(folder)
