"""What a dump is: its files, and what is never taken for one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.fs.fingerprint import DumpRejected, Identity, allowed_owners, identify
from core.fs.openat import open_folder
from core.reasons import Reason
from tests.users import as_nobody, open_the_way


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    with open_folder(tmp_path) as descriptor:
        yield descriptor


def identity_of(path: Path) -> Identity:
    with open_folder(path.parent) as descriptor:
        return identify(descriptor, path.name, allowed_owners(descriptor))


def refusal_of(path: Path) -> DumpRejected:
    with pytest.raises(DumpRejected) as rejection:
        identity_of(path)
    return rejection.value


def a_folder(path: Path) -> Path:
    (path / "sub").mkdir(parents=True)
    (path / "disk0").write_bytes(b"zero")
    (path / "sub" / "disk1").write_bytes(b"one")
    return path


# --- what counts


def test_a_dump_weighs_what_its_files_weigh_by_name(tmp_path: Path) -> None:
    """A file under two names is sent twice by a plain rsync."""
    dump = a_folder(tmp_path / "vm1")
    os.link(dump / "disk0", dump / "disk0-again")
    assert identity_of(dump).bytes == 4 + 4 + 3


def rewrite(path: Path) -> None:
    path.write_bytes(b"ZERO")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


def replace(path: Path) -> None:
    status = path.stat()
    aside = path.with_name("aside")
    aside.write_bytes(path.read_bytes())
    os.utime(aside, ns=(status.st_atime_ns, status.st_mtime_ns))
    aside.replace(path)


@pytest.mark.parametrize("change", [rewrite, grow, replace])
@pytest.mark.parametrize("name", ["file", "folder/disk0"])
def test_another_inode_size_or_time_of_any_file_is_another_dump(
    change: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    """Nothing is read for it."""
    a_folder(tmp_path / "folder")
    (tmp_path / "file").write_bytes(b"zero")
    os.utime(tmp_path / name, ns=(1, 1))
    dump = tmp_path / name.partition("/")[0]
    before = identity_of(dump).fingerprint
    change(tmp_path / name)
    assert identity_of(dump).fingerprint != before


def test_a_file_more_or_a_file_renamed_is_another_dump(tmp_path: Path) -> None:
    """The set of names counts."""
    dump = a_folder(tmp_path / "vm1")
    seen = {identity_of(dump).fingerprint}
    (dump / "disk0").rename(dump / "disk2")
    seen.add(identity_of(dump).fingerprint)
    (dump / "empty").touch()
    seen.add(identity_of(dump).fingerprint)
    assert len(seen) == 3


def test_the_times_of_folders_and_of_reading_do_not_count(tmp_path: Path) -> None:
    """Whoever lists or reads a dump leaves it the dump that it was; so does a hard link, which moves its ctime."""
    dump = a_folder(tmp_path / "vm1")
    before = identity_of(dump)
    (dump / "disk0").read_bytes()
    os.link(dump / "disk0", tmp_path / "link")
    for folder in (dump, dump / "sub"):
        os.utime(folder, ns=(5, 5))
    assert identity_of(dump) == before


def test_files_come_in_the_order_of_their_names_whatever_the_disk_says(tmp_path: Path) -> None:
    """Equal dumps are equal."""
    names = [member.name for member in identity_of(a_folder(tmp_path / "vm1")).members]
    assert names == ["disk0", "sub/disk1"]


# --- what is no dump


def test_a_dump_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """The marker may have come first."""
    assert refusal_of(tmp_path / "vm1").reason is Reason.MISSING


def test_a_dump_without_a_byte_is_refused(tmp_path: Path) -> None:
    """A file, a folder of empty files and an empty folder: something went wrong."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    rejections = [refusal_of(tmp_path / name) for name in ("file", "folder")]
    (tmp_path / "folder" / "disk0").touch()
    rejections.append(refusal_of(tmp_path / "folder"))
    assert {(one.reason, one.detail) for one in rejections} == {(Reason.VERIFY_FAILED, "the dump is empty")}


@pytest.mark.parametrize("name", ["vm1.tmp", "vm1.part", "vm1.img.partial", "vzdump-qemu-100-2026_11_22-03_00_00.dat"])
def test_a_file_named_as_unfinished_is_still_running(name: str, tmp_path: Path) -> None:
    """Itself, or deep in a folder."""
    (tmp_path / name).write_bytes(b"x")
    inside = a_folder(tmp_path / "vm2")
    (inside / "sub" / name).write_bytes(b"x")
    assert {refusal_of(tmp_path / name).reason, refusal_of(inside).reason} == {Reason.RUNNING}


def test_a_dat_file_of_others_is_finished(tmp_path: Path) -> None:
    """Only vzdump writes into ``.dat``."""
    (tmp_path / "vm1.dat").write_bytes(b"x")
    assert identity_of(tmp_path / "vm1.dat").bytes == 1


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def setuid(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0o4755)


@pytest.mark.parametrize("make", [fifo, link, setuid])
def test_what_is_no_plain_file_makes_the_whole_dump_unsafe(make: Callable[[Path], None], tmp_path: Path) -> None:
    """As the dump itself, and anywhere in its folder."""
    make(tmp_path / "vm1")
    inside = a_folder(tmp_path / "vm2")
    make(inside / "sub" / "x")
    assert [refusal_of(tmp_path / "vm1").reason, refusal_of(inside).reason] == [Reason.UNSAFE] * 2


def test_a_file_of_a_stranger_is_unsafe(tmp_path: Path) -> None:
    """Somebody who may write into the folder links another's secret into it."""
    secret = tmp_path / "vm1"
    secret.write_bytes(b"x")
    open_the_way(secret)
    with as_nobody() as unmanaged_entry, open_folder(tmp_path) as descriptor, pytest.raises(DumpRejected) as rejection:
        identify(descriptor, "vm1", frozenset({unmanaged_entry + 1}))
    assert rejection.value.reason is Reason.UNSAFE


def test_a_folder_nested_without_end_is_refused(tmp_path: Path) -> None:
    """Sixty-four is deeper than any dump."""
    deepest = tmp_path / "vm1" / "/".join("d" * 70)
    deepest.mkdir(parents=True)
    (deepest / "disk0").write_bytes(b"x")
    assert "nested" in refusal_of(tmp_path / "vm1").detail


def test_no_part_of_the_way_to_a_folder_may_be_a_symbolic_link(tmp_path: Path) -> None:
    """The watch folder itself may be one: its path is the admin's word."""
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("real")
    (tmp_path / "real" / "alias").symlink_to("sub")
    with open_folder(tmp_path / "alias", "sub"):
        pass
    with pytest.raises(NotADirectoryError), open_folder(tmp_path / "real", "alias"):
        pass


def test_no_descriptor_is_left_open(folder: int, tmp_path: Path) -> None:
    """Whatever the outcome."""
    a_folder(tmp_path / "vm1")
    before = sorted(os.listdir("/proc/self/fd"))
    for components in (["vm1", "sub"], ["vm1", "none"], ["none"]):
        try:
            with open_folder(tmp_path, *components):
                identify(folder, "vm1", frozenset())
        except (OSError, DumpRejected):
            pass
    assert sorted(os.listdir("/proc/self/fd")) == before
