"""The textfile: whole or not at all, readable by its collector, and the same text as /metrics."""

import os
import stat
from pathlib import Path

import pytest

from core.config.settings import Config
from core.errors import FaultError
from core.state.database import State
from exporters import textfile
from exporters.exposition import Exposition, render
from tests.exporters.conftest import NOW

OF_ONE_PROCESS = ("process_", "tidegate_collect_", "tidegate_config_")


def test_the_textfile_is_metrics_save_what_is_true_of_one_process(
    filled: State, exposition: Exposition, config: Config, tmp_path: Path
) -> None:
    """Byte for byte, in the same order."""
    textfile.write(tmp_path / "tidegate.prom", render(filled, config, NOW))
    written = (tmp_path / "tidegate.prom").read_text().splitlines()
    served = exposition.text(config).decode().splitlines()
    assert written == [
        line for line in served if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(OF_ONE_PROCESS)
    ]


def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    """node_exporter runs as somebody else, and the service under a umask of 077."""
    before = os.umask(0o077)
    try:
        textfile.write(tmp_path / "tidegate.prom", b"x 1\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "tidegate.prom").stat().st_mode) == 0o644


def test_it_takes_the_place_of_the_one_before_and_leaves_nothing_beside(tmp_path: Path) -> None:
    """By a rename: who has the old one open reads it to its end."""
    path = tmp_path / "tidegate.prom"
    textfile.write(path, b"x 1\n")
    with path.open("rb") as reader:
        textfile.write(path, b"x 2\n")
        assert reader.read() == b"x 1\n"
    assert path.read_bytes() == b"x 2\n"
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut leaves an empty file under the right name."""
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_rename(name: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        done.append("name")
        rename(name, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    textfile.write(tmp_path / "tidegate.prom", b"x 1\n")
    assert done == ["file", "name", "folder"]


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence that names the file, and nothing half-made beside it."""
    path = tmp_path / "tidegate.prom"
    path.write_bytes(b"x 1\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FaultError) as caught:
        textfile.write(path, b"x 2\n")
    assert str(caught.value) == f"{path}: the metrics cannot be written: No space left on device"
    assert path.read_bytes() == b"x 1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """It is not made: the collector would not look into it."""
    path = tmp_path / "missing" / "tidegate.prom"
    with pytest.raises(FaultError) as caught:
        textfile.write(path, b"x 1\n")
    assert str(caught.value) == f"{path}: the metrics cannot be written: No such file or directory"
