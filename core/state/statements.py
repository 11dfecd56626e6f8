"""Statements made from the names of columns, and values as SQLite takes them. Values are always parameters."""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from sqlite3 import Connection
from typing import Any, TypeVar

#: Columns of file names: stored as bytes, in Python a text with undecodable bytes as surrogates.
FILE_NAMES = frozenset({"path", "export_name"})

_Word = TypeVar("_Word", bound=StrEnum)


def words(kind: type[_Word]) -> dict[str, _Word]:
    """Stored text -> word: one look-up, since tens of thousands are read for each pass."""
    return {word.value: word for word in kind}


def json_list(values: Iterable[int] | Iterable[str]) -> str:
    """These values as one parameter, for ``IN (SELECT value FROM json_each(?))``."""
    return json.dumps(list(values))


def placeholders(values: Collection[object]) -> str:
    """For ``IN (…)``: as many as there are values. SQLite takes more than 500 on every build that we meet."""
    return ", ".join("?" * len(values))


def literals(kinds: Iterable[StrEnum]) -> str:
    """For ``IN (…)``: words of a closed set, as a constant statement holds them."""
    return ", ".join(f"'{word}'" for word in sorted(kinds))


def insert(connection: Connection, table: str, values: Mapping[str, Any]) -> int:
    """Inserts one row and returns its rowid."""
    cursor = connection.execute(_insert(table, tuple(values)), [_stored(*item) for item in values.items()])
    return int(cursor.lastrowid or 0)


def insert_many(connection: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows of one shape, converted a column at a time: there may be a hundred thousand."""
    if not rows:
        return
    names = tuple(rows[0])
    columns = [_stored_column(name, [row[name] for row in rows]) for name in names]
    connection.executemany(_insert(table, names), zip(*columns, strict=True))


def update(connection: Connection, table: str, values: Mapping[str, Any], where: str, *given: object) -> None:
    """Sets columns of the rows for which ``where`` holds; ``given`` are its parameters."""
    assigned = ", ".join(f"{name} = ?" for name in values)
    stored = [_stored(*item) for item in values.items()]
    connection.execute(f"UPDATE {table} SET {assigned} WHERE {where}", (*stored, *given))


def _insert(table: str, names: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({placeholders(names)})"


def _stored_column(name: str, values: Iterable[Any]) -> Iterable[Any]:
    return map(os.fsencode, values) if name in FILE_NAMES else values


def _stored(name: str, value: Any) -> Any:
    return os.fsencode(value) if name in FILE_NAMES else value
