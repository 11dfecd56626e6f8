"""Any command of the admin's: it writes to ``$OUT``, or with ``stdout = true`` what it prints is the dump."""

import hashlib
import os

from dumps.adapter import Left, Sum, Task
from dumps.commands import Commands


class Command:
    """The command's exit status decides."""

    def dump(self, task: Task) -> Sum | None:
        """Runs it."""
        if not task.rule.stdout:
            task.commands.run(task.rule.command, OUT=str(task.out))
            return None
        target = os.open(task.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if task.rule.checksum:
                return _summed(task, target)
            task.commands.run_into(task.rule.command, target)
            return Sum(os.fstat(target).st_size, None)
        finally:
            os.close(target)

    def clean_up(self, left: Left, commands: Commands) -> None:
        """Its processes and its files are all that it has, and the runner sees to both."""


def _summed(task: Task, target: int) -> Sum:
    digest = hashlib.sha256()

    def take(part: memoryview) -> None:
        digest.update(part)
        _write(target, part)

    task.commands.run_through(task.rule.command, take)
    return Sum(os.fstat(target).st_size, digest.hexdigest())


def _write(target: int, part: memoryview) -> None:
    while part:
        part = part[os.write(target, part) :]
