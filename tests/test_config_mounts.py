"""What is tried out on real mounts: whether a hard link can be made, whether a read leaves its trace."""

import contextlib
import fcntl
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from core.preflight.probes import link_fault, shows_reads
from tests.mounts import Mount, mount
from tests.users import as_nobody, open_the_way

__all__ = ["mount"]  # the fixture


@pytest.fixture
def dumps(tmp_path: Path) -> Path:
    folder = tmp_path / "dumps"
    folder.mkdir()
    return folder


def everything_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_tree_inside_the_dump_folder_can_be_linked_into_before_it_exists(dumps: Path) -> None:
    """The usual case, and nothing is left behind."""
    assert link_fault(dumps, dumps / ".rsync") is None
    assert shows_reads(dumps / ".rsync")
    assert everything_in(dumps) == set()


def test_a_tree_that_exists_is_not_touched(dumps: Path) -> None:
    """The puller may be reading it at that moment."""
    tree = dumps / ".rsync"
    tree.mkdir()
    before = tree.stat()
    assert link_fault(dumps, tree) is None
    assert shows_reads(tree)
    assert tree.stat().st_mtime_ns == before.st_mtime_ns


def test_a_tree_beside_the_dumps_whose_parents_do_not_exist_yet_is_tried_in_the_nearest_folder(
    dumps: Path,
) -> None:
    """What will be made there later lies on the same mount."""
    assert link_fault(dumps, dumps.parent / "out" / "of" / "here") is None
    assert everything_in(dumps.parent) == {dumps}


def test_another_filesystem_is_named_with_its_causes(dumps: Path, mount: Mount) -> None:
    """The first mistake people make."""
    fault = link_fault(dumps, mount("tmpfs") / ".rsync")
    assert fault is not None
    assert all(cause in fault for cause in ("another filesystem", "bind mount", "ReadWritePaths", "subvolume"))


def test_a_bind_mount_with_the_same_device_number_is_found(dumps: Path, mount: Mount) -> None:
    """Two ReadWritePaths= of one unit look alike to ``stat`` and refuse hard links all the same."""
    beside = dumps.parent / "beside"
    beside.mkdir()
    bound = mount("bind", source=beside)
    assert bound.stat().st_dev == dumps.stat().st_dev
    assert link_fault(dumps, bound / ".rsync") is not None


def test_a_tree_that_is_a_mount_itself_is_found_without_writing_into_it(dumps: Path, mount: Mount) -> None:
    """Beside it a link can be made; in it, none."""
    source = dumps.parent / "source"
    source.mkdir()
    bound = mount("bind", source=source)
    around = bound.parent
    before = source.stat().st_mtime_ns
    inside = around / "inside"
    inside.mkdir()
    assert link_fault(inside, bound) is not None
    assert source.stat().st_mtime_ns == before
    assert link_fault(inside, around / "tree") is None


def test_a_tree_that_is_a_symlink_or_a_file_is_refused(dumps: Path) -> None:
    """Whoever owns the dump folder could let the links out anywhere."""
    elsewhere = dumps.parent / "elsewhere"
    elsewhere.mkdir()
    (dumps / "link").symlink_to(elsewhere)
    (dumps / "file").touch()
    assert "is a symlink" in (link_fault(dumps, dumps / "link") or "")
    assert "is not a folder" in (link_fault(dumps, dumps / "file") or "")


@pytest.mark.parametrize("options", ["noatime", "noatime,nodiratime"])
def test_a_mount_without_access_times_shows_no_reads(mount: Mount, options: str) -> None:
    """Only a real read tells: the files of other mounts of the same disk may keep theirs."""
    folder = mount("tmpfs", options)
    assert not shows_reads(folder / ".rsync")
    assert everything_in(folder) == set()


@pytest.mark.parametrize("options", ["relatime", "strictatime"])
def test_a_mount_with_access_times_shows_reads(mount: Mount, options: str) -> None:
    """Relatime, which is every distribution's default, is enough."""
    assert shows_reads(mount("tmpfs", options) / ".rsync")


def test_a_bind_mount_with_noatime_shows_no_reads_of_a_disk_that_does(dumps: Path, mount: Mount) -> None:
    """The option belongs to the mount, not to the disk."""
    assert shows_reads(dumps / ".rsync")
    assert not shows_reads(mount("bind", "noatime", source=dumps) / ".rsync")


def test_a_full_disk_is_no_mistake_of_the_configuration(mount: Mount) -> None:
    """Dumps must be able to leave from a disk that is full: then more than ever."""
    folder = mount("tmpfs", "size=64k,relatime")
    with contextlib.suppress(OSError), (folder / "vm1").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert link_fault(folder, folder / ".rsync") is None
    assert shows_reads(folder / ".rsync")
    assert everything_in(folder) == {folder / "vm1"}


def test_a_read_only_mount_is_said_to_be_one(dumps: Path, mount: Mount) -> None:
    """No pass could link there."""
    fault = link_fault(folder := mount("tmpfs", "ro"), folder / ".rsync")
    assert fault is not None
    assert f"no link can be made in {folder}" in fault
    assert "read-only file system" in fault


def test_a_folder_that_is_closed_to_this_user_is_named_with_the_user(dumps: Path) -> None:
    """Most run ``check`` as themselves first."""
    open_the_way(dumps)
    dumps.chmod(0o555)
    with as_nobody() as uid:
        fault = link_fault(dumps, dumps / ".rsync")
    assert fault == (
        f"no link can be made in {dumps} (uid {uid}: permission denied); give this user the right to write "
        "there, or run this as the user of the service"
    )
    assert everything_in(dumps) == set()


def test_dumps_that_are_not_ours_to_write_can_leave_into_a_tree_that_is(dumps: Path) -> None:
    """Then the mounts are compared, since no test file can be made beside the dumps."""
    open_the_way(dumps)
    dumps.chmod(0o555)
    outside = dumps.parent / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    with as_nobody():
        assert link_fault(dumps, outside / ".rsync") is None
        assert shows_reads(outside / ".rsync")
    assert everything_in(outside) == set()


def test_dumps_that_are_not_ours_to_write_still_show_another_mount(dumps: Path, mount: Mount) -> None:
    """Without a test link the causes are the same."""
    open_the_way(dumps)
    dumps.chmod(0o555)
    elsewhere = mount("bind", source=dumps.parent)
    open_the_way(elsewhere)
    elsewhere.chmod(0o777)
    with as_nobody():
        assert "a bind mount" in (link_fault(dumps, elsewhere / ".rsync") or "")


_PROBE_FOR_EVER = """
import sys
from pathlib import Path
from core.preflight.probes import link_fault, shows_reads
dumps = Path(sys.argv[1])
print("ready", flush=True)
while True:
    faults = link_fault(dumps, dumps / ".rsync"), not shows_reads(dumps / ".rsync")
    assert not any(faults), faults
"""


def test_what_killed_probes_have_left_goes_with_the_next_one_and_several_do_not_disturb_each_other(
    dumps: Path,
) -> None:
    """A host where ``check`` is killed now and then does not fill with dot files."""
    dice = random.Random(5)
    for _ in range(5):
        command = [sys.executable, "-c", _PROBE_FOR_EVER, str(dumps)]
        probing = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
        for one in probing:
            assert one.stdout is not None
            one.stdout.readline()
        for one in probing:
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(dice.random() / 20)  # one that ends has met a fault
            one.kill()
            assert one.communicate()[1] == b""
    assert link_fault(dumps, dumps / ".rsync") is None
    assert everything_in(dumps) == set()


def test_a_probe_that_is_in_use_is_left_alone(dumps: Path) -> None:
    """Another ``check`` is at work."""
    other = dumps / ".tidegate-probe-0"
    with other.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert link_fault(dumps, dumps / ".rsync") is None
    assert everything_in(dumps) == {other}
    assert link_fault(dumps, dumps / ".rsync") is None
    assert everything_in(dumps) == set()


def test_what_others_plant_under_the_names_of_probes_harms_nothing(dumps: Path) -> None:
    """Where anybody may write, none of them can keep the service from starting, nor have a file written into."""
    secret = dumps.parent / "secret"
    secret.write_text("mine")
    names = [dumps / f".tidegate-probe-{number}" for number in range(20)]
    names[0].symlink_to(secret)
    names[1].mkdir()
    os.mkfifo(names[2])
    os.link(secret, names[3])
    for name in names[4:]:
        name.symlink_to("nowhere")
    assert link_fault(dumps, dumps / ".rsync") is None
    assert shows_reads(dumps / ".rsync")
    assert secret.read_text() == "mine"
    assert not (dumps / "nowhere").exists()
