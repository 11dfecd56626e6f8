"""Filesystems whose files change without this kernel seeing it: there no event tells of a marker.

What this host writes itself rings on them too, so that a try proves nothing: the type of the filesystem has to do.
"""

import os
import re
from pathlib import Path

from core.config.settings import WatchFolder
from core.enums import WatchMode
from core.fs.io_timeout import ask

_MOUNTS = Path("/proc/self/mountinfo")
#: Of the network, of another machine's kernel, or of a program. ``fuseblk`` is a local disk that a program reads.
_SILENT = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4"}
    | {"ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"}
)
_ANSWER_SECONDS = 10.0


def advice(watch: WatchFolder) -> str | None:
    """What to say of a watch folder that waits for events which will not come; None where they do."""
    kind = None if watch.mode is WatchMode.POLL else silent_kind(watch.path)
    if kind is None:
        return None
    return (
        f"{watch.path} is on {kind}: no event tells what another machine or program puts there, and a scan finds it "
        f'up to {watch.scan_interval:.0f} s later; set mode = "poll" in its [[watch]] for a scan every minute'
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
