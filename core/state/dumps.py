"""Dumps in the state: rows, and the statements that read and write them."""

import os
from collections.abc import Collection, Iterable, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from core.enums import DumpState
from core.fs.fingerprint import Identity, Member
from core.markers.format import MarkerKind
from core.reasons import Reason
from core.state.statements import insert, insert_many, json_list, placeholders, update, words

#: SQLite takes so many parameters in one statement on every build we meet.
_BATCH = 500


class DumpRow(NamedTuple):
    """One row of the table ``dump``. A tuple, since ten thousand of them are made for each pass."""

    id: int
    watch: str
    path: str
    fingerprint: str
    is_folder: bool
    bytes: int
    vm: str | None
    series: str
    backup_set: str | None
    state: DumpState
    reason: Reason | None
    detail: str
    dump_time: float
    recorded_at: float
    ended_at: float | None
    signature: str
    has_marker: bool
    sha256: str | None


_SELECT = f"SELECT {', '.join(DumpRow._fields)} FROM dump WHERE "
_LISTED = "IN (SELECT value FROM json_each(?))"
#: Another dump of the VM has the name now. A marker's time can be later than the time of the dump it announced.
_NAME_IS_TAKEN = (
    f"dump.state = '{DumpState.SUPERSEDED}' AND EXISTS (SELECT 1 FROM dump AS other WHERE other.watch = dump.watch "
    "AND other.path = dump.path AND other.vm = dump.vm AND other.id != dump.id AND other.fingerprint != '' "
    "AND (dump.fingerprint = '' OR other.id > dump.id))"
)
#: By the index from VM to VM: how long the history of each is does not matter.
_NEWEST_OF_EACH = (
    f"id IN (SELECT (SELECT id FROM dump WHERE dump.vm = vm.name AND NOT ({_NAME_IS_TAKEN}) "
    "ORDER BY dump_time DESC, id DESC LIMIT 1) FROM vm WHERE retired_at IS NULL)"
)
_FAILED = f"instr(signature, '{MarkerKind.FAILED}:')"
_PENDING = f"ended_at IS NULL AND state = '{DumpState.PENDING}'"
_STATES = words(DumpState)
_REASONS = {None: None} | words(Reason)


def _rows(connection: Connection, where: str, given: Iterable[object] = ()) -> list[DumpRow]:
    return [
        DumpRow(
            number, watch, os.fsdecode(path), fingerprint, is_folder == 1, size, vm, series, backup_set,
            _STATES[state], _REASONS[reason], detail, dump_time, recorded_at, ended_at,
            signature, has_marker == 1, sha256,
        )
        for number, watch, path, fingerprint, is_folder, size, vm, series, backup_set,
            state, reason, detail, dump_time, recorded_at, ended_at, signature, has_marker, sha256
        in connection.execute(_SELECT + where, tuple(given))
    ]  # fmt: skip


# --- read


def by_paths(connection: Connection, watch: str, paths: Sequence[str]) -> list[DumpRow]:
    """All rows of these paths, oldest first."""
    found: list[DumpRow] = []
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        where = f"watch = ? AND path IN ({placeholders(batch)}) ORDER BY id"
        found += _rows(connection, where, [watch, *map(os.fsencode, batch)])
    return found


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, DumpRow]:
    """Rows by their id."""
    return {row.id: row for row in _rows(connection, f"id {_LISTED} ORDER BY id", [json_list(ids)])}


def unchanged(connection: Connection, rows: Iterable[DumpRow]) -> set[int]:
    """The ids of those of ``rows`` whose state, reason and fingerprint are recorded so still."""
    known = {row.id: (row.state, row.reason, row.fingerprint) for row in rows}
    query = f"SELECT id, state, reason, fingerprint FROM dump WHERE id {_LISTED}"
    return {found for found, *now in connection.execute(query, [json_list(known)]) if tuple(now) == known[found]}


def without_end(connection: Connection) -> list[DumpRow]:
    """Every dump that still needs a decision, in the order of recording.

    Sorted here: asked to, SQLite would read all that have ended as well, which come in order.
    """
    return sorted(_rows(connection, "ended_at IS NULL"))


def has_some_in(connection: Connection, states: Collection[DumpState]) -> bool:
    """True when a dump without an end is in one of these states."""
    query = f"SELECT 1 FROM dump WHERE ended_at IS NULL AND state IN ({placeholders(states)}) LIMIT 1"
    return connection.execute(query, tuple(states)).fetchone() is not None


def without_end_because(connection: Connection, reason: Reason) -> list[DumpRow]:
    """Dumps without an end that cannot leave for this reason."""
    return _rows(connection, "ended_at IS NULL AND reason = ?", [reason])


def of_vm(connection: Connection, vm: str, limit: int) -> list[DumpRow]:
    """The newest dumps of one VM, newest first."""
    return _rows(connection, "vm = ? ORDER BY dump_time DESC, id DESC LIMIT ?", (vm, limit))


def newest_of_each(connection: Connection) -> dict[str, DumpRow]:
    """VM that is not retired -> its newest dump, ended or not, but for those whose name a newer dump has taken."""
    return {row.vm: row for row in _rows(connection, _NEWEST_OF_EACH) if row.vm is not None}


def pending_by_fingerprint(connection: Connection, watch: str, fingerprint: str) -> DumpRow | None:
    """The dump that waits and is made of exactly these files."""
    rows = _rows(connection, f"{_PENDING} AND watch = ? AND fingerprint = ?", (watch, fingerprint))
    return rows[0] if rows else None


def pending_of_size(connection: Connection, watch: str, size: int) -> list[DumpRow]:
    """The dumps of one watch folder that wait and have this size."""
    return _rows(connection, f"{_PENDING} AND watch = ? AND bytes = ? AND fingerprint != ''", (watch, size))


def with_ended_markers(connection: Connection) -> list[DumpRow]:
    """Dumps that have ended while their markers may still be there."""
    return _rows(connection, "has_marker AND ended_at IS NOT NULL")


def beside_failures(connection: Connection) -> list[DumpRow]:
    """Dumps without an end beside which there is a marker of a failure too."""
    return _rows(connection, f"has_marker AND ended_at IS NULL AND {_FAILED}")


def marker_signatures(
    connection: Connection, watch: str, folder: str = "", *, before: float | None = None
) -> dict[str, str]:
    """Path -> signature of the latest row of each dump whose markers are recorded to be there.

    Only of dumps below ``folder``, a path in the watch folder, and recorded ``before``.
    """
    where, given = _standing_in(watch, folder)
    if before is not None:
        where += " AND recorded_at < ?"
        given.append(before)
    rows = connection.execute(f"SELECT path, signature FROM dump WHERE {where} ORDER BY id", given)
    return {os.fsdecode(path): signature for path, signature in rows}


def block_reasons(
    connection: Connection, watch: str, folder: str, states: Collection[DumpState]
) -> dict[str, tuple[DumpState, Reason | None]]:
    """Path -> state and reason, of those ``marker_signatures`` that are in one of these states or have a reason."""
    where, given = _standing_in(watch, folder)
    which = f"{where} AND (state IN ({placeholders(states)}) OR reason IS NOT NULL)"
    rows = connection.execute(f"SELECT path, state, reason FROM dump WHERE {which} ORDER BY id", [*given, *states])
    return {os.fsdecode(path): (_STATES[state], _REASONS[reason]) for path, state, reason in rows}


def _standing_in(watch: str, folder: str) -> tuple[str, list[object]]:
    where, given = "has_marker AND watch = ?", [watch]
    if not folder:
        return where, [*given]
    below = os.fsencode(folder)
    return f"{where} AND path > ? AND path < ?", [*given, below + b"/", below + b"0"]  # the byte after "/" is "0"


def unverified(connection: Connection, ids: Collection[int]) -> set[int]:
    """Those of these dumps that are not known to have passed their checks."""
    rows = connection.execute(f"SELECT id FROM dump WHERE id {_LISTED} AND NOT verified", [json_list(ids)])
    return {number for (number,) in rows}


def bodies(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """What the markers of these dumps hold, as JSON; of those whose markers hold anything."""
    query = f"SELECT id, body FROM dump WHERE id {_LISTED} AND body IS NOT NULL"
    return dict(connection.execute(query, [json_list(ids)]))


# --- written


def add(connection: Connection, values: dict[str, Any]) -> int:
    """Inserts one row and returns its id."""
    return insert(connection, "dump", values)


def add_many(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts rows of one shape."""
    insert_many(connection, "dump", rows)


def change(connection: Connection, dump_id: int, **values: Any) -> None:
    """Updates one row."""
    update(connection, "dump", values, "id = ?", dump_id)


def change_many(connection: Connection, ids: Iterable[int], **values: Any) -> None:
    """Updates rows to the same values."""
    update(connection, "dump", values, f"id {_LISTED}", json_list(ids))


def series_that_came_back(connection: Connection, ids: Collection[int]) -> set[int]:
    """Those of these dumps before which their VM had a confirmed dump of their series, and later one of another."""
    return {
        number
        for (number,) in connection.execute(
            "SELECT dump.id FROM dump JOIN vm ON vm.name = dump.vm JOIN dump AS copy ON copy.id = vm.offsite_dump_id "
            "WHERE dump.id IN (SELECT value FROM json_each(?)) AND dump.series != '' AND copy.series != '' "
            "AND (copy.watch, copy.series) != (dump.watch, dump.series) AND (dump.dump_time <= copy.dump_time "
            "OR EXISTS (SELECT 1 FROM dump AS before WHERE before.vm = dump.vm AND before.state = ? "
            "AND before.watch = dump.watch AND before.series = dump.series))",
            (json_list(ids), DumpState.CONFIRMED),
        )
    }


def rename_vm(connection: Connection, old: str, new: str) -> None:
    """Gives the dumps of one VM to another: by the admin's order they are of one series."""
    update(connection, "dump", {"vm": new, "series": ""}, "vm = ?", old)


# --- the files of a dump

_MEMBERS = "SELECT dump_id, name, inode, size, mtime_ns FROM member WHERE dump_id "
_ADD_MEMBER = "INSERT INTO member (dump_id, name, inode, size, mtime_ns) VALUES (?, ?, ?, ?, ?)"


def set_members(connection: Connection, dump_id: int, identity: Identity) -> None:
    """Records the files of a dump that is a folder."""
    connection.execute("DELETE FROM member WHERE dump_id = ?", (dump_id,))
    if identity.is_folder:
        rows = [
            (dump_id, os.fsencode(one.name), _signed(one.inode), one.size, one.mtime_ns) for one in identity.members
        ]
        connection.executemany(_ADD_MEMBER, rows)


def identity_of(connection: Connection, row: DumpRow) -> Identity:
    """The recorded identity of a dump that was once taken (its fingerprint is not empty)."""
    return identities_of(connection, [row])[row.id]


def identities_of(connection: Connection, rows: Collection[DumpRow]) -> dict[int, Identity]:
    """``identity_of`` for many rows, by their ids."""
    members: dict[int, list[Member]] = {row.id: [] for row in rows if row.is_folder}
    if members:
        for dump_id, name, inode, size, mtime_ns in connection.execute(_MEMBERS + _LISTED, [json_list(members)]):
            members[dump_id].append(Member(os.fsdecode(name), inode % (1 << 64), size, mtime_ns))
    found = {dump_id: Identity(True, tuple(sorted(files))) for dump_id, files in members.items()}
    return found | {row.id: file_identity(row.fingerprint) for row in rows if not row.is_folder}


def _signed(inode: int) -> int:
    """As SQLite can hold it: some filesystems use all of the 64 bits."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def file_identity(fingerprint: str) -> Identity:
    """The identity of a single file, from its fingerprint alone."""
    inode, size, mtime_ns = map(int, fingerprint.split(":"))
    return Identity(False, (Member("", inode, size, mtime_ns),))
