"""Looks at dumps and records what is found, a batch at a time: the looks outside the lock, then one transaction.

Recording the same again changes nothing.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core import failpoints
from core.clock import Clock
from core.config.settings import Config, WatchFolder
from core.enums import DumpState, MarkerResult
from core.filenames import printable
from core.fs.io_timeout import IoTimeout
from core.reasons import Reason
from core.state import counters, dumps, vms
from core.state.database import Connection, State
from core.state.dumps import DumpRow
from watcher.merge import Merge, merge, updated_vm
from watcher.observation import Observation, Observer
from watcher.watch_tree import WatchTree

log = logging.getLogger("tidegate.watcher")

#: Dumps in one transaction: with so many its fsync costs next to nothing for each (docs/BENCHMARKS.md).
BATCH = 4000
#: As a Recorder's ``filesystem_id``: wherever the watch folder is, no marker counts as removed.
NO_FOLDER = ""

#: What a dump can be seen as while it is being copied.
_MAY_COME = frozenset({Reason.MISSING, Reason.CHANGED, Reason.VERIFY_FAILED})
_EXPECTED = frozenset({MarkerResult.RECORDED, MarkerResult.REPEATED, MarkerResult.RUNNING})


@dataclass(slots=True)
class Recorded:
    """What came of some dumps.

    ``results``: how many were news, by result. ``fresh`` are those with a new marker; ``incomplete`` those of them
    whose dump is not what the marker describes, as when the marker was copied first. ``left_out``: how many could not
    be looked at. ``is_open`` False: the watch folder itself could not be opened.
    """

    results: Counter[MarkerResult] = field(default_factory=Counter)
    fresh: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    left_out: int = 0
    is_open: bool = True

    def add(self, other: "Recorded") -> None:
        """Adds what came of another batch."""
        self.results += other.results
        self.fresh += other.fresh
        self.incomplete += other.incomplete
        self.left_out += other.left_out
        self.is_open &= other.is_open


class Recorder:
    """Of one watch folder. ``io_timeout`` None: the disk may take its time.

    ``filesystem_id`` is that of the folder that was scanned last: on any other no marker counts as removed.
    """

    def __init__(
        self,
        config: Config,
        watch: WatchFolder,
        state: State,
        clock: Clock,
        *,
        tree: WatchTree | None = None,
        io_timeout: IoTimeout | None = None,
    ) -> None:
        self.filesystem_id: str | None = None
        self._watch = watch
        self._state = state
        self._clock = clock
        self._observer = Observer(config, tree or WatchTree(config, watch))
        self._io_timeout = io_timeout

    def record(self, paths: Sequence[str], *, timed: bool = True) -> Recorded:
        """Looks at the dumps at these paths, at most BATCH, and records them in one transaction.

        Where the watch folder cannot be opened nothing is recorded: that is for a scan to find out. ``timed``: the time
        since their markers were made is counted. Raises BusyError and FaultError.
        """
        now = self._clock.now().wall
        try:
            observations = self._observe(paths, now)
        except OSError as error:
            log.warning("%s: cannot be opened: %s", self._watch.path, error.strerror)
            return Recorded(left_out=len(paths), is_open=False)
        failpoints.point("observed")
        with self._state.write() as connection:
            news = _record(connection, self._watch.name, observations, now)
            if timed:
                at = self._clock.now().wall
                counters.count_delays(connection, [at - one.marked_at for one in news if one.marked_at is not None])
        failpoints.point("recorded")
        for one in news:
            _log(self._watch, one)
        fresh = [one.seen for one in news if one.marked_at is not None]
        return Recorded(
            Counter(one.result for one in news),
            [seen.path for seen in fresh],
            [seen.path for seen in fresh if seen.reason in _MAY_COME],
            len(paths) - len(observations),
        )

    def _observe(self, paths: Sequence[str], now: float) -> list[Observation]:
        if self._io_timeout is None:
            return self._observer.observe(paths, now, self.filesystem_id)
        return self._io_timeout.ask(lambda: self._observer.observe(paths, now, self.filesystem_id))


def batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """These paths in portions for one transaction each."""
    for start in range(0, len(paths), BATCH):
        yield paths[start : start + BATCH]


class _News(NamedTuple):
    """An observation that is news. ``marked_at``: when its newest marker was made, in seconds since the epoch.

    None: it has no marker that was not known.
    """

    seen: Observation
    result: MarkerResult
    marked_at: float | None


def _log(watch: WatchFolder, news: _News) -> None:
    level = logging.INFO if news.result in _EXPECTED else logging.WARNING
    detail = f": {news.seen.detail}" if news.seen.detail else ""
    log.log(level, "%s: %s: %s%s", watch.name, printable(news.seen.path), news.result, detail)


# --- one transaction


def _record(connection: Connection, watch: str, observations: Iterable[Observation], now: float) -> list[_News]:
    by_path = {seen.path: seen for seen in observations}
    known = vms.by_names(connection, {seen.vm for seen in by_path.values() if seen.vm is not None})
    rows = _rows_by_path(connection, watch, by_path)
    merges: list[tuple[Observation, Merge]] = []
    for path, found in by_path.items():
        seen = _without_guess(found, known) if found.state is DumpState.BAD else found
        merges.append((seen, merge(watch, rows.get(path, ()), seen, now)))
    _write_dumps(connection, merges)
    _write_vms(connection, known, merges, now)
    news = [
        _News(seen, merged.result, _marked_at(seen, rows.get(seen.path, ())))
        for seen, merged in merges
        if merged.result is not None
    ]
    counters.count_many(connection, "markers", Counter(one.result for one in news))
    return news


def _rows_by_path(connection: Connection, watch: str, paths: Collection[str]) -> Mapping[str, list[DumpRow]]:
    rows: dict[str, list[DumpRow]] = defaultdict(list)
    for row in dumps.by_paths(connection, watch, list(paths)):
        rows[row.path].append(row)
    return rows


def _without_guess(seen: Observation, known: Mapping[str, vms.VmRow]) -> Observation:
    """A bad marker does not make a VM: the VM of its file name counts only where that VM is known."""
    row = known.get(seen.vm or "")
    return seen._replace(vm=None) if row is None or row.retired_at is not None else seen


def _marked_at(seen: Observation, rows: Sequence[DumpRow]) -> float | None:
    markers = seen.signature.split()
    if rows:
        known = {marker for row in rows for marker in row.signature.split()}
        markers = [marker for marker in markers if marker not in known]
    stamps = [int(marker.split(":")[1]) for marker in markers]
    return max(stamps) / 1e9 if stamps else None


def _write_dumps(connection: Connection, merges: Sequence[tuple[Observation, Merge]]) -> None:
    for _, merged in merges:
        for row_id, values in merged.changes.items():
            dumps.change(connection, row_id, **values)
    files = []
    for seen, merged in merges:
        if merged.new is not None and seen.identity is not None and seen.identity.is_folder:
            dumps.set_members(connection, dumps.add(connection, merged.new), seen.identity)
        elif merged.new is not None:
            files.append(merged.new)
    dumps.add_many(connection, files)


def _write_vms(
    connection: Connection,
    known: Mapping[str, vms.VmRow],
    merges: Sequence[tuple[Observation, Merge]],
    now: float,
) -> None:
    after = dict(known)
    for seen, merged in merges:
        is_news = merged.result is not None or merged.renamed is not None
        if is_news and seen.vm is not None and seen.state is not DumpState.BAD:
            after[seen.vm] = updated_vm(after.get(seen.vm), seen.vm, seen, merged.dump_time, now)
    vms.save(connection, [row for name, row in after.items() if row != known.get(name)])
    renamed = {merged.renamed for _, merged in merges if merged.renamed is not None}
    if renamed:
        vms.forget_unused(connection, renamed)
