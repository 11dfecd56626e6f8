"""What a run that was killed has left: its processes are ended, its files removed, and its dumps marked as failed.

Whoever holds the set's lock knows that no other run of the set is alive: each claim of the set is a dead one's.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from core import failpoints
from core.clock import Clock
from core.config.dump_settings import SetDumping
from core.enums import AdapterName, DumpResult
from core.markers.format import MarkerBody, MarkerKind
from core.units import format_exact_time
from dumps import leftovers
from dumps.adapter import FailedDump
from dumps.adapters import ADAPTERS
from dumps.attempt import POST_SECONDS, environment
from dumps.commands import Commands, open_journal
from dumps.dump_folder import ADAPTER, RUN, URI, DumpFolder
from dumps.failure import DumpFailed, Stop, sentence_of

log = logging.getLogger("tidegate.dumps")

_SENTENCE = "its run was killed, or the host went down"


@dataclass(frozen=True, slots=True)
class Recovery:
    """In ``folder``, for a run of the set ``name``. ``is_dead``: whether no run of a set is alive."""

    name: str
    is_dead: Callable[[str], bool]
    dumping: SetDumping
    folder: DumpFolder
    journals: Path
    clock: Clock

    def run(self) -> Iterator[tuple[str, str]]:
        """Undoes what dead runs left. Tells of each dump its name and what was done. Raises OSError."""
        for dump, claim in list(self.folder.claims()):
            if claim.vm is None or claim.backup_set is None or RUN not in claim.extra:
                continue  # a script's own
            if self.is_dead(claim.backup_set):
                uri = claim.extra.get(URI)
                out = self.folder.out(dump)
                left = FailedDump(claim.vm, claim.backup_set, out, uri if isinstance(uri, str) else None)
                yield dump, self._undo(dump, left, claim)
        self.folder.sweep()

    def _undo(self, dump: str, left: FailedDump, claim: MarkerBody) -> str:
        if self.folder.is_marked(dump, MarkerKind.DONE):  # killed in the last instant: it is whole
            self.folder.release(dump)
            return "was finished"
        with open_journal(self.journals / left.backup_set, left.vm, dump) as journal, closing(Stop()) as never:
            marks = environment(left.vm, left.backup_set, str(claim.extra[RUN]))
            commands = Commands(journal, never, marks, seconds=POST_SECONDS)
            commands.note(f"{self._now()} cleans up: {_SENTENCE}")
            trouble = "; ".join(self._end(left, claim, commands))
        self.folder.undo(dump)
        failpoints.point("dump recovered")
        sentence = f"{_SENTENCE}; {trouble}" if trouble else _SENTENCE
        fields = {"vm": left.vm, "backup_set": left.backup_set, "finished": self._now(), "error": sentence}
        started = {} if claim.started is None else {"started": format_exact_time(claim.started)}
        self.folder.mark(dump, MarkerKind.FAILED, {**started, **fields})
        log.warning("%s: %s", dump, sentence)
        return f"was undone: {sentence}"

    def _end(self, left: FailedDump, claim: MarkerBody, commands: Commands) -> Iterator[str]:
        """Ends what may still run, and lets ``post`` do its part. Tells what does not work."""
        try:
            leftovers.end_all(str(claim.extra[RUN]))
        except DumpFailed as error:
            yield error.sentence
        try:
            ADAPTERS[AdapterName(str(claim.extra.get(ADAPTER)))].clean_up(left, commands)
        except (DumpFailed, OSError) as error:
            yield sentence_of(error)
        except ValueError:
            yield f"its adapter {claim.extra.get(ADAPTER)!r} is not known here"
        rule = self.dumping.rules.get(left.vm) if left.backup_set == self.name else None
        if rule is not None and rule.post:
            try:
                commands.run(rule.post, OUT=str(left.out), RESULT=DumpResult.FAILED)
            except DumpFailed as error:
                yield f"post: {error.sentence}"

    def _now(self) -> str:
        return format_exact_time(self.clock.now().wall)
