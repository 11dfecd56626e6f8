"""How rsync is called: its words, and the meter between it and its transport."""

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from core.config.network_settings import Push
from core.config.settings import WatchFolder
from core.errors import FaultError
from policy.sync import meter
from policy.sync.rsync_log import LOG_FORMAT

#: What is left of a transfer that was cut stays beside its file, whose last whole version is not touched.
PARTIAL = ".rsync-partial"
_DAEMON_PORT = "873"
_HOST = r"(?:[^@/]*@)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/\[\]]+))"
_URL = re.compile(rf"rsync://{_HOST}(?::(?P<port>\d+))?(?:/|$)")
_MODULE = re.compile(rf"{_HOST}::")
_REMOTE = re.compile(r"[^/]*:")


class Call(NamedTuple):
    """A program with its words, and what its environment has beside ours."""

    words: list[str]
    environment: Mapping[str, str]


class Job(NamedTuple):
    """One run of rsync. ``source`` is rsync's; ``out_format`` is what it prints when it comes to a file."""

    push: Push
    watch: WatchFolder
    source: str
    log: Path
    options: tuple[str, ...] = ()


def call(job: Job, control: int) -> Call:
    """The call of rsync for this job; its meter listens on the descriptor ``control``.

    Raises FaultError for a folder of this host that is not there: its disk may not be mounted, and must not be
    mistaken for an empty one.
    """
    push = job.push
    there = push.destination_of(job.watch.name)
    counting = [sys.executable, "-I", "-S", meter.__file__, str(control)]
    words = [push.rsync, *push.options, *_set(job.log), *job.options]
    if (daemon := _daemon(there, push.options)) is not None:
        connect = shlex.join([*counting, "tcp", *daemon])
        return Call([*words, "--", job.source, there], {"RSYNC_CONNECT_PROG": connect})
    if _REMOTE.match(there):
        return Call([*words, f"--rsh={shlex.join([*counting, 'shell', *push.ssh])}", "--", job.source, there], {})
    if not Path(there).is_dir():
        raise FaultError(f"{there}: the destination does not exist; is its disk mounted?")
    local = [f"--rsh={shlex.join([*counting, 'local'])}", f"--rsync-path={shlex.quote(push.rsync)}"]
    return Call([*words, *local, "--", job.source, f"here:{there}"], {})


def _set(log: Path) -> list[str]:
    """Each file is named: on stdout when rsync comes to it, in the log when it is through with it."""
    told = ["--stats", "--no-human-readable", "-ii", "--out-format=%i %l %n"]
    return [f"--partial-dir={PARTIAL}", *told, f"--log-file={log}", f"--log-file-format={LOG_FORMAT}"]


def _daemon(there: str, options: tuple[str, ...]) -> tuple[str, str] | None:
    """Host and port of a daemon; None where the destination is none."""
    found = _URL.match(there) or _MODULE.match(there)
    if found is None:
        return None
    told = [option.partition("=")[2] for option in options if option.startswith("--port=")]
    port = found.groupdict().get("port") or (told[-1] if told else _DAEMON_PORT)
    return found["six"] or found["host"], port
