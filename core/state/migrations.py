"""The schema of the state file, and from one version of it to the next.

The version is the file's ``user_version``. Each step is one function, run in one transaction with the change of the
version, after the file was copied beside itself. To add one: raise ``SCHEMA_VERSION``, change ``schema.sql``, and put
a function here that alters the older file.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

from core.errors import NewerStateError

SCHEMA_VERSION = 1

_SCHEMA = Path(__file__).with_name("schema.sql")

#: Version that a step starts from -> the step.
STEPS: Mapping[int, Callable[[Connection], None]] = {}


def version_of(connection: Connection) -> int:
    """The version of the file, 0 when it is new."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def refuse_newer(connection: Connection, file: Path | None, target: int = SCHEMA_VERSION) -> None:
    """Raises NewerStateError when a newer Tidegate has written the file: an older one does not know its meaning."""
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
        create(connection)
    elif version < target:
        if file is not None:
            _copy(file, file.with_name(f"{file.name}.before-version-{target}"))
        for start in range(version, target):
            steps[start](connection)
    connection.execute(f"PRAGMA user_version = {target}")


def create(connection: Connection) -> None:
    """Makes the tables, within the caller's transaction: ``executescript`` would commit it."""
    for statement in _SCHEMA.read_text(encoding="utf-8").split(";\n"):
        connection.execute(statement)


def _copy(source: Path, target: Path) -> None:
    """A consistent copy, also beside other readers; written aside and renamed."""
    aside = target.with_name(target.name + ".new")
    aside.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(aside)) as writer,
    ):
        reader.backup(writer)
    aside.replace(target)
