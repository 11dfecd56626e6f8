"""Times that were recorded while the clock ran ahead. Once it is right they are no facts: they count as now.

Else a copy from a wrong clock would make every dump until its time come too old to leave, a read would hold a sync to
be running, and a retired VM would not come back.
"""

from sqlite3 import Connection

_CAPPED = (
    ("vm", "offsite_time"),
    ("vm", "offsite_at"),
    ("vm", "retired_at"),
    ("link", "read_at"),
    ("link", "read_again_at"),
    ("sync", "sealed_at"),
    ("sync", "reported_at"),
)


def cap(connection: Connection, now: float, *, longest_wait: float) -> None:
    """Sets them to ``now``; a VM waits at most ``longest_wait`` seconds from now. In seconds since the epoch."""
    for table, column in _CAPPED:
        connection.execute(f"UPDATE {table} SET {column} = :now WHERE {column} > :now", {"now": now})
    latest = {"latest": now + longest_wait}
    connection.execute("UPDATE vm SET backing_off_until = :latest WHERE backing_off_until > :latest", latest)
    # The start of a sync that is reported: a later one would be refused as older.
    query = "UPDATE sync SET started_at = :now WHERE reported_at IS NOT NULL AND started_at > :now"
    connection.execute(query, {"now": now})
