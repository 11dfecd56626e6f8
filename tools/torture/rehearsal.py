"""One act put on stage: its host as it was at the instant before, on a disk of this process's own."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.torture import invariants
from tools.torture.forked_command import Body, Ended, run, tidegate
from tools.torture.image_disk import Disk, copy
from tools.torture.scenario import Act

#: Exit codes that the command line documents.
DOCUMENTED = (0, 1, 2, 3, 75)


@dataclass
class Stage:
    """``folder`` is the host's, ``aside`` takes what commands print."""

    act: Act
    disk: Disk
    aside: Path

    @property
    def folder(self) -> Path:
        return self.disk.point / "host"

    def run(self, body: Body) -> Ended:
        """A command that nobody disturbs."""
        return run(body, self.folder)

    def at_once(self) -> list[str]:
        """What is wrong right now."""
        return [f"at once: {fault}" for fault in invariants.at_once(self.folder, self.act.truth)]

    def aftermath(self, ended: Ended, *, same_end: bool) -> list[str]:
        """What is wrong now, after the next pass, after another try, and after one more pass with nothing to do.

        ``same_end``: it must come to what the undisturbed command has come to.
        """
        faults = self.at_once() or self._whole_pass("after the next pass")
        if not faults and ended.code != 0 and not self.act.is_pass:
            again = self.run(self.act.body)
            if again.code not in (0, 2):
                return [f"tried again it ends with {again.code}: {again.told()}"]
            faults = self._whole_pass("after another try")
        before = invariants.everything(self.folder)
        faults = faults or self._whole_pass("after one more pass")
        if not faults and (after := invariants.everything(self.folder)) != before:
            faults = [f"a further pass changes something: {_differences(before, after)}"]
        if not faults and same_end and (come_to := invariants.end(self.folder)) != self.act.end:
            faults = [f"it comes to another end: {_differences(come_to, self.act.end)}"]
        return faults

    def _whole_pass(self, when: str) -> list[str]:
        ended = self.run(tidegate("pass", "--json"))
        if ended.code != 0 or "Traceback" in ended.stderr:
            return [f"{when}: it ends with {ended.code}: {ended.told()}"]
        day = json.loads(ended.stdout)["day"]
        found = invariants.after_a_pass(self.folder, self.act.truth, day)
        return [f"{when}: {fault}" for fault in (*found, *invariants.within_the_account(day))]


@contextmanager
def staged(
    act: Act, folder: Path, *, kind: str = "ext4", prepare: Callable[[Path], object] = lambda _: None
) -> Iterator[Stage]:
    """The act's host in this process's part of ``folder``; ``prepare`` is given its image before it is mounted."""
    own = folder / f"process-{os.getpid()}"
    own.mkdir(exist_ok=True)
    disk = Disk(own / "disk.img", own / "mounted")
    copy(act.image, disk.image)
    prepare(disk.image)
    with _turn(folder / f"{kind}.lock", shared=kind == "ext4"):
        disk.mount()
        try:
            yield Stage(act, disk, own / "papers")
        finally:
            disk.unmount()


@contextmanager
def _turn(lock: Path, *, shared: bool) -> Iterator[None]:
    """Of xfs and btrfs the kernel mounts no two copies at the same time."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def _differences(one: object, other: object) -> str:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        return "; ".join(_differences(this, that) for this, that in pairs if this != that)
    if isinstance(one, list) and isinstance(other, list):
        return f"{[each for each in one if each not in other]} against {[each for each in other if each not in one]}"
    if isinstance(one, dict) and isinstance(other, dict):
        return _differences(sorted(one.items(), key=str), sorted(other.items(), key=str))
    return f"{one} against {other}"
