"""Logs on stderr, one line an event: for a terminal, for journald, or as JSON.

File names are part of events, and whoever may write into a dump folder chooses them: the text of an event is
escaped here, so that no name can start a line of its own.
"""

import datetime
import json
import logging
import os
import sys
import threading
from types import TracebackType
from typing import Any

import click

from core.filenames import printable

FORMATS = ("text", "json")

_STDERR = 2
#: Given with ``extra``, they are beside the message in JSON.
_FIELDS = ("watch", "vm", "path")
#: syslog's numbers, which journald takes from the start of a line.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7


def set_up(level: int, shape: str) -> None:
    """Sends everything from ``level`` on to stderr; ``shape`` is one of FORMATS."""
    _leave_out_what_no_format_shows()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(shape))
    logging.basicConfig(level=level, handlers=[handler])
    if not _is_plain():
        sys.excepthook = _log_bug
        threading.excepthook = lambda bug: _log_bug(bug.exc_type, bug.exc_value, bug.exc_traceback)


def _leave_out_what_no_format_shows() -> None:
    """The place in the source, thread and process: finding them takes longer than writing the line."""
    logging._srcfile = None  # noqa: SLF001 - so the documentation of logging names it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def complain(sentence: str) -> None:
    """The sentence that a command ends with. To a log each of its lines is an event."""
    if _is_plain():
        click.echo(f"tidegate: {sentence}", err=True)
        return
    for line in sentence.splitlines():
        logging.getLogger("tidegate").error("%s", line)


def is_journal(stream: int, environment: "os._Environ[str] | dict[str, str]" = os.environ) -> bool:
    """Whether this descriptor is the connection to journald that JOURNAL_STREAM speaks of.

    The variable alone proves nothing: it is inherited by those whose stderr was sent elsewhere since.
    """
    try:
        status = os.fstat(stream)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Plain(logging.Formatter):
    """For a terminal: ``tidegate: message``. The lines of a trace are indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """One event."""
        lines = [f"tidegate: {printable(record.getMessage())}"]
        lines += [f"    {printable(line)}" for line in self.trace(record).splitlines()]
        return "\n".join(lines)

    def trace(self, record: logging.LogRecord) -> str:
        """The trace that belongs to the event, or ''."""
        return self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


class Journal(Plain):
    """For journald: ``<4>message``. It has the time and the program's name already, and cuts at each newline."""

    def format(self, record: logging.LogRecord) -> str:
        """One event in one line, its trace too."""
        message = f"<{_priority(record.levelno)}>{printable(record.getMessage())}"
        trace = self.trace(record)
        return f"{message}: {printable(trace)}" if trace else message


class Json(Plain):
    """For machines: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One event in one line."""
        event: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        event |= {field: printable(str(getattr(record, field))) for field in _FIELDS if hasattr(record, field)}
        if trace := self.trace(record):
            event["trace"] = trace
        return json.dumps(event)


def _formatter(shape: str) -> logging.Formatter:
    if shape == "json":
        return Json()
    return Journal() if is_journal(_STDERR) else Plain()


def _is_plain() -> bool:
    return not any(isinstance(one.formatter, (Journal, Json)) for one in logging.getLogger().handlers)


def _priority(level: int) -> int:
    return next((number for least, number in _PRIORITIES if level >= least), _DEBUG_PRIORITY)


def _log_bug(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    logging.getLogger("tidegate").critical("a bug", exc_info=(kind, error or kind(), trace))
