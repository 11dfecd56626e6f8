"""The hooks of an rsync daemon that serves an export tree: before a transfer and after it.

rsync describes the client in environment variables, and the client writes some of these: they are only compared.
What rsync reports after a transfer proves nothing: the status is 0, too, when the receiver could store nothing.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from core.clock import Clock, Instant
from core.config.settings import Config
from core.errors import ExitCode, TidegateError, UsageError
from core.filenames import printable
from core.state import ledger
from core.state import syncs as sync_rows
from core.state.database import Connection, State
from core.state.ledger import DayRow
from core.units import format_size, format_time
from policy.planner.day import COUNTS_FOR
from policy.reconcile.confirm_modes import confirm_mode
from policy.sync import report, rsync_log
from policy.sync.rsync_log import Transfer

#: Of the daemon's log: what a connection has written is its end, and a transfer of a hundred thousand files is in it.
_LOG_BYTES = 64 * 1024 * 1024


class UsedUp(TidegateError):
    """The day's limit was transferred already: nothing was done, try again later."""

    exit_code = ExitCode.BUSY


class Request(NamedTuple):
    """A connection to a module of the daemon. ``process`` is the one that accepted it."""

    process: int
    module: str
    path: str
    arguments: tuple[str, ...] = ()

    @property
    def is_whole_pull(self) -> bool:
        """True of a pull of all that is in the module. A listing, a dry run, a part of it and a push are none.

        What a client leaves out by filters it keeps to itself.
        """
        options = [one for one in self.arguments if one.startswith("-")]
        letters = "".join(one.removeprefix("-").partition("e.")[0] for one in options if not one.startswith("--"))
        words = {one.partition("=")[0] for one in options if one.startswith("--")}
        return (
            {"--server", "--sender"} <= words
            and not words & {"--list-only", "--files-from"}
            and {"r", "t"} <= set(letters)
            and "n" not in letters
            and self._asked_for() in ([], [""], ["."], ["./"])
        )

    def _asked_for(self) -> list[str]:
        """What comes after the dot with which rsync's options end."""
        end = self.arguments.index(".") if "." in self.arguments else len(self.arguments)
        return list(self.arguments[end + 1 :])


def request_of(environment: Mapping[str, str]) -> Request:
    """The connection that a hook was called for. Raises UsageError where no daemon of rsync's calls."""
    process = environment.get("RSYNC_PID", "")
    if not (process.isascii() and process.isdecimal()):
        raise UsageError("this is a hook of an rsync daemon: it is called by rsyncd.conf (RSYNC_PID is not set)")
    arguments: list[str] = []
    while (one := environment.get(f"RSYNC_ARG{len(arguments)}")) is not None:
        arguments.append(one)
    name, path = environment.get("RSYNC_MODULE_NAME", ""), environment.get("RSYNC_MODULE_PATH", "")
    return Request(int(process), name, path, tuple(arguments))


def begin(config: Config, state: State, clock: Clock, request: Request, *, wait: float) -> report.Announced | None:
    """Before a transfer: a pull of the whole tree is announced; None: it is anything else.

    Raises UsedUp when the attempts of the open day have sent all that it may, and UsageError for a module that is no
    export tree.
    """
    watch = _watch_of(config, request)
    with state.read() as connection:
        day = ledger.open_day(connection)
        if day is not None:
            sent = sync_rows.attempts_on(connection, day.number)
            allowed = max(day.limit_bytes, ledger.charged_for(connection, day.number))
            _refuse_more(config, day, sent, allowed, clock.now())
    if not request.is_whole_pull:
        return None
    return report.announce(config, state, clock, wait=wait, watch=watch, process=request.process)


def end(config: Config, state: State, clock: Clock, request: Request, log: Path) -> Transfer | None:
    """After a transfer: records the bytes transferred by the daemon's log. None: they are not in it.

    Nothing is confirmed. Raises UsageError for a log that cannot be read.
    """
    transfer = rsync_log.of_connection(_last_lines(log), request.process, request.module)
    if transfer is None:
        return None
    watch = _watch_of(config, request)
    now = clock.now().wall
    with state.write() as connection:
        sync_id = sync_rows.sync_of_process(connection, request.process, since=now - COUNTS_FOR)
        day = ledger.open_day(connection)
        if sync_id is None and day is not None and transfer.files:  # a part was fetched: its bytes were transferred too
            sync_id = sync_rows.add_sync(connection, watch=watch, started_at=now, day=day.number)
        if sync_id is not None:
            rsync_log.record(connection, sync_id, transfer)
            _end_transfer(connection, config, sync_id)
    return transfer


def _end_transfer(connection: Connection, config: Config, sync_id: int) -> None:
    """The process's number is another's soon. And where no report is to come, the sync is over."""
    over = {} if confirm_mode(config).awaits_report else {"sealed_at": None}
    sync_rows.change_sync(connection, sync_id, process=None, **over)


def _watch_of(config: Config, request: Request) -> str | None:
    """The watch folder whose export tree the module is; None: it is the only one."""
    served = os.path.realpath(request.path)
    found = [one.name for one in config.watches if request.path and os.path.realpath(one.export) == served]
    if not found:
        raise UsageError(
            f"the module {printable(request.module)!r} serves {printable(request.path)}, which is the export tree of "
            f"no [[watch]] of {config.file}"
        )
    return found[0] if len(config.watches) > 1 else None


def _refuse_more(
    config: Config, day: DayRow, attempts: Sequence[tuple[float, int]], allowed: int, now: Instant
) -> None:
    """What was transferred long ago belongs to an earlier day of the link, though no report has ended this one."""
    is_young = now.elapsed_since(day.opened) < COUNTS_FOR
    counted = [(at, sent) for at, sent in attempts if is_young or at > now.wall - COUNTS_FOR]
    total = sum(sent for _, sent in counted)
    if total == 0 or total < allowed:
        return
    rest = total
    for free_at, sent in counted:  # the oldest first: from then on it no longer counts
        rest -= sent
        if rest < allowed or rest == 0:
            raise UsedUp(
                f"the day's limit is used up: {format_size(total)} of {format_size(allowed)} were transferred; "
                f"try again after {format_time(free_at + COUNTS_FOR, config.day.timezone)}"
            )


def _last_lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_BYTES))
            return os.fsdecode(file.read()).split("\n")
    except OSError as error:
        raise UsageError(f"the daemon's log {log} cannot be read: {error.strerror}") from None
