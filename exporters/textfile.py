"""The textfile that node_exporter's collector reads."""

import os
from pathlib import Path

from core.errors import FaultError
from core.fs.openat import open_folder, write_new


def write(path: Path, text: bytes) -> None:
    """Puts ``text`` at ``path``, whole or not at all, readable by everybody. Raises FaultError.

    A kill in between leaves ``.NAME.*.new`` beside it, which the collector (``*.prom``) does not read.
    """
    aside = f".{path.name}.{os.urandom(4).hex()}.new"
    try:
        with open_folder(path.parent) as folder:
            # The collector runs as somebody else, whatever our umask is.
            write_new(folder, aside, text, mode=0o644, is_exact=True)
            try:
                os.rename(aside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(aside, dir_fd=folder)
                raise
            os.fsync(folder)
    except OSError as error:
        raise FaultError(f"{path}: the metrics cannot be written: {error.strerror}") from error
