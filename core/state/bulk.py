"""Many values and many rows at once: a thousand statements cost more than what they do."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Select,
    String,
    Table,
    TableValuedAlias,
    bindparam,
    func,
    insert,
    select,
)


def listed(values: Iterable[int] | Iterable[str]) -> Select[Any]:
    """These values as a subquery, to stand behind ``IN``."""
    return select(func.json_each(as_list(values)).table_valued("value").c.value)


def given_list(name: str) -> Select[Any]:
    """As ``listed``, for a statement that is made once: what is given under this name is ``as_list`` of the values."""
    return select(func.json_each(bindparam(name, type_=String)).table_valued("value").c.value)


def as_list(values: Iterable[int] | Iterable[str]) -> str:
    """For ``given_list``."""
    return json.dumps(list(values))


def paired(values: Mapping[Any, float]) -> TableValuedAlias:
    """This mapping as a table with the columns ``key``, always a text, and ``value``."""
    return func.json_each(json.dumps(values)).table_valued("key", "value")


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows of one shape, converted a column at a time: row by row SQLAlchemy takes longer than SQLite."""
    if rows:
        statement, names = _insert(table, tuple(rows[0]), connection.dialect)
        columns = (_to_state(table.c[name], [row[name] for row in rows], connection.dialect) for name in names)
        connection.exec_driver_sql(statement, list(zip(*columns, strict=True)))


@lru_cache
def _insert(table: Table, names: tuple[str, ...], dialect: Dialect) -> tuple[str, Sequence[str]]:
    """The statement, and the names of its parameters in their order."""
    compiled = insert(table).compile(dialect=dialect, column_keys=list(names))
    return str(compiled), compiled.positiontup or ()


def _to_state(column: Column[Any], values: list[Any], dialect: Dialect) -> Iterable[Any]:
    convert = column.type.dialect_impl(dialect).bind_processor(dialect)
    return values if convert is None else map(convert, values)
