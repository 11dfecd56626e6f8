"""Why a dump was not made."""

from core.filenames import printable


class DumpFailed(Exception):
    """A sentence for the marker, the log and the summary; ``exit_status`` where a command gave one."""

    def __init__(self, sentence: str, exit_status: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_status = exit_status

    def __str__(self) -> str:
        return self.sentence


class Stopped(DumpFailed):
    """The run was told to end."""

    def __init__(self) -> None:
        super().__init__("its run was stopped")


def sentence_of(error: Exception) -> str:
    """What is told of it."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{(error.strerror or str(error)).lower()}")
    return str(error)
