"""``keep = N``: older dumps of a VM go, once one has succeeded and they are nowhere needed."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from core.enums import ENDED_STATES
from core.fs.fingerprint import DumpRejected, allowed_owners, identify
from core.fs.openat import open_folder
from core.state import dumps, ledger
from core.state.database import Connection, State
from core.state.dumps import DumpRow
from dumps.dump_folder import RUN, DumpFolder

log = logging.getLogger("tidegate.dumps")

#: Seconds that a pass may still need: it must not release what is being removed.
_WAIT_SECONDS = 600.0
_MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Rotation:
    """Of the dumps that the runner has made for the set ``backup_set`` in ``folder``, of the watch folder ``watch``."""

    state: State
    watch: str
    backup_set: str
    folder: DumpFolder

    def rotate(self, vm: str, keep: int, newest: str) -> list[str]:
        """Removes dumps of ``vm`` until ``keep`` good ones are left; ``newest`` is the one that was just made.

        One that still has to leave, or has left and is not known to have arrived, stays beyond the number.
        Returns the names that went. Raises BusyError, FaultError and OSError.
        """
        with self.state.pass_lock(wait=_WAIT_SECONDS):
            with self.state.read() as connection:
                going = list(self._going(connection, vm, keep, newest))
            for name in going:
                self.folder.remove(name)
        if going:
            log.info("%s: removed older dumps: %s", vm, ", ".join(going))
        return going

    def _going(self, connection: Connection, vm: str, keep: int, newest: str) -> Iterator[str]:
        outstanding = {link.dump_id for link in ledger.outstanding(connection)}
        known = [row for row in dumps.of_vm(connection, vm, _MOST_ROWS) if self._is_here(row)]
        bodies = dumps.bodies(connection, [row.id for row in known])
        good = [row for row in known if _is_mine(bodies.get(row.id)) and self._is_intact(row)]
        older = [row for row in good if row.path != self.folder.in_watch(newest)]
        for row in older[keep - 1 :]:
            if row.state in ENDED_STATES and row.id not in outstanding:
                yield row.path.rpartition("/")[2]

    def _is_here(self, row: DumpRow) -> bool:
        is_of_set = (row.watch, row.backup_set) == (self.watch, self.backup_set)
        return is_of_set and bool(row.fingerprint) and row.path.rpartition("/")[0] == self.folder.folder

    def _is_intact(self, row: DumpRow) -> bool:
        """Whether what is there is what was recorded: else it is no good dump, and none of ours to remove."""
        with open_folder(self.folder.path) as folder:
            try:
                found = identify(folder, row.path.rpartition("/")[2], allowed_owners(folder))
            except DumpRejected:
                return False
            return found.fingerprint == row.fingerprint


def _is_mine(body: str | None) -> bool:
    """Whether the runner has made it: by its markers."""
    fields = json.loads(body) if body else {}
    return isinstance(fields, dict) and RUN in fields
