r"""The whole state as a file that can be carried away, and back; and a state file made anew.

A backup is lines of JSON, packed with gzip.

::

    {"format": 1, "schema": 8, "written": 1795406231.5, "begun": 1794801431.2, … , "digest": "…"}
    {"table": "vm", "columns": ["name", …], "rows": [["vm1", …], …]}
    …

The first line describes the others. Names that are not UTF-8 are escaped in JSON (a byte 0xff as ``\udcff``).
"""

import gzip
import hashlib
import io
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from sqlite3 import Connection, DatabaseError
from typing import Any, NamedTuple

from core.enums import DumpState, Evidence, Force, LinkState, Trouble
from core.errors import NOT_AS_TOLD, BusyError, FaultError, UsageError
from core.fs.openat import sync_folder
from core.reasons import Reason
from core.state.database import DryRunState, make_folder, pass_lock, running_watcher, watch_lock, write_lock
from core.state.locks import make_for_the_folders_owner
from core.state.migrations import SCHEMA_VERSION
from core.state.statements import insert_many
from core.units import LAST_TIME

FORMAT = 1

#: What a pass changes though it decides nothing new; it is carried along, and no reason to write anew.
_PASSING = frozenset({"counter", "watch_status", "pass"})
#: What each pass makes anew.
_LEFT_OUT = frozenset({"decision", "forecast"})
_PORTION = 1000
#: Columns that hold words of a closed set.
WORDS: Mapping[tuple[str, str], type[StrEnum]] = {
    ("vm", "offsite_by"): Evidence,
    ("vm", "forced"): Force,
    ("dump", "state"): DumpState,
    ("dump", "reason"): Reason,
    ("link", "state"): LinkState,
    ("link", "confirmed_by"): Evidence,
    ("link", "forced"): Force,
    ("alert", "what"): Trouble,
}
#: What SQLite may keep beside a state file; a new one must find nothing of it.
_COMPANY = ("", "-wal", "-shm")


class NotAnExport(Exception):
    """A file that is no export of a state, or not a whole one: why, for people."""


class Column(NamedTuple):
    """One column of the schema. ``kind`` is its type there; ``key`` its place in the primary key, 0: none."""

    name: str
    kind: str
    nullable: bool
    key: int


class Header(NamedTuple):
    """The first line. Times are in seconds since the epoch.

    ``begun`` is when the first pass was, 0 before: exports that differ in it are of two states, of which one was lost.
    ``passes``, ``syncs`` and ``links`` are how many of each there had been. Two exports of one ``digest`` hold the
    same VMs, dumps, links, days and syncs.
    """

    written: float
    begun: float
    passes: int
    syncs: int
    links: int
    digest: str

    def is_as_late_as(self, other: "Header") -> bool:
        """True when the same state wrote both, and no pass or sync came between this and a later ``other``."""
        counts = zip((self.passes, self.syncs, self.links), (other.passes, other.syncs, other.links), strict=True)
        return self.begun == other.begun and all(mine >= its for mine, its in counts)


class Export(NamedTuple):
    """A state as text."""

    header: Header
    lines: list[bytes]

    def pack(self) -> bytes:
        """As a file."""
        first = {"format": FORMAT, "schema": SCHEMA_VERSION, **self.header._asdict()}
        return gzip.compress(b"".join([_line(first), *self.lines]), compresslevel=6, mtime=0)


def export(connection: Connection, now: float) -> Export:
    """Everything that is in the state."""
    lines, digest = [], hashlib.sha256()
    for table, columns in tables_of(connection).items():
        for line in _lines_of(connection, table, columns):
            lines.append(line)
            if table not in _PASSING:
                digest.update(line)
    begun = connection.execute("SELECT started_at FROM pass ORDER BY id LIMIT 1").fetchone()
    query = "SELECT (SELECT max(id) FROM pass), (SELECT max(id) FROM sync), (SELECT max(id) FROM link)"
    passes, syncs, links = (number or 0 for number in connection.execute(query).fetchone())
    return Export(Header(now, begun[0] if begun else 0.0, passes, syncs, links, digest.hexdigest()), lines)


def read_header(packed: bytes) -> Header:
    """The first line of an export. Raises NotAnExport."""
    with gzip.open(io.BytesIO(packed)) as file:
        return _header(_next_line(file))


def restore(connection: Connection, packed: bytes) -> Header:
    """Fills an empty state with all that an export holds. Raises NotAnExport; then roll back."""
    with gzip.open(io.BytesIO(packed)) as file:
        header = _header(_next_line(file))
        tables = tables_of(connection)
        try:
            while line := _next_line(file):
                table, rows = _rows(tables, json.loads(line))
                insert_many(connection, table, rows)
        except (*NOT_AS_TOLD, DatabaseError) as error:
            raise NotAnExport(f"its rows do not fit the state: {error}") from None
    return header


def tables_of(connection: Connection) -> dict[str, list[Column]]:
    """Table -> its columns, in the order of the schema: a table is below those that it refers to."""
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").fetchall()
    return {name: list(_columns(connection, name)) for (name,) in names if name not in _LEFT_OUT}


def _columns(connection: Connection, table: str) -> Iterator[Column]:
    for _, name, kind, is_required, _, key in connection.execute(f"PRAGMA table_info({table})"):
        yield Column(name, kind, not is_required and not key, key)


def _lines_of(connection: Connection, table: str, columns: Sequence[Column]) -> Iterator[bytes]:
    names = [column.name for column in columns]
    key = [column.name for column in sorted(columns, key=lambda one: one.key) if column.key]
    rows = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {', '.join(key)}")
    while portion := rows.fetchmany(_PORTION):
        exported = [[_exported(*pair) for pair in zip(columns, row, strict=True)] for row in portion]
        yield _line({"table": table, "columns": names, "rows": exported})


def _exported(column: Column, value: Any) -> Any:
    match column.kind:
        case "BLOB":
            return os.fsdecode(value)
        case "BOOLEAN" if value is not None:
            return value == 1
        case _:
            return value


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _next_line(file: gzip.GzipFile) -> bytes:
    try:
        return file.readline()
    except (OSError, EOFError, zlib.error):
        raise NotAnExport("it is no gzip file, or only a part of one") from None


def _header(line: bytes) -> Header:
    try:
        given = json.loads(line)
        form, schema = given["format"], given["schema"]
        passes, syncs, links = (int(given[name]) for name in ("passes", "syncs", "links"))
        header = Header(_time(given["written"]), _time(given["begun"]), passes, syncs, links, str(given["digest"]))
        if min(passes, syncs, links) < 0:
            raise ValueError(given)
    except NOT_AS_TOLD:
        raise NotAnExport("its first line is not that of an export of the state") from None
    if (form, schema) != (FORMAT, SCHEMA_VERSION):
        raise NotAnExport(
            f"it was written by another Tidegate (format {form}, schema {schema}; this one reads {FORMAT} and "
            f"{SCHEMA_VERSION}): rebuild with that one, the state is brought up to date when this one opens it"
        )
    return header


def _time(given: Any) -> float:
    seconds = float(given)
    if not 0 <= seconds < LAST_TIME:
        raise ValueError(given)
    return seconds


def _rows(tables: Mapping[str, Sequence[Column]], given: Any) -> tuple[str, list[dict[str, Any]]]:
    table, names = given["table"], given["columns"]
    by_name = {column.name: column for column in tables[table]}
    columns = [by_name[name] for name in names]
    for values in given["rows"]:
        for column, value in zip(columns, values, strict=True):
            if not _fits(table, column, value):
                raise ValueError(f"{table}.{column.name} cannot be {value!r}")
    return table, [
        {column.name: _stored(column, value) for column, value in zip(columns, values, strict=True)}
        for values in given["rows"]
    ]


def _stored(column: Column, value: Any) -> Any:
    return os.fsencode(value) if column.kind == "BLOB" else value


def _fits(table: str, column: Column, value: Any) -> bool:
    """Whether the state could hold this: an export may come from anywhere."""
    if value is None:
        return column.nullable
    if (table, column.name) in WORDS:
        return value in list(WORDS[table, column.name])
    match column.kind:
        case "BLOB":
            return isinstance(value, str) and not {"", ".", ".."} & set(value.split("/"))
        case "BOOLEAN":
            return isinstance(value, bool)
        case "INTEGER":
            return isinstance(value, int) and not isinstance(value, bool)
        case "REAL":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return isinstance(value, str)


# --- a state file made anew: beside the old one, which is kept, and then in its place by one rename


@contextmanager
def alone(path: Path, *, wait: float) -> Iterator[None]:
    """Nobody passes, moves links or watches at the state file ``path``, be it there or not. Raises BusyError."""
    running = running_watcher(path)
    if running is not None:
        raise BusyError(f"state rebuild: the service ({running.told}) runs on {path}; nothing was done, stop it first")
    make_folder(path.parent)
    with pass_lock(path, wait=wait), watch_lock(path):
        yield


def refuse_content(path: Path) -> None:
    """Raises UsageError when there is a state file with rows in it, or one that cannot be read."""
    if _has_content(path):
        raise UsageError(
            f"state rebuild: the state file {path} is not empty; check it with `tidegate state verify`, "
            "or use --replace: it makes a new one and keeps this one beside it"
        )


def _has_content(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                return bool(connection.execute("SELECT 1 FROM sqlite_master").fetchone())
            tables = ("vm", "dump", "link", "day")
            return any(connection.execute(f"SELECT 1 FROM {one} LIMIT 1").fetchone() for one in tables)
    except sqlite3.DatabaseError:
        return True


def draft_of(path: Path) -> DryRunState:
    """An empty state in memory, from which the state file ``path`` is to be made."""
    return DryRunState(path.with_name(f"{path.name}.rebuilt"))


def put_in_place(draft: DryRunState, path: Path, *, wait: float) -> Path | None:
    """Makes the draft the state file ``path``, for who is ``alone``. Returns where the old one is kept, if one stood.

    Raises FaultError; then the old one is in place, or is kept aside and none is in place: do it again.
    """
    new = draft.path
    try:
        new.unlink(missing_ok=True)
        make_for_the_folders_owner(new)
        draft.copy_to(new)
        with write_lock(path, wait=wait):
            kept = _keep_aside(path)
            new.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise FaultError(f"{path}: the state file cannot be made: {error.strerror}") from error
    return kept


def _keep_aside(path: Path) -> Path | None:
    kept = _free_name(path)
    found = [path.with_name(path.name + suffix) for suffix in _COMPANY]
    pairs = [(old, kept.with_name(kept.name + suffix)) for old, suffix in zip(found, _COMPANY, strict=True)]
    had_one = path.exists()
    for old, new in pairs:
        if old.exists():
            old.rename(new)
    return kept if had_one else None


def _free_name(path: Path) -> Path:
    number = 1
    while path.with_name(f"{path.name}.replaced-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}.replaced-{number}")
