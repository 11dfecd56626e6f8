"""The faults that a link can meet, made for real on a disk: what each does to the dumps, and what is told of it.

Each is a context in which the house's dumps ``file`` and ``folder`` (and, where it is the tree's fault, all others)
cannot be linked.
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.export.house import House
from tests.mounts import FILESYSTEMS
from tests.real_parts import cannot

BROKEN = ("file", "folder")


@dataclass(frozen=True, slots=True)
class Fault:
    """``told``: how the failure begins, reason and errno. ``of_all``: it is the tree's, and hits every dump."""

    told: str
    make: Callable[[House, Path], contextlib.AbstractContextManager[None]]
    of_all: bool = False
    spares_root: bool = False
    spares_files: bool = False
    filesystems: Sequence[str] = FILESYSTEMS
    users: Sequence[str] = ("root", "service")


def files(house: House) -> tuple[Path, Path]:
    """One file of each broken dump; the two are one inode."""
    return house.source / "file", house.source / "folder" / "sub" / "disk1"


@contextlib.contextmanager
def vanished(house: House, disk: Path) -> Iterator[None]:
    (house.source / "file").unlink()
    (house.source / "folder").rename(house.source / "moved")
    yield


@contextlib.contextmanager
def rewritten(house: House, disk: Path) -> Iterator[None]:
    for file in files(house):
        file.write_bytes(file.read_bytes()[::-1])
    yield


@contextlib.contextmanager
def open_for_writing(house: House, disk: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for file in files(house):
            stack.enter_context(file.open("r+b"))
        yield


@contextlib.contextmanager
def setuid(house: House, disk: Path) -> Iterator[None]:
    for file in files(house):
        file.chmod(0o4755)
    yield


@contextlib.contextmanager
def flagged(flag: str, *paths: Path) -> Iterator[None]:
    subprocess.run(["chattr", f"+{flag}", *paths], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", f"-{flag}", *paths], check=True)


@contextlib.contextmanager
def too_many_links(house: House, disk: Path) -> Iterator[None]:
    """65,000 on ext4, 65,535 on btrfs; nobody has met the end on xfs."""
    (disk / "links").mkdir()
    file, _ = files(house)
    assert until_it_fails(lambda name: os.link(file, disk / "links" / name)) == errno.EMLINK
    yield


@contextlib.contextmanager
def full(house: House, disk: Path) -> Iterator[None]:
    """Neither a block nor an inode is left for a folder. On most a file's link needs none."""
    (disk / "many").mkdir()
    size = 1 << 30
    with (disk / "ballast").open("wb") as ballast:
        while size >= 4096:
            try:
                os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, size)
            except OSError:
                size //= 2
    assert until_it_fails(lambda name: (disk / "many" / name).mkdir()) == errno.ENOSPC
    yield


def until_it_fails(act: Callable[[str], object]) -> int | None:
    """Does it under one name after another. Returns the errno that ended it."""
    for number in range(70_000):
        try:
            act(str(number))
        except OSError as error:
            return error.errno
    return None


@contextlib.contextmanager
def read_only(house: House, disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@contextlib.contextmanager
def mounted_over(house: House, disk: Path, *how: str) -> Iterator[None]:
    """The folder that holds the tree is another mount."""
    parent = house.tree.parent
    subprocess.run(["mount", *how, parent], check=True)
    try:
        make_tree(house)
        yield
    finally:
        subprocess.run(["umount", "--lazy", parent], check=True)


@contextlib.contextmanager
def other_subvolume(house: House, disk: Path) -> Iterator[None]:
    """It looks like a folder of the same filesystem."""
    parent = house.tree.parent
    parent.rename(disk / "away")
    subprocess.run(["btrfs", "-q", "subvolume", "create", parent], check=True)
    make_tree(house)
    yield


def make_tree(house: House) -> None:
    for folder, mode in ((house.tree, 0o755), (house.staging, 0o700)):
        folder.mkdir(mode=mode, exist_ok=True)
        os.chown(folder, house.source.stat().st_uid, -1)


@contextlib.contextmanager
def of_root(house: House, disk: Path) -> Iterator[None]:
    """The service may read it, and not write it: fs.protected_hardlinks."""
    if Path("/proc/sys/fs/protected_hardlinks").read_text() != "1\n":
        cannot("fs.protected_hardlinks is off")
    for file in files(house):
        os.chown(file, 0, 0)
        file.chmod(0o644)
    yield


@contextlib.contextmanager
def closed_tree(house: House, disk: Path) -> Iterator[None]:
    os.chown(house.tree, 0, 0)
    yield


@contextlib.contextmanager
def taken(house: House, disk: Path) -> Iterator[None]:
    """Something foreign has the name."""
    (house.tree / "file").mkdir()
    (house.tree / "folder").write_bytes(b"foreign")
    yield
    assert (house.tree / "folder").read_bytes() == b"foreign"


FAULTS = {
    "vanished": Fault("missing: ", vanished),
    "rewritten": Fault("changed: ", rewritten),
    "open for writing": Fault("open: ", open_for_writing),
    "setuid": Fault("unsafe: ", setuid),
    "EEXIST": Fault("link_error: EEXIST", taken),
    "EPERM, an immutable dump": Fault("link_error: EPERM", lambda house, _: flagged("i", *files(house))),
    "EPERM, an append-only dump": Fault("link_error: EPERM", lambda house, _: flagged("a", *files(house))),
    "EPERM, an immutable tree": Fault("link_error: EPERM", lambda house, _: flagged("i", house.tree), of_all=True),
    "EPERM, fs.protected_hardlinks": Fault("link_error: EPERM", of_root, spares_root=True),
    "EACCES, a closed tree": Fault("link_error: EACCES", closed_tree, of_all=True, spares_root=True),
    "EMLINK": Fault("link_error: EMLINK", too_many_links, filesystems=("ext4", "btrfs"), users=("service",)),
    "ENOSPC": Fault("link_error: ENOSPC", full, spares_files=True, filesystems=("ext4", "xfs")),
    "ENOSPC, also for a name": Fault("link_error: ENOSPC", full, of_all=True, filesystems=("btrfs",)),
    "EROFS": Fault("link_error: EROFS", read_only, of_all=True),
    "EXDEV, another filesystem": Fault(
        "link_error: EXDEV", lambda house, disk: mounted_over(house, disk, "-t", "tmpfs", "tmpfs"), of_all=True
    ),
    "EXDEV, a bind mount": Fault(
        "link_error: EXDEV",
        lambda house, disk: mounted_over(house, disk, "--bind", str(house.tree.parent)),
        of_all=True,
    ),
    "EXDEV, a subvolume": Fault("link_error: EXDEV", other_subvolume, of_all=True, filesystems=("btrfs",)),
}
