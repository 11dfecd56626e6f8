"""Any command of the admin's: it writes to ``$OUT``, or with ``stdout = true`` what it prints is the dump."""

import hashlib
import os

from core.fs.openat import open_new
from dumps.adapter import FailedDump, Task, Written
from dumps.commands import Commands


class Command:
    """The command's exit status decides."""

    def dump(self, task: Task) -> Written | None:
        """Runs it."""
        if not task.rule.stdout:
            task.commands.run(task.rule.command, OUT=str(task.out))
            return None
        target = open_new(task.out, mode=0o666)
        try:
            if task.rule.checksum:
                return _summed(task, target)
            task.commands.run_into(task.rule.command, target)
            return Written(os.fstat(target).st_size, None)
        finally:
            os.close(target)

    def clean_up(self, left: FailedDump, commands: Commands) -> None:
        """Its processes and its files are all that it has, and the runner sees to both."""


def _summed(task: Task, target: int) -> Written:
    digest = hashlib.sha256()

    def take(part: memoryview) -> None:
        digest.update(part)
        _write(target, part)

    task.commands.run_through(task.rule.command, take)
    return Written(os.fstat(target).st_size, digest.hexdigest())


def _write(target: int, part: memoryview) -> None:
    while part:
        part = part[os.write(target, part) :]
