"""The ledger: days and links. What was released, on which day, and what became of it."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from core.clock import Instant
from core.enums import FETCHED, Evidence, Force, LinkState
from core.fs.fingerprint import Identity
from core.state.statements import insert, insert_many, json_list, literals, placeholders, update, words


class DayRow(NamedTuple):
    """One row of the table ``day``; its number is its key, never a date.

    As the last pass counted it ``used_bytes`` is what was released on this day and is no longer outstanding, and the
    debt of earlier days; ``debt_bytes`` is that debt, or its own.
    """

    number: int
    opened: Instant
    limit_bytes: int
    reserve_bytes: int
    used_bytes: int = 0
    debt_bytes: int = 0


class LinkRow(NamedTuple):
    """One row of the table ``link``. ``dump_id`` None: a foreign file found in the export tree.

    ``since_id`` is the first of the unread links that it replaced, each of them the one before; None: it replaced none.

    A tuple, since ten thousand of them are made for each pass.
    """

    id: int
    day: int
    watch: str
    dump_id: int | None
    vm: str | None
    export_name: str
    fingerprint: str
    bytes: int
    state: LinkState
    released_at: float
    released_boot: str
    released_uptime: float
    linked_at: float | None
    linked_ctime_ns: int | None
    confirmed_at: float | None
    confirmed_by: Evidence | None
    read_at: float | None
    ended_at: float | None
    in_tree: bool
    copy_inodes: str | None = None
    since_id: int | None = None
    read_again_at: float | None = None

    @property
    def released(self) -> Instant:
        """When it was charged to its day."""
        return Instant(self.released_at, self.released_boot, self.released_uptime)

    def identity(self, dump: Identity) -> Identity:
        """What is in the export tree of this ``dump``: itself, or a copy that shares its blocks."""
        return dump if self.copy_inodes is None else dump.of_inodes([int(one) for one in self.copy_inodes.split()])


# --- days

_OPEN_DAY = (
    "SELECT number, opened_at, opened_boot, opened_uptime, limit_bytes, reserve_bytes, used_bytes, debt_bytes "
    "FROM day WHERE closed_at IS NULL"
)
_LAST_DEBT = (
    f"SELECT day, debt_bytes FROM link WHERE debt_bytes > 0 AND state != '{LinkState.VOID}' AND day < ? "
    "ORDER BY id DESC LIMIT 1"
)
_COULD_BE_RELEASED = (
    "SELECT coalesce(sum(max(0, limit_bytes - reserve_bytes)), 0) FROM day WHERE number > ? AND number < ?"
)


def open_day(connection: Connection) -> DayRow | None:
    """The open day; None before the first one."""
    row = connection.execute(_OPEN_DAY).fetchone()
    if row is None:
        return None
    number, wall, boot, uptime, *sizes = row
    return DayRow(number, Instant(wall, boot, uptime), *sizes)


def add_day(connection: Connection, number: int, now: Instant, limit: int, reserve: int) -> DayRow:
    """Opens the day ``number``; its limit is its own from now on."""
    opened = {"opened_at": now.wall, "opened_boot": now.boot_id, "opened_uptime": now.uptime}
    insert(connection, "day", {"number": number, **opened, "limit_bytes": limit, "reserve_bytes": reserve})
    return DayRow(number, now, limit, reserve)


def change_day(connection: Connection, number: int, **values: Any) -> None:
    """Updates one day."""
    update(connection, "day", values, "number = ?", number)


def limit_of(connection: Connection, number: int) -> int:
    """The limit in bytes of one day; 0 of a day that was never opened."""
    row = connection.execute("SELECT limit_bytes FROM day WHERE number = ?", (number,)).fetchone()
    return 0 if row is None else int(row[0])


def debt(connection: Connection, *, before: int) -> int:
    """Bytes released beyond the limits of the days before the day ``before``, and not paid by them.

    There is one debt at a time, and each day after its own pays what it could have released. So it follows from rows
    that are never changed: the link that made it and the days.
    """
    last = connection.execute(_LAST_DEBT, (before,)).fetchone()
    if last is None:
        return 0
    day, owed = last
    (paid,) = connection.execute(_COULD_BE_RELEASED, (day, before)).fetchone()
    return max(0, int(owed) - int(paid))


# --- links, read

#: More than these are picked out here: SQLite takes so many parameters in one statement on every build we meet.
_MOST_NAMES = 500
_SELECT = f"SELECT {', '.join(LinkRow._fields)} FROM link WHERE "
_ENDED = f"ended_at IS NOT NULL AND state != '{LinkState.VOID}'"
_STATES = words(LinkState)
_EVIDENCE = {None: None} | words(Evidence)


def _links(connection: Connection, where: str, given: Iterable[object] = ()) -> list[LinkRow]:
    return [
        LinkRow(
            number, day, watch, dump_id, vm, os.fsdecode(name), fingerprint, size, _STATES[state],
            released_at, boot, uptime, linked_at, ctime_ns, confirmed_at,
            _EVIDENCE[evidence], read_at, ended_at, in_tree == 1, copy_inodes, since_id, read_again_at,
        )
        for number, day, watch, dump_id, vm, name, fingerprint, size, state, released_at, boot, uptime, linked_at,
            ctime_ns, confirmed_at, evidence, read_at, ended_at, in_tree, copy_inodes, since_id, read_again_at
        in connection.execute(_SELECT + where, tuple(given))
    ]  # fmt: skip


def _in_order(connection: Connection, where: str, given: Iterable[object] = ()) -> list[LinkRow]:
    """In the order of releasing. Sorted here: asked to, SQLite would read the whole ledger, which is in order."""
    return sorted(_links(connection, where, given))


def outstanding(connection: Connection) -> list[LinkRow]:
    """Links not yet confirmed, of whatever day, in the order of releasing."""
    return _in_order(connection, "ended_at IS NULL")


def outstanding_since(connection: Connection) -> dict[str, int]:
    """VM -> the day of its newest link that is not yet confirmed."""
    rows = connection.execute("SELECT id, vm, day FROM link WHERE ended_at IS NULL AND vm IS NOT NULL")
    return {vm: day for _, vm, day in sorted(rows)}


def outstanding_out_of_tree(connection: Connection) -> list[LinkRow]:
    """Those of the outstanding links that are not known to be in a tree: a pass was killed before it recorded them."""
    return _in_order(connection, "ended_at IS NULL AND NOT in_tree")


def kept(connection: Connection) -> list[LinkRow]:
    """Links recorded to be in the export trees though they have ended: a newer one may take their place."""
    return _in_order(connection, "in_tree AND ended_at IS NOT NULL")


def in_tree(connection: Connection, watch: str | None = None) -> list[LinkRow]:
    """Links recorded to be in the export trees, confirmed ones too."""
    return (
        _in_order(connection, "in_tree") if watch is None else _in_order(connection, "in_tree AND watch = ?", [watch])
    )


def under_names(connection: Connection, watch: str, names: Collection[str] | None) -> list[LinkRow]:
    """Links that are, or are just being made, in one export tree under these names; None for all."""
    here = "watch = ?"
    given: list[str | bytes] = [watch]
    if names is not None and len(names) <= _MOST_NAMES:
        here += f" AND export_name IN ({placeholders(names)})"
        given += map(os.fsencode, names)
    there = _links(connection, f"in_tree AND {here}", given)
    coming = _links(connection, f"ended_at IS NULL AND NOT in_tree AND {here}", given)
    return [one for one in there + coming if names is None or one.export_name in names]


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, LinkRow]:
    """Links by their id."""
    found = _links(connection, "id IN (SELECT value FROM json_each(?))", [json_list(ids)]) if ids else []
    return {one.id: one for one in found}


def in_tree_and(connection: Connection, states: Collection[LinkState]) -> list[LinkRow]:
    """Those of the links recorded to be in the export trees that are in one of these states."""
    return _in_order(connection, f"in_tree AND state IN ({placeholders(states)})", states)


def newest_in_tree(connection: Connection, watch: str, limit: int) -> list[LinkRow]:
    """The newest links recorded to be in the export tree of one watch folder, newest first."""
    return _links(connection, "in_tree AND watch = ? ORDER BY id DESC LIMIT ?", (watch, limit))


def of_vm(connection: Connection, vm: str, limit: int) -> list[LinkRow]:
    """The newest links of one VM, newest first."""
    return _links(connection, "vm = ? ORDER BY id DESC LIMIT ?", (vm, limit))


_TAKES_OF_DAY = (
    f"id IN (SELECT id FROM link WHERE day = ?1 AND state != '{LinkState.VOID}' "
    "UNION SELECT id FROM link INDEXED BY link_outstanding WHERE ended_at IS NULL AND day < ?1)"
)


def largest_of_day(connection: Connection, number: int, limit: int) -> list[LinkRow]:
    """The largest links that take of the open day: its own, and the outstanding ones of days before."""
    return _links(connection, f"{_TAKES_OF_DAY} ORDER BY bytes DESC, id LIMIT ?2", (number, limit))


def count_of_day(connection: Connection, number: int) -> int:
    """How many of them there are."""
    return int(connection.execute(f"SELECT count(*) FROM link WHERE {_TAKES_OF_DAY}", (number,)).fetchone()[0])


def of_day(connection: Connection, number: int) -> list[LinkRow]:
    """The links of one day, in the order of releasing."""
    return _in_order(connection, "day = ?", [number])


def of_sync(connection: Connection, sync_id: int) -> list[LinkRow]:
    """The links that were in the trees when this sync was announced, as they are now, in the order of releasing."""
    return _in_order(connection, "id IN (SELECT link_id FROM sealed_link WHERE sync_id = ?)", [sync_id])


def ended_of_day(connection: Connection, day: int) -> list[LinkRow]:
    """Links that were released on this day or later and are no longer outstanding."""
    return _links(connection, f"{_ENDED} AND day >= ?", [day])


def ended_and_recent(connection: Connection, day: int, now: Instant, seconds: float) -> list[LinkRow]:
    """Those of ``ended_of_day``, and those released so lately, of whatever day. Reads the whole ledger.

    Lately is what ``Instant.elapsed_since`` says: by the wall clock or by the uptime of this boot.
    """
    lately = "released_at > ? OR (released_boot = ? AND released_uptime > ?)"
    given = (day, now.wall - seconds, now.boot_id, now.uptime - seconds)
    return _links(connection, f"{_ENDED} AND (day >= ? OR {lately})", given)


# --- links, asked about


class Outstanding(NamedTuple):
    """All links not yet confirmed."""

    links: int
    bytes: int


_WAITING_SINCE = (
    "SELECT min(coalesce((SELECT first.released_at FROM link AS first WHERE first.id = link.since_id), released_at)) "
    "FROM link WHERE ended_at IS NULL"
)
_NEWEST_FETCHED = (
    f"SELECT max(linked_at) FROM link WHERE day >= ? AND confirmed_at <= ? AND confirmed_by IN ({literals(FETCHED)})"
)
_EXCEEDS_ITS_DAY = (
    f"SELECT 1 FROM link WHERE ended_at IS NULL AND state != '{LinkState.VOID}' "
    f"AND (forced = '{Force.OVER_LIMIT}' OR debt_bytes > 0) LIMIT 1"
)
#: ``ended_at`` is later than the opening, not as late: the report that ends a day ends its links in the same moment.
_CHARGED_WHOLE = (
    "SELECT coalesce(sum(bytes), 0) FROM link "
    f"WHERE day <= :day AND id NOT IN (SELECT link_id FROM slice) AND state != '{LinkState.VOID}' "
    "AND (ended_at IS NULL OR ended_at > (SELECT opened_at FROM day WHERE number = :day))"
)
_CHARGED_SLICES = "SELECT coalesce(sum(bytes), 0) FROM slice WHERE day = :day"


def outstanding_total(connection: Connection) -> Outstanding:
    """How many links are outstanding and their size."""
    row = connection.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM link WHERE ended_at IS NULL").fetchone()
    return Outstanding(*row)


def waiting_since(connection: Connection) -> float | None:
    """Since when the storage has not fetched what is outstanding; None: nothing is.

    A link that replaced an unread one waits since that one was released.
    """
    oldest: float | None = connection.execute(_WAITING_SINCE).fetchone()[0]
    return oldest


def newest_fetched(connection: Connection, *, since_day: int, before: float) -> float | None:
    """When the newest of those links was made that the storage was seen to have ``before``.

    Of those released on the day ``since_day`` or later. What is presumed or said by the admin was seen by nobody.
    """
    newest: float | None = connection.execute(_NEWEST_FETCHED, (since_day, before)).fetchone()[0]
    return newest


def last_read(connection: Connection, since: float) -> float | None:
    """The newest read of any link after ``since``."""
    newest: float | None = connection.execute("SELECT max(read_at) FROM link WHERE read_at > ?", (since,)).fetchone()[0]
    return newest


def has_some_read(connection: Connection, since: float) -> bool:
    """True when an outstanding link was read after ``since``."""
    query = "SELECT 1 FROM link WHERE ended_at IS NULL AND read_at > ? LIMIT 1"
    return connection.execute(query, (since,)).fetchone() is not None


def has_some_in_tree(connection: Connection, watch: str) -> bool:
    """True when a link is recorded to be in the export tree of this watch folder."""
    query = "SELECT 1 FROM link WHERE in_tree AND watch = ? LIMIT 1"
    return connection.execute(query, (watch,)).fetchone() is not None


def is_in_tree(connection: Connection, link_id: int) -> bool:
    """Whether this link is recorded to be in its export tree."""
    (found,) = connection.execute("SELECT in_tree FROM link WHERE id = ?", (link_id,)).fetchone()
    return bool(found)


def exceeds_its_day(connection: Connection) -> bool:
    """Whether a link is outstanding that was released above the limit: forced by the admin, or in debt."""
    return connection.execute(_EXCEEDS_ITS_DAY).fetchone() is not None


def charged_for(connection: Connection, day: int) -> int:
    """Bytes that were outstanding at some time of one day: what its syncs may have had to carry.

    Of a link that leaves in slices only the day's own.
    """
    sums = [connection.execute(query, {"day": day}).fetchone()[0] for query in (_CHARGED_WHOLE, _CHARGED_SLICES)]
    return sum(map(int, sums))


# --- links, written

_SET_LINKED = (
    f"UPDATE link SET state = '{LinkState.LINKED}', in_tree = 1, linked_at = ?, linked_ctime_ns = ? WHERE id = ?"
)
_SET_COPIED = "UPDATE link SET fingerprint = ?, copy_inodes = ? WHERE id = ?"


def charge(connection: Connection, rows: Sequence[dict[str, Any]], now: Instant) -> list[int]:
    """Charges the day: inserts rows of one shape in the state ``released`` and returns their ids in order."""
    stamp = {"released_at": now.wall, "released_boot": now.boot_id, "released_uptime": now.uptime}
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM link").fetchone()
    numbered = [
        {"id": number, "state": LinkState.RELEASED, "in_tree": False, **stamp, **row}
        for number, row in enumerate(rows, start=newest + 1)
    ]
    insert_many(connection, "link", numbered)
    return [row["id"] for row in numbered]


def change_link(connection: Connection, link_id: int, **values: Any) -> None:
    """Updates one link."""
    update(connection, "link", values, "id = ?", link_id)


def change_links(connection: Connection, ids: Iterable[int], **values: Any) -> None:
    """Updates links to the same values."""
    update(connection, "link", values, "id IN (SELECT value FROM json_each(?))", json_list(ids))


def rename_vm(connection: Connection, old: str, new: str) -> None:
    """Gives the links of one VM to another."""
    update(connection, "link", {"vm": new}, "vm = ?", old)


def set_linked(connection: Connection, ctimes: Iterable[tuple[int, int]], now: float) -> None:
    """Records that links are in their trees: (link id, newest ctime of its files right after linking) each."""
    connection.executemany(_SET_LINKED, [(now, ctime, link_id) for link_id, ctime in ctimes])


def set_copied(connection: Connection, copies: Mapping[int, Identity]) -> None:
    """Records what is in the tree in place of the dump: link id -> the copy."""
    connection.executemany(_SET_COPIED, [(*copied(copy).values(), link_id) for link_id, copy in copies.items()])


def copied(copy: Identity) -> dict[str, str]:
    """The columns of a link that is this copy of its dump."""
    return {"fingerprint": copy.fingerprint, "copy_inodes": " ".join(map(str, copy.inodes))}
