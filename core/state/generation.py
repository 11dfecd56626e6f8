"""Whether anything was committed to the state file since: what was made from it is kept by this."""

import sqlite3
from contextlib import closing
from pathlib import Path

from core.errors import FaultError

#: A scrape waits no longer for a file that somebody has locked as a whole. Below Prometheus' own time-out of 10 s.
_WAIT_SECONDS = 2.0


class Generation:
    """Of the state file at ``path``, which must be there. May be asked by any thread, by one at a time.

    SQLite counts for each connection what the others have committed, in this process and in any other
    (``PRAGMA data_version``). It is asked on a connection that is kept and never writes; that takes microseconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._opened = 0  # each connection counts for itself
        self._file: tuple[int, int] | None = None

    def now(self) -> tuple[int, ...]:
        """Other numbers than before once anything was committed, or written to the file by whomever.

        Raises FaultError when it cannot be read, is gone, or is no longer the file that it was.
        """
        try:
            status = self._path.stat()
            self._stay_with((status.st_dev, status.st_ino))
            return self._version(), self._opened, status.st_size, status.st_ctime_ns
        except OSError as error:
            raise FaultError(f"{self._path}: the state file cannot be used: {error.strerror}") from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise FaultError(f"{self._path}: the state file cannot be used: {error}") from error

    def close(self) -> None:
        """Closes the connection; the next question opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _stay_with(self, file: tuple[int, int]) -> None:
        """Whoever has it open goes on with the file that went, and would never know."""
        if self._file not in (None, file):
            raise FaultError(f"{self._path}: another state file stands there than before; restart the service")
        self._file = file

    def _version(self) -> int:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS, check_same_thread=False
            )
            self._opened += 1
        with closing(self._connection.execute("PRAGMA data_version")) as rows:
            return int(rows.fetchone()[0])
