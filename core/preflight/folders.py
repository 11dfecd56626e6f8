"""What the folders of this host show against the configuration. Each problem names what would be right.

Folders are compared by device and inode, so that a symlink or a bind mount hides nothing.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from core.config.messages import Problem
from core.config.settings import WatchFolder
from core.enums import Publish, WatchMode
from core.fs.io_timeout import ask
from core.preflight.probes import link_fault, reflink_fault, shows_reads

_MOUNTS = Path("/proc/self/mountinfo")
#: Of the network, of another machine's kernel, or of a program. ``fuseblk`` is a local disk that a program reads.
_SILENT = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4"}
    | {"ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"}
)
#: Watch folders by their place in the file.
Watches = Mapping[int, WatchFolder]
_Identity = tuple[int, int]

#: A disk that has not answered by then is held to be away.
_ANSWER_SECONDS = 10.0
_DISK_IS_AWAY = frozenset({errno.ETIMEDOUT, errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.ENODEV})


def folder_problems(watches: Watches) -> Iterator[Problem]:
    """What is wrong with the watch folders and their export trees."""
    standing: dict[int, WatchFolder] = {}
    for index, watch in watches.items():
        fault, may_pass = _folder_fault(watch.path)
        if fault is not None:
            yield Problem(("watch", index, "path"), fault, may_pass)
        else:
            standing[index] = watch
    for index, watch in standing.items():
        others = [other for place, other in standing.items() if place != index]
        before = [other for place, other in standing.items() if place < index]
        if (fault := _found_twice(watch, others=others, before=before)) is not None:
            yield Problem(("watch", index, "path"), fault)
        elif (fault := _tree_fault(watch, others=others, before=before)) is not None:
            yield Problem(("watch", index, "export"), fault)
        elif watch.publish is Publish.REFLINK and (fault := reflink_fault(watch.path, watch.export)) is not None:
            yield Problem(("watch", index, "publish"), fault)


def read_problems(confirm: str, watches: Iterable[WatchFolder]) -> Iterator[Problem]:
    """``confirm = "read"`` or ``"removal"`` where the mount keeps no access times."""
    for watch in watches:
        if not shows_reads(watch.export):
            yield Problem(
                ("offsite", "confirm"),
                f'"{confirm}" cannot work: the mount of {watch.export} records no reads (noatime); '
                'mount it with relatime, or set confirm = "report"',
            )


def _folder_fault(path: Path) -> tuple[str | None, bool]:
    """What is wrong with it, and whether a disk that comes back would mend that."""
    try:
        mode = ask(str(path), _ANSWER_SECONDS, path.stat).st_mode
    except FileNotFoundError:
        return f"the folder {path} does not exist; make it (mkdir -p) or correct the path", True
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return f"the folder {path} cannot be read: {reason}", error.errno in _DISK_IS_AWAY
    fault = None if stat.S_ISDIR(mode) else f"{path} is not a folder; name the folder that the dumps are in"
    return fault, False


def _found_twice(watch: WatchFolder, *, others: list[WatchFolder], before: list[WatchFolder]) -> str | None:
    """Two watches would each record, and let out, the dumps of one folder."""
    for other in before:
        if _same(watch.path, other.path):
            return f'{watch.path} is the folder of the watch "{other.name}" too; leave one of the two out'
    for other in others:
        if other.recursive and _would_find(other.path, watch.path):
            return (
                f"{watch.path} is inside the watch folder {other.path}, which finds its dumps too; "
                f'leave one of the two out, or set recursive = false for "{other.name}"'
            )
    return None


def _tree_fault(watch: WatchFolder, *, others: list[WatchFolder], before: list[WatchFolder]) -> str | None:
    tree = watch.export
    if _same(tree, watch.path) or _within(watch.path, tree):
        return f"{tree} contains the watch folder {watch.path} itself; name a folder in it or beside it"
    for other in before:
        if _same(tree, other.export):
            return f'{tree} is the export tree of the watch "{other.name}" too; give each its own'
    for other in others:
        if _same(watch.path, other.path):
            continue  # told with the path of the second
        if _same(tree, other.path) or _within(other.path, tree):
            return f"{tree} contains the watch folder {other.path}; name a folder outside of it"
        # A watch folder that may stand inside another (recursive = false there) may have its tree in itself.
        if _within(tree, other.path) and not (_within(tree, watch.path) and _within(watch.path, other.path)):
            return f"{tree} is inside another watch folder, {other.path}; name a folder outside of it"
        # A watch folder inside another's export tree is told with that tree.
        if _within(tree, other.export) and not _within(tree, watch.path):
            return f"{tree} is inside another export tree, {other.export}; name a folder outside of it"
    return None if watch.publish is Publish.REFLINK else link_fault(watch.path, tree)


def _identity(path: Path) -> _Identity | None:
    """Device and inode; None for what is not there or cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _same(one: Path, other: Path) -> bool:
    """One folder under two names, or one name for what is not there yet."""
    identity = _identity(one)
    if identity is None:
        return os.path.realpath(one) == os.path.realpath(other)
    return identity == _identity(other)


def _way_up(path: Path) -> Iterator[tuple[Path, _Identity]]:
    """The folders around ``path``, nearest first, symlinks followed, as far as they exist."""
    for folder in Path(os.path.realpath(path)).parents:
        if (identity := _identity(folder)) is not None:
            yield folder, identity


def _within(inner: Path, outer: Path) -> bool:
    around = Path(os.path.realpath(inner)).parents
    target = _identity(outer)
    return Path(os.path.realpath(outer)) in around or any(identity == target for _, identity in _way_up(inner))


def _would_find(outer: Path, inner: Path) -> bool:
    """True where a recursive scan of ``outer`` comes to ``inner``: it goes into no folder with a dot name."""
    target = _identity(outer)
    below = Path(os.path.realpath(inner))
    for folder, identity in _way_up(inner):
        if below.name.startswith("."):
            return False
        if identity == target:
            return True
        below = folder
    return False


# --- filesystems without events


def advice(watch: WatchFolder) -> str | None:
    """What to say of a watch folder that waits for events which will not come; None where they do."""
    kind = None if watch.mode is WatchMode.POLL else silent_kind(watch.path)
    if kind is None:
        return None
    return (
        f"{watch.path} is on {kind}: the kernel reports no events for what another machine or program writes there; "
        f"a scan finds it up to {watch.scan_interval:.0f} s later; "
        'set mode = "poll" in its [[watch]] for a scan every minute'
    )


def silent_kind(path: Path) -> str | None:
    """The type of the filesystem at this path if events do not tell all of it; None too where nobody can say."""
    try:
        kind = ask(str(path), _ANSWER_SECONDS, lambda: _kind(path))
    except OSError:
        return None
    return kind if kind is not None and kind.partition(".")[0] in _SILENT else None


def _kind(path: Path) -> str | None:
    """By the mount that an open descriptor of it is on: names of mount points may lie beneath another mount."""
    folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        told = re.search(r"^mnt_id:\s*(\d+)", Path(f"/proc/self/fdinfo/{folder}").read_text(), re.MULTILINE)
    finally:
        os.close(folder)
    return None if told is None else kind_of_mount(told[1], _MOUNTS.read_text(errors="surrogateescape"))


def kind_of_mount(number: str, mounts: str) -> str | None:
    """The type of this mount in a text of the form of ``/proc/self/mountinfo``."""
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        if head.split(" ", 1)[0] == number:
            return tail.split(" ", 1)[0]
    return None
