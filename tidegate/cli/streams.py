"""Standard output and error that may fail: a full disk, a reader that is gone. The command's work goes on."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Output(io.FileIO):
    """A descriptor whose first failed write ends the output and not the command. ``error``: why; None: it works."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.error: OSError | None = None
        #: How a write fails where nobody reads on: `| head`, or a terminal that was closed.
        self.reader_gone = {errno.EPIPE, errno.EIO} if self.isatty() else {errno.EPIPE}

    def write(self, data: "ReadableBuffer", /) -> int:
        """Writes, or drops what cannot be written."""
        if self.error is None:
            try:
                return super().write(data) or 0
            except OSError as error:
                self.error = error
        return len(memoryview(data).cast("B"))


def open_closed_descriptors() -> bool:
    """Gives stdin, stdout and stderr to /dev/null where they are closed, before a file of ours takes their numbers.

    Returns whether stdout was one of them.
    """
    was_closed = False
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            was_closed = was_closed or descriptor == 1
    return was_closed


def replace_stdout() -> Output | None:
    """Puts an ``Output`` below ``sys.stdout``, and one below stderr. None where a test has replaced these streams."""
    stdout = _replaced("stdout", 1)
    _replaced("stderr", 2)
    return stdout


def _replaced(name: str, descriptor: int) -> Output | None:
    stream = getattr(sys, name)
    if stream is not None and not (isinstance(stream, io.TextIOWrapper) and _is_of(stream, descriptor)):
        return None
    output = Output(descriptor)
    is_live = descriptor == 2 or output.isatty()
    encoding = "utf-8" if stream is None else stream.encoding
    # A name may hold letters that this locale has not.
    text = io.TextIOWrapper(io.BufferedWriter(output), encoding, "backslashreplace", line_buffering=is_live)
    setattr(sys, name, text)
    return output


def _is_of(stream: io.TextIOWrapper, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError):
        return False


def reason_of(output: Output | None) -> str | None:
    """Flushes, and says why not all was written; None where all was, or nobody reads on: `tidegate status | head`."""
    if output is None:
        return None
    sys.stdout.flush()
    error = output.error
    return None if error is None or error.errno in output.reader_gone else (error.strerror or str(error))
