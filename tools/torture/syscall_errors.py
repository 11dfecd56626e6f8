"""An error in place of each system call on the host's disk that can fail."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tools.torture import strace
from tools.torture.points import Point
from tools.torture.rehearsal import DOCUMENTED, Stage, staged
from tools.torture.scenario import Act

_NO_ENTRY = ("EIO", "ENOSPC", "EROFS", "EPERM")
#: What each call that changes something may meet.
_CHANGING = {
    "linkat": (*_NO_ENTRY, "EMLINK", "EXDEV", "EACCES", "EDQUOT"),
    "renameat": _NO_ENTRY,
    "renameat2": (*_NO_ENTRY, "EINVAL", "EXDEV"),
    "unlinkat": ("EIO", "EROFS", "EPERM"),
    "unlink": ("EIO", "EROFS"),
    "rmdir": ("EIO", "EROFS"),
    "mkdirat": ("EIO", "ENOSPC", "EROFS"),
    "mkdir": ("EIO", "ENOSPC", "EROFS"),
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO",),
    "pwrite64": ("EIO", "ENOSPC"),
    "write": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO",),
    "fchmod": ("EPERM", "EROFS"),
    "fchown": ("EPERM", "EROFS"),
    "utimensat": ("EPERM", "EROFS"),
}
#: And what each that only looks.
_LOOKING = {
    "openat": ("EIO", "EMFILE", "EACCES"),
    "newfstatat": ("EIO",),
    "getdents64": ("EIO",),
    "read": ("EIO",),
    "pread64": ("EIO",),
    "flock": ("ENOLCK",),
    "fcntl": ("ENOLCK",),
    "statfs": ("EIO",),
    "fstatfs": ("EIO",),
    "mmap": ("ENOMEM",),
}
ERRORS = _CHANGING | _LOOKING


def points(acts: Sequence[Act], folder: Path) -> list[Point]:
    """Each call with each of its errors."""
    found = []
    for act in acts:
        with staged(act, folder) as stage:
            calls = strace.calls(act.body, stage.folder, stage.aside, tuple(ERRORS))
        for call in calls:
            if "LOCK_UN" in call.words:  # to let go of a lock cannot fail
                continue
            for error in ERRORS[call.name]:
                name = f"errors {act.name} {call.name} {call.nth} {error}"
                found.append(Point(name, partial(fail, act, call, error)))
    return found


def fail(act: Act, call: strace.Call, error: str, folder: Path) -> list[str]:
    """The command ends as it is documented to end, and what it could not do the next one does."""
    with staged(act, folder) as stage:
        ended = strace.disturbed(act.body, stage.folder, stage.aside, call, f"error={error}")
        return _ending(ended.code, ended.stderr, stage) or stage.aftermath(ended, same_end=False)


def _ending(code: int, stderr: str, stage: Stage) -> list[str]:
    if code not in DOCUMENTED or "Traceback" in stderr:
        return [f"it ends with {code}: {stderr[-900:]}", *stage.at_once()]
    return []
