r"""The whole state as a file that can be carried away, and back: lines of JSON, packed with gzip.

::

    {"format": 1, "schema": 8, "written": 1795406231.5, "begun": 1794801431.2, … , "digest": "…"}
    {"table": "vm", "columns": ["name", …], "rows": [["vm1", …], …]}
    …

The first line tells what the others hold. Names that are not UTF-8 are escaped in JSON (a byte 0xff as ``\udcff``).
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Column, Connection, Float, Integer, Table, func, select
from sqlalchemy.exc import DatabaseError

from core.errors import NOT_AS_TOLD
from core.state.bulk import insert_many
from core.state.schema import SCHEMA_VERSION, FileName, Word, link, metadata, policy_pass, sync
from core.units import LAST_TIME

FORMAT = 1

#: What a pass changes though it decides nothing new; it is carried along, and no reason to write anew.
_PASSING = frozenset({"counter", "waiting", "watch_status", "pass"})
_PORTION = 1000


class NotAnExport(Exception):
    """A file that is no export of a state, or not a whole one: why, for people."""


class Header(NamedTuple):
    """The first line. Times are in seconds since the epoch.

    ``begun`` is when the first pass was, 0 before: exports that differ in it are of two states, of which one was lost.
    ``passes``, ``syncs`` and ``links`` are how many of each there had been. Two exports of one ``digest`` tell of the
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
    for table in metadata.sorted_tables:
        for line in _lines_of(connection, table):
            lines.append(line)
            if table.name not in _PASSING:
                digest.update(line)
    begun = connection.execute(select(policy_pass.c.started_at).order_by(policy_pass.c.id).limit(1)).scalar()
    passes, syncs, links = (
        connection.execute(select(func.max(table.c.id))).scalar() or 0 for table in (policy_pass, sync, link)
    )
    return Export(Header(now, begun or 0.0, passes, syncs, links, digest.hexdigest()), lines)


def read_header(packed: bytes) -> Header:
    """What the first line of an export tells. Raises NotAnExport."""
    with gzip.open(io.BytesIO(packed)) as file:
        return _header(_next_line(file))


def restore(connection: Connection, packed: bytes) -> Header:
    """Fills an empty state with all that an export holds. Raises NotAnExport; then roll back."""
    with gzip.open(io.BytesIO(packed)) as file:
        header = _header(_next_line(file))
        try:
            while line := _next_line(file):
                table, rows = _rows(json.loads(line))
                insert_many(connection, table, rows)
        except (*NOT_AS_TOLD, DatabaseError) as error:
            raise NotAnExport(f"its rows do not fit the state: {error}") from None
    return header


def _lines_of(connection: Connection, table: Table) -> Iterator[bytes]:
    columns = [column.name for column in table.columns]
    query = select(table).order_by(*table.primary_key.columns)
    for portion in connection.execute(query).partitions(_PORTION):
        yield _line({"table": table.name, "columns": columns, "rows": [list(row) for row in portion]})


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _next_line(file: gzip.GzipFile) -> bytes:
    try:
        return file.readline()
    except (OSError, EOFError, zlib.error):
        raise NotAnExport("it is no gzip file, or only a part of one") from None


def _header(line: bytes) -> Header:
    try:
        told = json.loads(line)
        form, schema = told["format"], told["schema"]
        passes, syncs, links = (int(told[name]) for name in ("passes", "syncs", "links"))
        header = Header(_time(told["written"]), _time(told["begun"]), passes, syncs, links, str(told["digest"]))
        if min(passes, syncs, links) < 0:
            raise ValueError(told)
    except NOT_AS_TOLD:
        raise NotAnExport("its first line is not that of an export of the state") from None
    if (form, schema) != (FORMAT, SCHEMA_VERSION):
        raise NotAnExport(
            f"it was written by another Tidegate (format {form}, schema {schema}; this one reads {FORMAT} and "
            f"{SCHEMA_VERSION}): rebuild with that one, the state is brought up to date when this one opens it"
        )
    return header


def _time(told: Any) -> float:
    seconds = float(told)
    if not 0 <= seconds < LAST_TIME:
        raise ValueError(told)
    return seconds


def _rows(told: Any) -> tuple[Table, list[dict[str, Any]]]:
    table = metadata.tables[told["table"]]
    columns = [table.columns[name] for name in told["columns"]]
    rows = []
    for values in told["rows"]:
        for column, value in zip(columns, values, strict=True):
            if not _fits(column, value):
                raise ValueError(f"{table.name}.{column.name} cannot be {value!r}")
        rows.append({column.name: value for column, value in zip(columns, values, strict=True)})
    return table, rows


def _fits(column: Column[Any], value: Any) -> bool:
    """Whether the state could hold this: an export may come from anywhere."""
    if value is None:
        return bool(column.nullable)
    match column.type:
        case FileName():
            return isinstance(value, str) and not {"", ".", ".."} & set(value.split("/"))
        case Word():
            return value in list(column.type.words)
        case Boolean():
            return isinstance(value, bool)
        case Integer():
            return isinstance(value, int) and not isinstance(value, bool)
        case Float():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return isinstance(value, str)
