"""Whether what was made from the state still holds."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from core.state.database import Generation


def test_a_backup_that_is_written_over_the_file_is_seen_whatever_its_times(tmp_path: Path) -> None:
    """SQLite's own count knows nothing of it, and a copy may have the size and the time of writing."""
    file, backup = tmp_path / "state.db", tmp_path / "backup.db"
    with closing(sqlite3.connect(file)) as books:
        books.execute("PRAGMA journal_mode = wal")
        books.execute("CREATE TABLE t (n INTEGER)")
        books.commit()
        books.execute("PRAGMA wal_checkpoint(truncate)")
        shutil.copy2(file, backup)
        books.execute("INSERT INTO t VALUES (1)")
        books.commit()
        books.execute("PRAGMA wal_checkpoint(truncate)")
        generation, status = Generation(file), file.stat()
        before = generation.now()
        assert generation.now() == before
        while backup.stat().st_ctime_ns <= status.st_ctime_ns:  # a kernel's clock ticks every few milliseconds
            backup.touch()
        shutil.copy(backup, file)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert file.stat().st_size == status.st_size
        assert generation.now() != before
        generation.close()
