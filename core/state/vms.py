"""VMs in the state: what is known of each besides its dumps."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from core import dump_history
from core.enums import FETCHED, Evidence, Force
from core.state.statements import json_list, literals, placeholders, update, words


class VmRow(NamedTuple):
    """One row of the table ``vm``. ``target`` None: no pass has looked at this VM yet.

    ``failures`` are the dumps that failed since the last one that finished.
    ``dump_times`` and ``dump_sizes`` are those of its latest dumps (``core.dump_history``): texts, since only who
    learns reads them.

    A tuple, since ten thousand of them are made for each pass.
    """

    name: str
    backup_set: str | None
    first_seen: float
    period: float | None = None
    last_dump_time: float | None = None
    last_dump_bytes: int = 0
    last_result_at: float | None = None
    last_dump_failed: bool = False
    offsite_time: float | None = None
    offsite_by: Evidence | None = None
    offsite_dump_id: int | None = None
    on_hold: bool = False
    backing_off_until: float | None = None
    retired_at: float | None = None
    target: float | None = None
    forced: Force | None = None
    offsite_at: float | None = None
    is_dropped: bool = False
    dump_times: str = ""
    failures: int = 0
    dump_sizes: str = ""

    @property
    def shrunk_from(self) -> int | None:
        """The usual size of its dumps if the newest is suspiciously smaller, else None."""
        return dump_history.shrunk_from(self.dump_sizes)

    def is_kept(self, retention: float | None, now: float) -> bool:
        """Whether the storage still has its copy: it drops each ``retention`` seconds after it came; None: never."""
        if self.offsite_time is None:
            return False
        return retention is None or self.offsite_at is None or now < self.offsite_at + retention


class VmFigures(NamedTuple):
    """What the metrics show of one VM: a tuple for each of tens of thousands at every scrape, and no VmRow."""

    name: str
    backup_set: str | None
    first_seen: float
    last_dump_time: float | None
    last_dump_bytes: int
    last_result_at: float | None
    last_dump_failed: bool
    dump_sizes: str
    offsite_time: float | None
    is_dropped: bool
    target: float | None


class VmCounts(NamedTuple):
    """How the copies of all VMs that are not retired are at one moment.

    ``past_target`` and ``past_twice_target`` count those too that have waited so long for their first copy; ``never``
    are those without a copy but for the ``new`` ones, which are known for less than their target.
    """

    vms: int
    never: int
    new: int
    stale: int
    past_target: int
    past_twice_target: int
    oldest_offsite: float | None
    first_seen: float | None


_FIELDS = VmRow._fields
_SELECT = f"SELECT {', '.join(_FIELDS)} FROM vm WHERE "
_FIGURES = f"SELECT {', '.join(VmFigures._fields)} FROM vm WHERE retired_at IS NULL ORDER BY name"
_SAVE = (
    f"INSERT INTO vm ({', '.join(_FIELDS)}) VALUES ({placeholders(_FIELDS)}) "
    f"ON CONFLICT (name) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _FIELDS[1:])}"
)
_LISTED = "IN (SELECT value FROM json_each(?))"
_EVIDENCE = {None: None} | words(Evidence)
_FORCES = {None: None} | words(Force)


def _rows(connection: Connection, where: str, *given: object) -> dict[str, VmRow]:
    return {
        name: VmRow(
            name, backup_set, first_seen, period, last_dump_time, last_dump_bytes, last_result_at, failed == 1,
            offsite_time, _EVIDENCE[evidence], offsite_dump_id, on_hold == 1, backing_off_until, retired_at, target,
            _FORCES[forced], offsite_at, is_dropped == 1, *history,
        )
        for name, backup_set, first_seen, period, last_dump_time, last_dump_bytes, last_result_at, failed,
            offsite_time, evidence, offsite_dump_id, on_hold, backing_off_until, retired_at, target,
            forced, offsite_at, is_dropped, *history
        in connection.execute(_SELECT + where, given)
    }  # fmt: skip


def all_vms(connection: Connection) -> dict[str, VmRow]:
    """Every VM that is not retired, by name, sorted."""
    return _rows(connection, "retired_at IS NULL ORDER BY name")


def one(connection: Connection, name: str) -> VmRow | None:
    """The VM of this name, or None."""
    return _rows(connection, "name = ?", name).get(name)


def by_names(connection: Connection, names: Collection[str]) -> dict[str, VmRow]:
    """VMs by name, retired ones too."""
    return _rows(connection, f"name {_LISTED} ORDER BY name", json_list(names))


def figures(connection: Connection, stretch: int) -> Iterator[list[VmFigures]]:
    """Of every VM that is not retired, sorted by name, at most ``stretch`` of them at a time."""
    rows = connection.execute(_FIGURES)
    while portion := rows.fetchmany(stretch):
        yield [VmFigures._make(row) for row in portion]


_IS_KEPT = "offsite_time IS NOT NULL AND NOT is_dropped"
_COUNTS = f"""
    SELECT count(*), count(*) FILTER (WHERE NOT is_kept AND NOT is_new), count(*) FILTER (WHERE is_new),
        count(*) FILTER (WHERE :now - offsite > target), count(*) FILTER (WHERE age > target),
        count(*) FILTER (WHERE age > 2 * target), min(offsite), min(first_seen)
    FROM (
        SELECT *, :now - coalesce(offsite, first_seen) AS age FROM (
            SELECT target, first_seen, {_IS_KEPT} AS is_kept, CASE WHEN {_IS_KEPT} THEN offsite_time END AS offsite,
                offsite_time IS NULL AND (target IS NULL OR :now - first_seen <= target) AS is_new
            FROM vm WHERE retired_at IS NULL
        )
    )
"""
_LAST_FETCHED = f"SELECT max(offsite_at) FROM vm WHERE offsite_by IN ({literals(FETCHED)}) AND retired_at IS NULL"


def counts(connection: Connection, now: float) -> VmCounts:
    """Counted by SQLite, which lets other threads of this process go on meanwhile. ``now``: seconds since the epoch."""
    return VmCounts._make(connection.execute(_COUNTS, {"now": now}).fetchone())


def last_fetched(connection: Connection) -> float | None:
    """When the storage was last seen to have fetched a dump of any VM that is not retired."""
    newest: float | None = connection.execute(_LAST_FETCHED).fetchone()[0]
    return newest


def starting_with(state: Path, start: str) -> list[str]:
    """The VMs that are not retired and whose names start so, sorted; none where the state cannot be read at once.

    For completion in a shell, while somebody holds the Tab key.
    """
    query = "SELECT name FROM vm WHERE retired_at IS NULL AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"
    file = f"{state.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(file, uri=True, timeout=_TAB_SECONDS)) as connection:
            return [name for (name,) in connection.execute(query, (len(start), start, _MOST_NAMES))]
    except sqlite3.Error:
        return []


#: A hand that waits for a shell waits no longer than this.
_TAB_SECONDS = 0.2
_MOST_NAMES = 1000


# --- written


def new(name: str, backup_set: str | None, now: float) -> VmRow:
    """A VM that is met for the first time."""
    return VmRow(name, backup_set, now)


def save(connection: Connection, rows: Iterable[VmRow]) -> None:
    """Inserts or replaces rows."""
    connection.executemany(_SAVE, rows)


def change(connection: Connection, name: str, **values: Any) -> None:
    """Updates one VM."""
    update(connection, "vm", values, "name = ?", name)


def set_targets(connection: Connection, targets: Mapping[str, float]) -> None:
    """Records the off-site age, in seconds, that each of these VMs is meant to stay under."""
    rows = [(target, name, target) for name, target in targets.items()]
    connection.executemany("UPDATE vm SET target = ? WHERE name = ? AND target IS NOT ?", rows)


def set_dropped(connection: Connection, names: Collection[str]) -> None:
    """Records that the storage has dropped the copies of these VMs, and of no others."""
    dropped = f"name {_LISTED}"
    connection.execute(f"UPDATE vm SET is_dropped = NOT is_dropped WHERE is_dropped != ({dropped})", [json_list(names)])


def end_force(connection: Connection, link_ids: Collection[int]) -> None:
    """Takes back the admin's force of the VMs whose dumps have left by it: those of these links."""
    left = f"name IN (SELECT vm FROM link WHERE id {_LISTED} AND forced IS NOT NULL)"
    update(connection, "vm", {"forced": None}, left, json_list(link_ids))


def forget(connection: Connection, name: str) -> None:
    """Removes one VM: what it had belongs to another by now."""
    connection.execute("DELETE FROM vm WHERE name = ?", (name,))


def forget_unused(connection: Connection, names: Collection[str]) -> None:
    """Removes those of these VMs that have no dump, no link and no copy: names that were a mistake."""
    connection.execute(
        f"DELETE FROM vm WHERE name {_LISTED} AND offsite_time IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM dump WHERE dump.vm = vm.name) "
        "AND NOT EXISTS (SELECT 1 FROM link WHERE link.vm = vm.name)",
        [json_list(names)],
    )


# --- what the hypervisor has


class HypervisorLook(NamedTuple):
    """``vms``: how many there were. ``without_backup``: the names of those that nobody dumps, sorted."""

    asked_at: float
    vms: int
    without_backup: tuple[str, ...]


def last_hypervisor_look(connection: Connection) -> HypervisorLook | None:
    """What was found when it was last asked; None when it never was."""
    row = connection.execute("SELECT asked_at, vms FROM hypervisor").fetchone()
    if row is None:
        return None
    names = connection.execute("SELECT vm FROM without_backup ORDER BY vm")
    return HypervisorLook(row[0], row[1], tuple(name for (name,) in names))


def record_hypervisor_look(connection: Connection, count: int, names: Collection[str], now: float) -> None:
    """Of ``count`` VMs these are in no backup."""
    connection.execute("INSERT OR REPLACE INTO hypervisor (id, asked_at, vms) VALUES (1, ?, ?)", (now, count))
    connection.execute(f"DELETE FROM without_backup WHERE vm NOT {_LISTED}", [json_list(names)])
    rows = [(name, now) for name in names]
    connection.executemany("INSERT OR IGNORE INTO without_backup (vm, since) VALUES (?, ?)", rows)
