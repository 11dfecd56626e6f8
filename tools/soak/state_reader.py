"""What is in a state file, looked at from outside and without its locks."""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded dump. ``fingerprint`` is empty while nothing that could be taken was seen."""

    id: int
    watch: str
    path: str
    fingerprint: str


class StateFile:
    """A reader of the state file at ``path``, which need not be there yet. Of one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def has(self, watch: str, path: str, fingerprint: str) -> bool:
        """True once this is recorded; where there is no dump to be taken, once its path is."""
        query, values = "select 1 from dump where watch = ? and path = ?", [watch, os.fsencode(path)]
        if fingerprint:
            query, values = f"{query} and fingerprint = ?", [*values, fingerprint]
        return bool(self._ask(f"{query} limit 1", values))

    def version(self) -> int:
        """Another number than before when anything was committed since."""
        return self.count("pragma data_version")

    def rows(self, after: int = 0) -> list[Row]:
        """What was recorded after the row of this number, in the order of recording."""
        query = "select id, watch, path, fingerprint from dump where id > ? order by id"
        return [Row(number, watch, os.fsdecode(path), mark) for number, watch, path, mark in self._ask(query, [after])]

    def count(self, query: str, *values: str) -> int:
        """The one number that this query asks for; 0 while there is nothing to ask."""
        found = self._ask(query, values)
        return int(found[0][0] or 0) if found else 0

    def _ask(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if self._connection is None:
            if not self._path.exists():
                return []
            uri = f"file:{self._path}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            return self._connection.execute(query, tuple(values)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # the state file is being made
                return []
            raise
