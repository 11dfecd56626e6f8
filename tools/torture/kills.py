"""SIGKILL in place of each system call that changes anything on the host's disk."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tools.torture import strace
from tools.torture.points import Point
from tools.torture.rehearsal import staged
from tools.torture.scenario import Act

CHANGING = (
    "linkat",
    "renameat",
    "renameat2",
    "rename",
    "unlinkat",
    "unlink",
    "mkdirat",
    "mkdir",
    "rmdir",
    "fsync",
    "fdatasync",
    "pwrite64",
    "write",
    "ftruncate",
    "fchmod",
    "fchown",
    "utimensat",
    "openat",
)


def points(acts: Sequence[Act], folder: Path) -> list[Point]:
    """Of an ``openat`` only those that may make a file."""
    found = []
    for act in acts:
        with staged(act, folder) as stage:
            made = strace.calls(act.body, stage.folder, stage.aside, CHANGING)
        calls = [call for call in made if call.name != "openat" or "O_CREAT" in call.words]
        found += [Point(f"kill {act.name} {call.name} {call.nth}", partial(kill, act, call)) for call in calls]
    return found


def kill(act: Act, call: strace.Call, folder: Path) -> list[str]:
    """Where the command comes to this call no more it runs to its end, and all must be well too."""
    with staged(act, folder) as stage:
        ended = strace.disturbed(act.body, stage.folder, stage.aside, call, "signal=SIGKILL")
        if ended.code not in (0, -9):
            return [f"it ends with {ended.code}: {ended.told()}"]
        return stage.aftermath(ended, same_end=True)
