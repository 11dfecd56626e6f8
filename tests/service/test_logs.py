"""Logs: one line an event, whatever stands in it."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host import ROOT, Host
from tests.service.running import service
from tidegate.daemon import logs

FORGED = "vm1\n<0>tidegate: all dumps are off-site\x1b[2J\udcff"
#: How it must look wherever it is told.
ESCAPED = r"vm1\n<0>tidegate: all dumps are off-site\x1b[2J\xff"


def record(message: str, *arguments: Any, level: int = logging.WARNING, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("tidegate.watcher", level, "file.py", 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def failed(message: str) -> logging.LogRecord:
    """An event with the trace of an error that names the file."""
    try:
        raise RuntimeError(FORGED)
    except RuntimeError:
        made = record(message)
        made.exc_info = sys.exc_info()
        return made


# --- the forms


def test_on_a_terminal_an_event_is_a_sentence() -> None:
    """No time and no level: an admin who looks on knows both."""
    assert logs.Plain().format(record("%s is down", "dumps")) == "tidegate: dumps is down"


@pytest.mark.parametrize(
    ("level", "number"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7)],
)
def test_journald_gets_the_level_as_syslog_numbers_it_and_no_time(level: int, number: int) -> None:
    """`journalctl -p warning` finds it then."""
    assert logs.Journal().format(record("x", level=level)) == f"<{number}>x"


def test_an_event_in_json_is_an_object_with_time_level_logger_message_and_what_it_is_about() -> None:
    """A field that an event does not have is left out."""
    told = json.loads(logs.Json().format(record("%d left", 2, watch="dumps", vm="vm1", path="a/vm1", other="no")))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", told.pop("time"))
    assert told == {
        "level": "warning",
        "logger": "tidegate.watcher",
        "message": "2 left",
        "watch": "dumps",
        "vm": "vm1",
        "path": "a/vm1",
    }


# --- forged lines


@pytest.mark.parametrize("form", [logs.Plain(), logs.Journal(), logs.Json()])
def test_a_name_with_a_newline_makes_no_line_of_its_own(form: logging.Formatter) -> None:
    """Whoever may write into a dump folder chooses the names."""
    line = form.format(record("%s: cannot be read", FORGED, path=FORGED))
    assert len(line.splitlines()) == 1
    told = json.loads(line) if isinstance(form, logs.Json) else {"message": line, "path": ESCAPED}
    assert f"{ESCAPED}: cannot be read" in told["message"]
    assert told["path"] == ESCAPED
    line.encode()  # and what is no text is no error


def test_a_trace_on_a_terminal_is_indented_below_its_event() -> None:
    """It has lines, but none that could be taken for an event."""
    first, *trace = logs.Plain().format(failed("a bug")).splitlines()
    assert first == "tidegate: a bug"
    assert [line for line in trace if not line.startswith("    ")] == []
    assert any("RuntimeError" in line for line in trace)


@pytest.mark.parametrize("form", [logs.Journal(), logs.Json()])
def test_a_trace_in_a_log_is_within_the_line_of_its_event(form: logging.Formatter) -> None:
    """journald would make an entry of each line, and without the level."""
    line = form.format(failed("a bug"))
    assert len(line.splitlines()) == 1
    assert "RuntimeError" in line


# --- journald or not


@pytest.fixture
def pipe() -> Iterator[tuple[int, str]]:
    """A descriptor, and what JOURNAL_STREAM says when it is the one to journald."""
    reader, writer = os.pipe()
    status = os.fstat(writer)
    yield writer, f"{status.st_dev}:{status.st_ino}"
    os.close(reader)
    os.close(writer)


def test_stderr_is_the_journal_when_it_is_the_stream_that_systemd_named(pipe: tuple[int, str]) -> None:
    """The variable is inherited by children whose stderr goes elsewhere: alone it says nothing."""
    writer, named = pipe
    assert logs.is_journal(writer, {"JOURNAL_STREAM": named})
    assert not logs.is_journal(writer, {"JOURNAL_STREAM": "1:1"})
    assert not logs.is_journal(writer, {})


def run(host: Host, *arguments: str, shell: str = 'exec "$@"') -> list[str]:
    """The lines of stderr."""
    command = ["sh", "-c", shell, "sh", *host.command(*arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return done.stderr.splitlines()


#: What systemd does: it says which file stderr is.
AS_SYSTEMD = 'JOURNAL_STREAM=$(stat --dereference --format=%d:%i /proc/self/fd/2) exec "$@"'


def test_the_sentence_that_a_command_ends_with_has_the_form_of_the_log(tmp_path: Path) -> None:
    """All mistakes of a configuration, each an event of its own where it goes to a log."""
    host = Host(tmp_path / "host", limit={"daily": "much"}, day={"ends": "never"})
    plain = run(host, "status")
    assert plain[0].startswith("tidegate: ")
    messages = [plain[0].removeprefix("tidegate: "), *plain[1:]]
    assert len(messages) == 2
    assert run(host, "status", shell=AS_SYSTEMD) == [f"<3>{message}" for message in messages]
    objects = [json.loads(line) for line in run(host, "--log-format", "json", "status")]
    assert [(one["level"], one["message"]) for one in objects] == [("error", message) for message in messages]


def test_a_bug_is_one_event_too_where_it_goes_to_a_log() -> None:
    """Python's own trace would be twenty entries without a level."""
    program = "from tidegate.daemon import logs; logs.set_up(20, 'json'); 1 / 0"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    told = json.loads(done.stderr)
    assert (done.returncode, told["level"]) == (1, "critical")
    assert "ZeroDivisionError" in told["trace"]


def test_the_service_logs_json_only(tmp_path: Path) -> None:
    """From the start to the end, each line is an object."""
    host = Host(tmp_path / "host")
    with service(host, "--log-format", "json") as running:
        running.end()
        messages = [json.loads(line)["message"] for line in running.log]
    assert (messages[0], messages[-1]) == (f"watching {host.dumps}", "stopped")
