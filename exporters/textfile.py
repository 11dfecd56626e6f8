"""The textfile that node_exporter's collector reads."""

import os
import tempfile
from pathlib import Path

from core.errors import FaultError
from core.fs.openat import sync_folder


def write(path: Path, text: bytes) -> None:
    """Puts ``text`` at ``path``, whole or not at all, readable by everybody. Raises FaultError.

    A kill in between leaves ``.NAME.*.new`` beside it, which the collector (``*.prom``) does not read.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
        aside = Path(name)
        try:
            _fill(descriptor, text)
            aside.replace(path)
        except BaseException:
            aside.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise FaultError(f"{path}: the metrics cannot be written: {error.strerror}") from error


def _fill(descriptor: int, text: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        # The collector runs as somebody else, whatever our umask is.
        os.fchmod(descriptor, 0o644)
        # Before the rename: a power cut must not leave the name without its content.
        os.fsync(descriptor)
