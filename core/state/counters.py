"""Counters, watch folders' condition, what waits, and passes: what the metrics and the history tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from core.enums import Reason
from core.state.schema import counter, policy_pass, waiting_tally, watch_status

_NEW = upsert(counter)
#: Made once: for a single marker the making of statements took longer than SQLite.
_GROWN = _NEW.on_conflict_do_update(
    index_elements=["name", "label"], set_={"value": counter.c.value + _NEW.excluded.value}
)


def count(connection: Connection, name: str, amount: int = 1, label: str = "") -> None:
    """Adds to a counter."""
    count_many(connection, name, {label: amount})


def count_many(connection: Connection, name: str, amounts: Mapping[str, int]) -> None:
    """Adds to the counters of one name: label -> amount."""
    rows = [{"name": name, "label": label, "value": amount} for label, amount in amounts.items() if amount]
    if not rows:
        return
    connection.execute(_GROWN, rows)


def counters(connection: Connection) -> Mapping[str, Mapping[str, int]]:
    """Name -> label -> value."""
    found: dict[str, dict[str, int]] = {}
    for name, label, value in connection.execute(select(counter.c.name, counter.c.label, counter.c.value)):
        found.setdefault(name, {})[label] = value
    return found


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """How a watch folder was when it was last looked at."""

    watch: str
    up: bool
    detail: str
    last_scan_at: float | None
    last_scan_seconds: float | None
    filesystem_id: str | None = None
    unmounted_since: float | None = None
    listening: bool | None = None
    free_bytes: int | None = None
    pinned_bytes: int | None = None


def watch_statuses(connection: Connection) -> dict[str, WatchStatus]:
    """Condition of every watch folder ever looked at, by name."""
    rows = connection.execute(select(watch_status)).mappings()
    return {row["watch"]: WatchStatus(**row) for row in rows}


def set_watch_status(connection: Connection, watch: str, **values: Any) -> None:
    """Updates the condition of one watch folder: fields of WatchStatus. One that is new is not up unless said so."""
    statement = upsert(watch_status).values(**{"watch": watch, "up": False} | values)
    connection.execute(statement.on_conflict_do_update(index_elements=["watch"], set_=values))


def set_waiting(connection: Connection, tally: Mapping[Reason, tuple[int, int]]) -> None:
    """Replaces what is told of the dumps that wait: reason -> (dumps, bytes)."""
    connection.execute(delete(waiting_tally))
    rows = [{"reason": reason, "dumps": dumps, "bytes": size} for reason, (dumps, size) in tally.items()]
    if rows:
        connection.execute(insert(waiting_tally), rows)


def waiting(connection: Connection) -> dict[Reason, tuple[int, int]]:
    """What the last pass left waiting: reason -> (dumps, bytes)."""
    rows = connection.execute(select(waiting_tally.c.reason, waiting_tally.c.dumps, waiting_tally.c.bytes))
    return {reason: (dumps, size) for reason, dumps, size in rows}


@dataclass(frozen=True, slots=True)
class PassRow:
    """One run of the policy. ``finished_at`` None: it runs, or was killed."""

    id: int
    started_at: float
    finished_at: float | None
    day: int | None
    released: int
    released_bytes: int
    held: int
    failures: int


def start_pass(connection: Connection, now: float) -> int:
    """Records that a pass begins and returns its id."""
    return int(connection.execute(insert(policy_pass).values(started_at=now).returning(policy_pass.c.id)).scalar_one())


def finish_pass(connection: Connection, pass_id: int, **values: Any) -> None:
    """Records what a pass did."""
    connection.execute(update(policy_pass).where(policy_pass.c.id == pass_id).values(**values))


def last_passes(connection: Connection, limit: int) -> list[PassRow]:
    """The newest passes, newest first."""
    query = select(policy_pass).order_by(policy_pass.c.id.desc()).limit(limit)
    return [PassRow(**row) for row in connection.execute(query).mappings()]


def pass_times(connection: Connection) -> tuple[float | None, float | None]:
    """When the newest pass started and when one last ran to its end; None each before the first."""
    times = select(func.max(policy_pass.c.started_at), func.max(policy_pass.c.finished_at))
    started, finished = connection.execute(times).one()
    return started, finished
