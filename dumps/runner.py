"""Runs the dumps of one backup set: some at once, all of them whatever becomes of one, the failed ones again."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.clock import Clock
from core.config.dump_settings import SetDumping
from core.config.settings import Config, WatchFolder
from core.enums import DumpResult
from core.errors import FaultError, TidegateError
from core.state import dumps, locks, mount_identity, vms
from core.state.database import State
from dumps.attempt import Attempt, DumpOutcome, RunContext
from dumps.dump_folder import DumpFolder, SpaceReservations
from dumps.failure import Stop, sentence_of
from dumps.recovery import Recovery
from dumps.rotation import Rotation

log = logging.getLogger("tidegate.dumps")

#: How often progress is shown.
_PROGRESS_SECONDS = 0.5
_NOT_STARTED = "the run was stopped before this VM was dumped"


@dataclass(slots=True)
class QueuedVm:
    """One VM of the set: how often its dump was begun, what is being made just now, and what became of it before."""

    vm: str
    last_bytes: int
    attempts: int = 0
    attempt: Attempt | None = None
    outcome: DumpOutcome | None = None

    def written_bytes(self) -> int:
        """What is made of it by now. Raises OSError."""
        return 0 if self.attempt is None or not self.attempt.name else self.attempt.written_bytes()


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a run. ``outcomes``: in the order of the set, each VM's last attempt, and how many it took.

    ``undone``: (dump, what was done) of those that earlier runs had left. ``removed``: names that ``keep`` let go.
    """

    started: float
    finished: float
    outcomes: tuple[tuple[DumpOutcome, int], ...]
    undone: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]

    was_stopped: bool

    @property
    def is_well(self) -> bool:
        """Whether every VM was dumped and nothing else went wrong."""
        return all(one.result is DumpResult.DONE and not one.warning for one, _ in self.outcomes)


@dataclass(slots=True)
class Runner:
    """For one run of the set ``name``. ``show`` is called twice a second with the VMs that are under way."""

    config: Config
    name: str
    dumping: SetDumping
    state: State
    clock: Clock
    stop: Stop
    show: Callable[[Mapping[str, QueuedVm]], None] = lambda _: None
    _under_way: dict[str, QueuedVm] = field(default_factory=dict)
    _removed: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def alone(self, *, wait: float) -> AbstractContextManager[None]:
        """For the length of the block no other run of the set is alive. Raises BusyError after ``wait`` seconds."""
        return locks.hold(
            self._lock_of(self.name),
            wait=wait,
            what=f"backup set {self.name!r} is already dumped",
            advice=locks.RETRY_OR_WAIT,
        )

    def run(self) -> Run:
        """Dumps all of them; to be called within ``alone``. Raises FaultError."""
        started = self.clock.now().wall
        with self._dump_folder() as folder:
            undone = tuple(self._recover(folder))
            outcomes = self._dump_all(folder)
        ordered = tuple(outcomes[vm] for vm in self.dumping.rules)
        ended = self.clock.now().wall
        return Run(started, ended, ordered, undone, tuple(self._removed), self.stop.is_asked)

    def _lock_of(self, name: str) -> Path:
        return self.state.path.with_name(f"{self.state.path.name}.dump.{name}.lock")

    def _is_dead(self, name: str) -> bool:
        """Whether no run of this set can be alive: it is ours, or one that is configured no more and does not run."""
        if name == self.name:
            return True
        return name not in self.config.backup_sets and not locks.is_held(self._lock_of(name))

    # --- before

    @contextmanager
    def _dump_folder(self) -> Iterator[DumpFolder]:
        watch = self.config.watch(self.dumping.watch)
        self._see_that_it_is_there(watch)
        with closing(DumpFolder(watch.path, self.dumping.folder)) as place:
            yield place

    def _see_that_it_is_there(self, watch: WatchFolder) -> None:
        """A disk that is not mounted leaves its mount point, and the dumps would fill another disk."""
        try:
            with self.state.read() as connection:
                is_mounted = mount_identity.is_mounted(connection, watch)
        except OSError as error:
            raise FaultError(f"{watch.path}: no dumps can be made there: {error.strerror}") from error
        if not is_mounted:
            raise FaultError(
                f"{watch.path}: another filesystem is in its place: is its disk mounted? "
                f"If the new one is to stay, run `tidegate adopt --moved {watch.name}`"
            )

    def _recover(self, folder: DumpFolder) -> Iterator[tuple[str, str]]:
        try:
            journals = self.config.dump_logs
            yield from Recovery(self.name, self._is_dead, self.dumping, folder, journals, self.clock).run()
        except OSError as error:
            raise FaultError(f"what an earlier run left cannot be cleaned up: {sentence_of(error)}") from error

    # --- all of them

    def _dump_all(self, folder: DumpFolder) -> dict[str, tuple[DumpOutcome, int]]:
        space = SpaceReservations(folder)
        context = RunContext(self.name, folder, space, self.config.dump_logs, self.clock, self.stop, self._is_known)
        waiting = deque(self._queue())
        outcomes: dict[str, tuple[DumpOutcome, int]] = {}
        running: dict[Future[DumpOutcome], QueuedVm] = {}
        with ThreadPoolExecutor(self.dumping.parallel, thread_name_prefix="dump") as pool:
            while waiting or running:
                while waiting and len(running) < self.dumping.parallel:
                    queued = waiting.popleft()
                    running[pool.submit(self._dump, queued, context)] = queued
                ended, _ = wait(running, timeout=_PROGRESS_SECONDS, return_when=FIRST_COMPLETED)
                self.show(self._under_way)
                for future in ended:
                    queued = running.pop(future)
                    queued.outcome = future.result()
                    outcomes[queued.vm] = queued.outcome, queued.attempts
                    if self._is_tried_again(queued, queued.outcome):
                        waiting.append(queued)  # after all the others: what hindered it may be over by then
        return outcomes

    def _queue(self) -> Iterator[QueuedVm]:
        with self.state.read() as connection:
            known = vms.by_names(connection, set(self.dumping.rules))
        for vm in self.dumping.rules:
            yield QueuedVm(vm, known[vm].last_dump_bytes if vm in known else 0)

    def _is_tried_again(self, queued: QueuedVm, outcome: DumpOutcome) -> bool:
        again = queued.attempts <= self.dumping.rules[queued.vm].retries
        return outcome.result is DumpResult.FAILED and again and not self.stop.is_asked

    def _dump(self, queued: QueuedVm, context: RunContext) -> DumpOutcome:
        """Never raises for what one VM alone is to blame for."""
        now = self.clock.now().wall
        if self.stop.is_asked:
            return queued.outcome or DumpOutcome(queued.vm, DumpResult.SKIPPED, now, now, error=_NOT_STARTED)
        queued.attempts += 1
        queued.attempt = Attempt(queued.vm, self.dumping.rules[queued.vm], context, queued.last_bytes)
        self._under_way[queued.vm] = queued
        try:
            outcome = queued.attempt.make()
            return self._rotated(outcome, queued.attempt, context.folder)
        except (TidegateError, OSError) as error:
            log.warning("%s: its dump failed, and no marker can be written: %s", queued.vm, sentence_of(error))
            return DumpOutcome(queued.vm, DumpResult.FAILED, now, self.clock.now().wall, error=sentence_of(error))
        finally:
            self._under_way.pop(queued.vm, None)

    def _rotated(self, outcome: DumpOutcome, attempt: Attempt, folder: DumpFolder) -> DumpOutcome:
        """A dump is made all the same where older ones cannot be removed."""
        keep = attempt.rule.keep
        if outcome.result is not DumpResult.DONE or keep is None:
            return outcome
        try:
            rotation = Rotation(self.state, self.dumping.watch, self.name, folder)
            removed = rotation.rotate(outcome.vm, keep, attempt.name)
        except (TidegateError, OSError) as error:
            return replace(outcome, warning=f"{outcome.warning}; keep: {sentence_of(error)}".removeprefix("; "))
        with self._lock:
            self._removed += removed
        return outcome

    def _is_known(self, path: str) -> bool:
        with self.state.read() as connection:
            return bool(dumps.by_paths(connection, self.dumping.watch, [path]))
