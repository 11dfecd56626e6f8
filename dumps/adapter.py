"""The seam between the runner and what makes a dump: one method, and one that cleans up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.config.dump_settings import DumpRule
from dumps.commands import Commands


@dataclass(frozen=True, slots=True)
class Task:
    """One dump to be made.

    ``out`` is the path to write: a file or a folder, which is not there yet, in a folder of its own that is removed
    with all that is in it if the dump fails. ``commands`` runs commands for it.
    """

    vm: str
    backup_set: str
    rule: DumpRule
    out: Path
    commands: Commands


@dataclass(frozen=True, slots=True)
class Written:
    """What was counted while a dump that is one file was written. ``sha256`` None: only its bytes."""

    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class FailedDump:
    """A dump that failed, or whose run was killed. Its processes have been ended, its files are still there."""

    vm: str
    backup_set: str
    out: Path
    uri: str | None = None


class Adapter(Protocol):
    """Makes dumps. One object may serve several threads: whatever belongs to one dump is in its task."""

    def dump(self, task: Task) -> Written | None:
        """Writes the dump to ``task.out`` and returns when it is whole; the sum of it where it was made on the way.

        Raises DumpFailed with a sentence, and OSError for a fault of the disk. Time-outs and the word to stop come out
        of ``task.commands`` as DumpFailed and need no care: whatever it raises, ``clean_up`` is called next.
        """
        ...

    def clean_up(self, left: FailedDump, commands: Commands) -> None:
        """Ends what a dump that failed has left elsewhere, a job of the hypervisor say. Raises DumpFailed.

        Called by the run itself, or by a later one if that was killed; perhaps twice, and where nothing is left.
        ``commands`` runs though the run is to end.
        """
        ...
