"""Syncs: which links were in the trees when one was announced, what it transferred, and what a push may have sent."""

from collections.abc import Iterable, Mapping
from sqlite3 import Connection
from typing import Any, NamedTuple

from core.clock import Instant
from core.state.statements import insert, json_list, update


class SyncRow(NamedTuple):
    """One row of the table ``sync``. ``watch`` None: all export trees.

    ``sent_bytes`` were transferred to the storage, ``received_bytes`` came from it; None: nobody reported it. No link
    was charged for ``beyond_bytes`` of them.
    """

    id: int
    watch: str | None
    sealed_at: float | None
    reported_at: float | None
    started_at: float | None
    day: int | None
    evidence: str
    confirmed: int
    sent_bytes: int | None
    received_bytes: int | None
    beyond_bytes: int


_SELECT = f"SELECT {', '.join(SyncRow._fields)} FROM sync WHERE "


def _rows(connection: Connection, where: str, *given: object) -> list[SyncRow]:
    """Newest first."""
    return [SyncRow(*row) for row in connection.execute(f"{_SELECT}{where} ORDER BY id DESC", given)]


def add_sync(connection: Connection, **values: Any) -> int:
    """Inserts a sync and returns its id."""
    return insert(connection, "sync", values)


def change_sync(connection: Connection, sync_id: int, **values: Any) -> None:
    """Updates one sync."""
    update(connection, "sync", values, "id = ?", sync_id)


def one_sync(connection: Connection, sync_id: int) -> SyncRow:
    """The sync of this id."""
    (found,) = _rows(connection, "id = ?", sync_id)
    return found


def sync_of_process(connection: Connection, process: int, since: float) -> int | None:
    """The id of the newest sync since then that this process of a daemon serves."""
    query = "SELECT max(id) FROM sync WHERE process = ? AND started_at >= ?"
    newest: int | None = connection.execute(query, (process, since)).fetchone()[0]
    return newest


def seals(connection: Connection, since: float) -> list[SyncRow]:
    """Syncs that were announced after ``since``, newest first."""
    return _rows(connection, "sealed_at >= ?", since)


def open_seals(connection: Connection, since: float) -> list[SyncRow]:
    """Those of ``seals`` that are not reported."""
    return _rows(connection, "sealed_at >= ? AND reported_at IS NULL", since)


def reports(connection: Connection, since_day: int = 0) -> list[SyncRow]:
    """Reported syncs of this day and later, newest first; one that broke off, and ended no day, is none of them."""
    return _rows(connection, "reported_at IS NOT NULL AND evidence != '' AND day >= ?", since_day)


def since_day(connection: Connection, day: int) -> list[SyncRow]:
    """Syncs that were announced or reported on this day and later, newest first."""
    return _rows(connection, "day >= ?", day)


def seal(connection: Connection, sync_id: int, link_ids: Iterable[int]) -> None:
    """Records which links were in the trees when a sync was announced."""
    rows = [(sync_id, link_id) for link_id in link_ids]
    connection.executemany("INSERT INTO sealed_link (sync_id, link_id) VALUES (?, ?)", rows)


def sealed_links(connection: Connection, sync_id: int) -> frozenset[int]:
    """The links that were in the trees when this sync was announced."""
    rows = connection.execute("SELECT link_id FROM sealed_link WHERE sync_id = ?", (sync_id,))
    return frozenset(link_id for (link_id,) in rows)


# --- bytes transferred

_ADD_TRANSFER = (
    "INSERT INTO transfer (sync_id, link_id, bytes) VALUES (?, ?, ?) "
    "ON CONFLICT (sync_id, link_id) DO UPDATE SET bytes = max(bytes, excluded.bytes)"
)
_OF_LINKS = (
    "SELECT link_id, sum(bytes) FROM transfer WHERE link_id IN (SELECT value FROM json_each(?)) GROUP BY link_id"
)
_SENT_ON = "SELECT coalesce(sum(sent_bytes), 0), coalesce(sum(beyond_bytes), 0) FROM sync WHERE day = ?"
_ATTEMPTS_ON = (
    "SELECT started_at, sent_bytes FROM sync "
    "WHERE day = ? AND sent_bytes IS NOT NULL AND started_at IS NOT NULL ORDER BY started_at"
)


def add_transfers(connection: Connection, sync_id: int, amounts: Mapping[int, int]) -> None:
    """Records bytes transferred for links in one sync: link id -> bytes. Of what is reported twice the larger."""
    rows = [(sync_id, link_id, size) for link_id, size in amounts.items()]
    connection.executemany(_ADD_TRANSFER, rows)


def transferred_for(connection: Connection, link_ids: Iterable[int]) -> dict[int, int]:
    """Link id -> bytes transferred for it in all syncs; a link of which nothing is known is missing."""
    return dict(connection.execute(_OF_LINKS, (json_list(link_ids),)))


def sent_on(connection: Connection, day: int) -> tuple[int, int]:
    """Bytes sent to the storage in the syncs of one day, and those that no link was charged for."""
    sent, beyond = connection.execute(_SENT_ON, (day,)).fetchone()
    return sent, beyond


def attempts_on(connection: Connection, day: int) -> list[tuple[float, int]]:
    """When each sync of one day began, and its bytes to the storage, as far as they are known; the oldest first."""
    return connection.execute(_ATTEMPTS_ON, (day,)).fetchall()


# --- what `tidegate sync` may have sent: recorded before it is sent, so that no kill makes it forgotten

_LEASES = "SELECT day, leased_bytes, started_at, started_boot, started_uptime FROM sync WHERE day >= ?"


def begin_push(connection: Connection, sync_id: int, now: Instant) -> None:
    """A sync that was announced is one of ours."""
    stamp = {"started_at": now.wall, "started_boot": now.boot_id, "started_uptime": now.uptime}
    change_sync(connection, sync_id, **stamp)


def lease(connection: Connection, sync_id: int, size: int) -> None:
    """So many bytes may have been sent in this sync."""
    change_sync(connection, sync_id, leased_bytes=size)


def end_push(connection: Connection, sync_id: int, now: float) -> None:
    """A sync that was never reported is over, and has ended no day."""
    ended = {"reported_at": now, "evidence": ""}
    update(connection, "sync", ended, "id = ? AND reported_at IS NULL", sync_id)


def leased(connection: Connection, day: int, now: Instant, lately: float) -> int:
    """Bytes that may have been sent in the syncs of this day, and in those that began in the last seconds."""
    total = 0
    for number, size, *started in connection.execute(_LEASES, (day - 1,)):
        if number == day or (size and now.elapsed_since(Instant(*started)) < lately):
            total += size
    return total
