"""From one version of the state file to the next.

The version stands in the file's ``user_version``. Each step is one function, run in one transaction with the change
of the version, after the file was copied beside itself. To add one: raise ``SCHEMA_VERSION``, change the tables, and
put a function here that alters the older file.
"""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import Connection

from core.errors import NewerStateError
from core.state.schema import SCHEMA_VERSION, metadata


def _know_footings(connection: Connection) -> None:
    for column in ("footing TEXT", "unmounted_since FLOAT", "listening BOOLEAN"):
        connection.exec_driver_sql(f"ALTER TABLE watch_status ADD COLUMN {column}")


def _know_more_rules(connection: Connection) -> None:
    for table, column in (
        ("vm", "dump_times TEXT NOT NULL DEFAULT ''"),
        ("vm", "failures INTEGER NOT NULL DEFAULT '0'"),
        ("vm", "forced TEXT"),
        ("vm", "offsite_at FLOAT"),
        ("vm", "is_dropped BOOLEAN NOT NULL DEFAULT '0'"),
        ("link", "forced TEXT"),
        ("link", "debt_bytes INTEGER NOT NULL DEFAULT '0'"),
        ("day", "debt_bytes INTEGER NOT NULL DEFAULT '0'"),
    ):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    connection.exec_driver_sql(
        "UPDATE vm SET dump_times = (SELECT coalesce(group_concat(time, ' '), '') FROM ("
        "SELECT CAST(dump_time AS INTEGER) AS time FROM dump WHERE dump.vm = vm.name AND dump.fingerprint != '' "
        "ORDER BY dump_time DESC LIMIT 12))"
    )
    connection.exec_driver_sql("UPDATE vm SET failures = last_dump_failed")
    connection.exec_driver_sql("CREATE INDEX link_in_debt ON link (id) WHERE debt_bytes > 0")
    connection.exec_driver_sql(
        "UPDATE vm SET offsite_at = coalesce("
        "(SELECT max(confirmed_at) FROM link WHERE link.dump_id = vm.offsite_dump_id), offsite_time)"
    )


def _know_what_crossed(connection: Connection) -> None:
    for column in (
        "sent_bytes INTEGER",
        "received_bytes INTEGER",
        "beyond_bytes INTEGER NOT NULL DEFAULT '0'",
        "process INTEGER",
    ):
        connection.exec_driver_sql(f"ALTER TABLE sync ADD COLUMN {column}")
    connection.exec_driver_sql(
        "CREATE TABLE crossing (sync_id INTEGER NOT NULL, link_id INTEGER NOT NULL, bytes INTEGER NOT NULL, "
        "PRIMARY KEY (sync_id, link_id), FOREIGN KEY(sync_id) REFERENCES sync (id) ON DELETE CASCADE, "
        "FOREIGN KEY(link_id) REFERENCES link (id)) WITHOUT ROWID"
    )
    connection.exec_driver_sql("CREATE INDEX crossing_of_link ON crossing (link_id)")


def _know_copies(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE link ADD COLUMN copy_inodes TEXT")


def _know_pushes(connection: Connection) -> None:
    for column in (
        "leased_bytes INTEGER NOT NULL DEFAULT '0'",
        "started_boot TEXT NOT NULL DEFAULT ''",
        "started_uptime FLOAT NOT NULL DEFAULT '0'",
    ):
        connection.exec_driver_sql(f"ALTER TABLE sync ADD COLUMN {column}")
    connection.exec_driver_sql("CREATE INDEX sync_by_day ON sync (day)")


def _know_what_is_usual(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE vm ADD COLUMN dump_sizes TEXT NOT NULL DEFAULT ''")
    connection.exec_driver_sql(
        "UPDATE vm SET dump_sizes = (SELECT coalesce(group_concat(size, ' '), '') FROM ("
        "SELECT CAST(dump_time AS INTEGER) || ':' || bytes AS size FROM dump "
        "WHERE dump.vm = vm.name AND dump.fingerprint != '' ORDER BY dump_time DESC LIMIT 6))"
    )
    connection.exec_driver_sql("CREATE TABLE without_backup (vm TEXT NOT NULL, since FLOAT NOT NULL, PRIMARY KEY (vm))")
    connection.exec_driver_sql(
        "CREATE TABLE hypervisor (id INTEGER NOT NULL, asked_at FLOAT NOT NULL, vms INTEGER NOT NULL, PRIMARY KEY (id))"
    )


def _know_room(connection: Connection) -> None:
    for column in ("free_bytes INTEGER", "pinned_bytes INTEGER"):
        connection.exec_driver_sql(f"ALTER TABLE watch_status ADD COLUMN {column}")


def _know_swaps(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE link ADD COLUMN since_id INTEGER")


def _know_slices(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE slice (link_id INTEGER NOT NULL, day INTEGER NOT NULL, bytes INTEGER NOT NULL, "
        "released_at FLOAT NOT NULL, released_boot TEXT NOT NULL, released_uptime FLOAT NOT NULL, "
        "PRIMARY KEY (link_id, day), FOREIGN KEY(link_id) REFERENCES link (id), "
        "FOREIGN KEY(day) REFERENCES day (number)) WITHOUT ROWID"
    )
    connection.exec_driver_sql("CREATE INDEX slice_by_day ON slice (day)")


def _know_reads_again(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE link ADD COLUMN read_again_at FLOAT")


def _know_checks(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE dump ADD COLUMN verified BOOLEAN NOT NULL DEFAULT '0'")


def _know_the_way_there(connection: Connection) -> None:
    for part in (
        _know_what_crossed,
        _know_copies,
        _know_pushes,
        _know_what_is_usual,
        _know_room,
        _know_swaps,
        _know_slices,
        _know_reads_again,
        _know_checks,
    ):
        part(connection)


def _know_troubles(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE trouble (what TEXT NOT NULL, subject TEXT NOT NULL, since FLOAT NOT NULL, "
        "finished_at FLOAT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (what, subject))"
    )


#: Version that a step starts from -> the step.
STEPS: Mapping[int, Callable[[Connection], None]] = {
    1: _know_footings,
    2: _know_more_rules,
    3: _know_the_way_there,
    4: _know_troubles,
}


def version_of(connection: Connection) -> int:
    """The version of the file, 0 when it is new."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def refuse_newer(connection: Connection, file: Path | None, target: int = SCHEMA_VERSION) -> None:
    """Raises NewerStateError when a newer Tidegate has written the file: an older one does not know what it says."""
    version = version_of(connection)
    if version > target:
        raise NewerStateError(
            f"{file}: written by a newer Tidegate (version {version}, this one knows {target}); "
            "use that one, and restart the service if it is older"
        )


def migrate(
    connection: Connection,
    file: Path | None,
    steps: Mapping[int, Callable[[Connection], None]] = STEPS,
    target: int = SCHEMA_VERSION,
) -> None:
    """Brings the file to ``target`` within the caller's transaction. Raises NewerStateError for a newer file."""
    refuse_newer(connection, file, target)
    version = version_of(connection)
    if version == 0:
        metadata.create_all(connection)
    elif version < target:
        if file is not None:
            _copy(file, file.with_name(f"{file.name}.before-version-{target}"))
        for start in range(version, target):
            steps[start](connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {target}")


def _copy(source: Path, target: Path) -> None:
    """A consistent copy, also beside other readers; written aside and renamed."""
    aside = target.with_name(target.name + ".new")
    aside.unlink(missing_ok=True)
    reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    writer = sqlite3.connect(aside)
    try:
        reader.backup(writer)
    finally:
        writer.close()
        reader.close()
    aside.replace(target)
