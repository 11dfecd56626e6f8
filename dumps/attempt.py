"""One dump of one VM, from its claim to its marker."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from core import failpoints
from core.clock import Clock
from core.config.dump_settings import DumpRule
from core.enums import DumpResult
from core.markers.format import MAX_BYTES, MarkerKind
from core.units import format_exact_time, format_size
from dumps import leftovers
from dumps.adapter import Adapter, FailedDump, Task, Written
from dumps.adapters import ADAPTERS
from dumps.commands import Commands, open_journal
from dumps.contents import Contents, make_durable
from dumps.dump_folder import ADAPTER, RUN, URI, DumpFolder, SpaceReservations
from dumps.failure import DumpFailed, Stop, sentence_of
from dumps.verify import verify

log = logging.getLogger("tidegate.dumps")

#: ``post`` runs also when everything is to end, so that it may not take for ever.
POST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class DumpOutcome:
    """What became of one attempt. Times are seconds since the epoch.

    ``dump`` is the finished dump's path in its watch folder. ``warning``: it is made, and something else went wrong.
    """

    vm: str
    result: DumpResult
    started: float
    finished: float
    dump: str | None = None
    bytes: int = 0
    error: str = ""
    warning: str = ""
    exit_status: int | None = None
    journal: Path | None = None


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all dumps of one run share. ``is_known`` tells of a path in the watch folder whether it was ever used."""

    backup_set: str
    folder: DumpFolder
    space: SpaceReservations
    journals: Path
    clock: Clock
    stop: Stop
    is_known: Callable[[str], bool]


def environment(vm: str, backup_set: str, run: str) -> dict[str, str]:
    """What every command of a dump finds in its environment."""
    return {"VM": vm, "BACKUP_SET": backup_set, leftovers.MARK: run}


@dataclass(slots=True)
class Attempt:
    """Makes one dump. ``last_bytes``: the size of the VM's last one, 0 if unknown.

    ``trouble``: what could not be cleaned up.
    """

    vm: str
    rule: DumpRule
    context: RunContext
    last_bytes: int
    name: str = ""
    started: float = 0.0
    run: str = field(default_factory=lambda: os.urandom(16).hex())
    trouble: str = ""

    def make(self) -> DumpOutcome:
        """Whatever becomes of the dump is in the outcome. Raises OSError where not even its marker can be written."""
        self.started = self.context.clock.now().wall
        self.name = self._folder.claim(self.vm, self.rule.suffix, self.started, self._claim(), self.context.is_known)
        failpoints.point("dump claimed")
        try:
            with open_journal(self.context.journals / self.context.backup_set, self.vm, self.name) as journal:
                return self._make(journal)
        except OSError as error:
            return self._failed(error, None)
        finally:
            self.context.space.release(self.name)

    @property
    def _adapter(self) -> Adapter:
        return ADAPTERS[self.rule.adapter]

    def written_bytes(self) -> int:
        """What it takes on the disk by now. Raises OSError."""
        return self._folder.written_bytes(self.name)

    @property
    def _folder(self) -> DumpFolder:
        return self.context.folder

    def _claim(self) -> dict[str, Any]:
        return {**self._fields(), RUN: self.run, ADAPTER: self.rule.adapter, URI: self.rule.uri}

    def _fields(self) -> dict[str, Any]:
        return {"vm": self.vm, "backup_set": self.context.backup_set, "started": format_exact_time(self.started)}

    # --- making it

    def _make(self, journal: BinaryIO) -> DumpOutcome:
        commands = self._commands(journal, self.context.stop, self.rule.timeout)
        commands.note(f"{format_exact_time(self.started)} dumps {self.vm} of {self.context.backup_set} to {self.name}")
        try:
            self.context.space.reserve(self.name, self.last_bytes, self.rule.margin)
            self._folder.begin(self.name)
            made, warning = self._bracketed(commands, journal)
            failpoints.point("dump made")
            contents = make_durable(
                self._folder.out(self.name), made, checksum=self.rule.checksum, interrupt=commands.unless_stopped
            )
            verify(self.rule.verify, self._folder.out(self.name), contents, commands)
            failpoints.point("dump verified")
            return self._done(contents, warning, journal)
        except (DumpFailed, OSError) as error:
            outcome = self._failed(error, Path(journal.name))
            commands.note(f"failed: {outcome.error}")
            return outcome

    def _commands(self, journal: BinaryIO, stop: Stop, seconds: float) -> Commands:
        variables = environment(self.vm, self.context.backup_set, self.run)
        return Commands(journal, stop, {**variables, "STARTED": format_exact_time(self.started)}, seconds)

    def _bracketed(self, commands: Commands, journal: BinaryIO) -> tuple[Written | None, str]:
        """Between ``pre`` and ``post``, which runs whatever came before. Returns what ``post`` had to complain of."""
        out = self._folder.out(self.name)
        task = Task(self.vm, self.context.backup_set, self.rule, out, commands)
        try:
            if self.rule.pre:
                commands.run(self.rule.pre, OUT=str(out))
            failpoints.point("dump begins")
            made = self._adapter.dump(task)
        except BaseException:
            self._clean_up(journal)
            self._post(journal, DumpResult.FAILED)
            raise
        return made, self._post(journal, DumpResult.DONE)

    def _clean_up(self, journal: BinaryIO) -> None:
        """What it has begun elsewhere is ended, also where the run itself is to end."""
        left = FailedDump(self.vm, self.context.backup_set, self._folder.out(self.name), self.rule.uri)
        with self._unstoppable(journal) as commands:
            for end in (lambda: leftovers.end_all(self.run), lambda: self._adapter.clean_up(left, commands)):
                try:
                    end()
                except (DumpFailed, OSError) as error:
                    self.trouble += f"; {sentence_of(error)}"

    def _post(self, journal: BinaryIO, result: DumpResult) -> str:
        if not self.rule.post:
            return ""
        with self._unstoppable(journal) as commands:
            try:
                commands.run(self.rule.post, OUT=str(self._folder.out(self.name)), RESULT=result)
            except DumpFailed as error:
                commands.note(f"post: {error.sentence}")
                return f"post: {error.sentence}"
        return ""

    @contextmanager
    def _unstoppable(self, journal: BinaryIO) -> Iterator[Commands]:
        with closing(Stop()) as never:
            yield self._commands(journal, never, min(POST_SECONDS, self.rule.timeout))

    # --- its end

    def _done(self, contents: Contents, warning: str, journal: BinaryIO) -> DumpOutcome:
        self._folder.publish(self.name)
        failpoints.point("dump named")
        finished = self._now()
        body = {**self._fields(), RUN: self.run, "finished": format_exact_time(finished), **contents.marker_fields()}
        self._folder.mark(self.name, MarkerKind.DONE, body if _fits(body) else {**body, "files": None})
        failpoints.point("dump marked")
        with suppress(OSError):  # the next run sees to it
            self._folder.clear(self.name)
        size = contents.identity.bytes
        log.info("%s: dumped, %s", self.vm, format_size(size))
        path = self._folder.in_watch(self.name)
        return DumpOutcome(
            self.vm,
            DumpResult.DONE,
            self.started,
            finished,
            dump=path,
            bytes=size,
            warning=warning,
            journal=Path(journal.name),
        )

    def _failed(self, error: DumpFailed | OSError, journal: Path | None) -> DumpOutcome:
        """Undoes all of it, which also makes room for the marker. Raises OSError."""
        sentence = sentence_of(error) + self.trouble
        status = error.exit_status if isinstance(error, DumpFailed) else None
        self._folder.undo(self.name)
        failpoints.point("dump undone")
        finished = self._now()
        body: dict[str, Any] = {**self._fields(), "finished": format_exact_time(finished), "error": sentence}
        self._folder.mark(self.name, MarkerKind.FAILED, body if status is None else {**body, "exit_status": status})
        log.warning("%s: its dump failed: %s", self.vm, sentence)
        return DumpOutcome(
            self.vm,
            DumpResult.FAILED,
            self.started,
            finished,
            error=sentence,
            exit_status=status,
            journal=journal,
        )

    def _now(self) -> float:
        """Never before it was started, whatever becomes of the clock."""
        return max(self.started, self.context.clock.now().wall)


def _fits(body: dict[str, Any]) -> bool:
    """Whether a marker may be so large, and its text so: names of files may be no UTF-8."""
    try:
        return len(json.dumps(body, ensure_ascii=False).encode()) < MAX_BYTES - 1024
    except UnicodeEncodeError:
        return False
