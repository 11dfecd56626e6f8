"""Who may write: file locks on files of their own, which are never unlinked.

The lock is the kernel's (flock): a killed holder frees it at once. Who holds it is stamped into the file as a hint.
"""

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import BusyError, FaultError
from core.filenames import printable
from core.version import __version__

_STAMPED_VERSION = re.compile(r"\(tidegate (\d[^\s)]*)")
#: Advice of commands that have this option.
RETRY_OR_WAIT = "retry, or use --wait"
_POLL_SECONDS = 0.004  # the library's 0.05 s makes a waiter starve beside a busy holder


@contextmanager
def hold(path: Path, *, wait: float, what: str, advice: str = "retry later") -> Iterator[None]:
    """Holds the lock file ``path`` for the length of the block.

    Waits at most ``wait`` seconds. Raises BusyError that names the holder, FaultError when the file cannot be made.
    ``what`` and ``advice`` make its sentence: "the state file is in use" by the holder, "retry later".
    """
    from filelock import Timeout, UnixFileLock  # a fifth of what a command that only reads may cost to start

    lock = UnixFileLock(
        path, timeout=wait, mode=0o644, poll_interval=_POLL_SECONDS, fallback_to_soft=False, on_acquired=_stamp
    )
    make_for_the_folders_owner(path)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{what} by {holder(path)}; nothing was done, {advice}") from None
    except OSError as error:
        raise FaultError(f"{path}: the lock file cannot be opened: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def holder(path: Path) -> str:
    """The last holder's stamp, for people: ``"process 4711 (tidegate 1.2.3 pass)"``."""
    try:
        stamp = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        stamp = ""
    return printable(stamp) or "an unknown process"


def version_of_holder(path: Path) -> str | None:
    """The version that the last holder stamped; None when there is none to be read."""
    stamped = _STAMPED_VERSION.search(holder(path))
    return None if stamped is None else stamped[1]


def is_held(path: Path) -> bool:
    """True while somebody holds the lock. Looks with a shared lock for an instant and leaves the stamp alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _stamp(descriptor: int) -> None:
    command = " ".join(["tidegate", __version__, *(word for word in sys.argv[1:4] if not word.startswith("-"))])
    stamp = f"process {os.getpid()} ({command})\n".encode(errors="replace")
    if os.pread(descriptor, len(stamp) + 1, 0) != stamp:  # on a busy disk it takes as long as an fsync
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, stamp, 0)


def make_for_the_folders_owner(path: Path) -> None:
    """As root, makes the missing file ``path``, empty and owned as its folder is. As anybody else: nothing.

    An admin runs commands as root beside a service that has a user of its own. A lock file that root made for himself
    would lock the service out for good. SQLite does the same for the files that it puts beside the state.

    Only what was made here is given away: a name that is there already may lead to a file of root's.
    """
    if os.geteuid() != 0:
        return
    with suppress(OSError):  # opening the file will say what is wrong
        folder = path.parent.stat()
        if folder.st_uid == 0:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o644)
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        finally:
            os.close(descriptor)
