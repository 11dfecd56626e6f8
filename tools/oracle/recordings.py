"""The recordings by their names, and where the files are that were recorded before the rebuild."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tools.oracle import demo_days, forty_days, lines, two_months

#: What was recorded before the rebuild.
RECORDED = Path(__file__).resolve().parents[2] / "tests" / "data" / "oracle"

RECORDINGS = {"life": two_months.record, "year": forty_days.record, "demo": demo_days.record}


def file_of(folder: Path, name: str) -> Path:
    """The file of a recording in this folder."""
    return folder / f"{name}.jsonl"


def record(name: str, folder: Path) -> Path:
    """Records anew, in UTC, in a scratch folder of its own. Returns the file, which is written into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tidegate-oracle-") as scratch, _in_utc(), _without_logs():
        if os.statvfs(scratch).f_flag & os.ST_NOATIME:
            raise OSError(f"{scratch} is mounted with noatime, which changes decisions; set TMPDIR to another mount")
        passes = RECORDINGS[name](Path(scratch).resolve() / "host")
    file = file_of(folder, name)
    lines.write(file, passes)
    return file


@contextmanager
def _in_utc() -> Iterator[None]:
    try:
        with mock.patch.dict(os.environ, TZ="UTC"):
            time.tzset()
            yield
    finally:
        time.tzset()


@contextmanager
def _without_logs() -> Iterator[None]:
    """Two months of dumps that failed."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
