"""From observations to the state: one batch, in the caller's transaction.

Recording the same observations again changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from core.config.settings import WatchFolder
from core.enums import DumpState, MarkerResult
from core.state import counters, dumps, vms
from core.state.database import Connection
from core.state.dumps import DumpRow
from watcher.merge import Merge, merge
from watcher.observation import Observation
from watcher.vm_news import told


class News(NamedTuple):
    """An observation that said something new, and its result.

    ``appeared_at`` is when the marker that says it was made, in seconds since the epoch; None when none did.
    """

    seen: Observation
    result: MarkerResult
    appeared_at: float | None


def record(connection: Connection, watch: WatchFolder, observations: Collection[Observation], now: float) -> list[News]:
    """Merges what was seen in one watch folder into the state. ``now`` is in seconds since the epoch."""
    known = vms.by_names(connection, {seen.vm for seen in observations if seen.vm is not None})
    seens = [_without_guess(seen, known) for seen in {seen.path: seen for seen in observations}.values()]
    rows = _rows_by_path(connection, watch.name, [seen.path for seen in seens])
    merges = [(seen, merge(watch.name, rows[seen.path], seen, now)) for seen in seens]
    _write_dumps(connection, merges)
    _write_vms(connection, known, merges, now)
    news = [
        News(seen, merged.result, _appeared_at(seen, rows[seen.path]))
        for seen, merged in merges
        if merged.result is not None
    ]
    counters.count_many(connection, "markers", Counter(one.result for one in news))
    return news


def _appeared_at(seen: Observation, rows: Sequence[DumpRow]) -> float | None:
    """When the latest of its markers that nobody has seen before was made."""
    known = {marker for row in rows for marker in row.signature.split()}
    stamps = [int(marker.split(":")[1]) for marker in seen.signature.split() if marker not in known]
    return max(stamps) / 1e9 if stamps else None


def _without_guess(seen: Observation, known: Mapping[str, vms.VmRow]) -> Observation:
    """A bad marker does not make a VM: what its file name suggests counts only where that VM is known."""
    if seen.state is DumpState.BAD and seen.vm is not None:
        row = known.get(seen.vm)
        if row is None or row.retired_at is not None:
            return replace(seen, vm=None)
    return seen


def _rows_by_path(connection: Connection, watch: str, paths: Sequence[str]) -> Mapping[str, list[DumpRow]]:
    rows: dict[str, list[DumpRow]] = defaultdict(list)
    for row in dumps.by_paths(connection, watch, paths):
        rows[row.path].append(row)
    return rows


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
            after[seen.vm] = told(after.get(seen.vm), seen, merged.dump_time, now)
    vms.save(connection, [row for name, row in after.items() if row != known.get(name)])
    renamed = {merged.renamed for _, merged in merges if merged.renamed is not None}
    if renamed:
        vms.forget_unused(connection, renamed)
