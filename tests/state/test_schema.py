"""The schema, the statements and the rows agree: a column that is renamed in one of them is missed in none."""

import importlib
import pkgutil
import types
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from sqlite3 import Connection, connect
from typing import get_args, get_type_hints

import pytest

from core import state
from core.state.backup import WORDS, tables_of
from core.state.counters import PassRow, WatchStatus
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from core.state.migrations import create
from core.state.statements import FILE_NAMES
from core.state.syncs import SyncRow
from core.state.vms import VmFigures, VmRow

ROWS = {
    VmRow: "vm",
    VmFigures: "vm",
    DumpRow: "dump",
    LinkRow: "link",
    SyncRow: "sync",
    PassRow: "pass",
    WatchStatus: "watch_status",
}
KINDS = {bool: "BOOLEAN", int: "INTEGER", float: "REAL", str: "TEXT"}
VERBS = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ")


@pytest.fixture
def empty() -> Iterator[Connection]:
    with closing(connect(":memory:")) as connection:
        create(connection)
        yield connection


def statements() -> dict[str, str]:
    """Every constant of the room that is a statement, or the start of one, by its name."""
    found = {}
    for module in pkgutil.iter_modules(state.__path__):
        constants = vars(importlib.import_module(f"core.state.{module.name}"))
        for name, text in constants.items():
            if isinstance(text, str) and text.lstrip().startswith(VERBS):
                found[f"{module.name}.{name}"] = text
    return found


@pytest.mark.parametrize("name", statements())
def test_each_statement_can_be_prepared(empty: Connection, name: str) -> None:
    statement = statements()[name]
    if statement.endswith(" WHERE "):
        statement += "true"
    named = {"day": 1, "now": 1.0}
    empty.execute(f"EXPLAIN {statement}", named if ":" in statement else [None] * statement.count("?"))


@pytest.mark.parametrize(("row", "table"), ROWS.items(), ids=lambda one: getattr(one, "__name__", one))
def test_a_row_has_the_types_of_its_columns(empty: Connection, row: type, table: str) -> None:
    """Also whether it may be None; a column of words is one in the backup too."""
    columns = {column.name: column for column in tables_of(empty)[table]}
    for name, hint in get_type_hints(row).items():
        kinds = set(get_args(hint)) if isinstance(hint, types.UnionType) else {hint}
        column = columns[name]
        assert column.nullable == (type(None) in kinds), name
        [kind] = kinds - {type(None)}
        if issubclass(kind, StrEnum):
            assert WORDS[table, name] is kind
        else:
            assert column.kind == ("BLOB" if name in FILE_NAMES else KINDS[kind]), name


def test_the_words_of_the_backup_are_columns(empty: Connection) -> None:
    found = {(table, column.name) for table, columns in tables_of(empty).items() for column in columns}
    assert set(WORDS) <= found


def test_a_table_is_below_those_that_it_refers_to(empty: Connection) -> None:
    """In this order a backup is restored, with foreign keys on."""
    seen: set[str] = set()
    for table in tables_of(empty):
        refers_to = {row[2] for row in empty.execute(f"PRAGMA foreign_key_list({table})")}
        assert refers_to <= seen, table
        seen.add(table)
