"""What rsync says of a transfer, and what is recorded of it: how many bytes were sent, and for which names.

It is read from ``--stats --no-h``, and from the lines of ``--out-format``, of ``--log-file-format``, or of a daemon's
``log format``, which must be LOG_FORMAT. There the name comes last: it may hold blanks, and rsync itself escapes
control characters, so that a name cannot forge a line.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from core.enums import LinkState
from core.state import counters, ledger, syncs
from core.state.database import Connection
from core.state.ledger import LinkRow
from core.state.syncs import SyncRow
from core.units import format_size
from policy.reconcile.confirm import record_sent_again

log = logging.getLogger("tidegate.policy")

#: rsync's own words and Tidegate's metadata are sent too, and nothing is charged for them: a part of the day, and what
#: a sync takes that finds nothing to do.
_TOLERATED = 0.02
_TOLERATED_BYTES = 1_000_000

LOG_FORMAT = "%o %i %b %l %n"

_SENT = re.compile(r"^Total bytes sent: (.+)$", re.MULTILINE)
_RECEIVED = re.compile(r"^Total bytes received: (.+)$", re.MULTILINE)
_FIGURE = re.compile(r"[0-9]{1,15}")  # a petabyte
#: In a log file each line has its time and process before it, on stdout none has.
_STAMPED = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[([0-9]{1,15})\] (.*)")
_FILE = re.compile(r"(send|recv) [<>.][fdLDS]\S* ([0-9]{1,15}) [0-9]+ (.*)")
_ITEM = re.compile(r"send ([<.])f\S* +(\d+) \d+ (.*)")
_TOTAL = re.compile(r"sent ([0-9]{1,15}) bytes  received ([0-9]{1,15}) bytes  total size ")
_ALLOWED = re.compile(r"rsync allowed access on module (\S+) from ")
_REQUEST = re.compile(r"rsync on ([^\s/]+)(?:/(.*))? from ")
_BEGINS = re.compile(r"(?:receiving|building|sending) (?:incremental )?file list")
_ESCAPED = re.compile(rb"\\#([0-3][0-7]{2})")


class NoTransfer(Exception):
    """A text that holds no transfer: why, for people."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes transferred, rsync's own words included: ``sent`` to the storage, ``received`` from it.

    ``received`` None: not known. ``files``: top-level name of the export tree -> bytes for what is under it; a name
    that is missing needed none, or it is not known.
    """

    sent: int
    received: int | None = None
    files: Mapping[str, int] = field(default_factory=dict)


def read(text: str) -> Transfer:
    """The transfer in a text; of several in one log the last. Raises NoTransfer."""
    lines = _of_lines(line.text for line in map(_line, text.split("\n")))
    if _SENT.search(text):
        lines.totals = _totals(text)
    if lines.is_empty:
        raise NoTransfer(f"neither the end of `--stats --no-h` nor lines of a log with the format {LOG_FORMAT!r}")
    return lines.transfer()


class LogItem(NamedTuple):
    """One file as a log names it: sent, or found to be there already. ``path`` leads to it from the tree."""

    is_sent: bool
    bytes: int
    path: str


def items(text: str) -> list[LogItem]:
    """The files in a log that was written here, by who sends; with ``-ii`` also those that were there already."""
    found = (_ITEM.fullmatch(line.text) for line in map(_line, text.split("\n")))
    return [LogItem(one[1] == "<", int(one[2]), _plain(one[3])) for one in found if one is not None]


def of_connection(lines: Iterable[str], process: int, module: str) -> Transfer | None:
    """What a daemon's log has of the connection that ``process`` accepted; None: nothing.

    That process is the one that hooks get, and its child writes of the transfer. A module that takes one
    connection at a time makes the child the next that serves it.
    """
    child: int | None = None
    waits = False
    texts: list[str] = []
    for line in map(_line, lines):
        if line.process == process and (allowed := _ALLOWED.match(line.text)):
            waits, child, texts = allowed[1] == module, None, []
        elif waits and (request := _REQUEST.match(line.text)) and request[1] == module:
            waits, child = False, line.process
        if child is not None and line.process == child:
            texts.append(line.text)
    found = _of_lines(texts)
    return None if found.is_empty else found.transfer()


class _Line(NamedTuple):
    process: int | None
    text: str


def _line(text: str) -> _Line:
    match = _STAMPED.match(text)
    return _Line(None, text) if match is None else _Line(int(match[1]), match[2])


def _totals(text: str) -> tuple[int, int]:
    figures = [found[-1] for found in (_SENT.findall(text), _RECEIVED.findall(text)) if found]
    if len(figures) != 2 or not all(_FIGURE.fullmatch(one) for one in figures):
        raise NoTransfer("its totals are cut off or written for people; run rsync with --stats --no-h")
    return int(figures[0]), int(figures[1])


@dataclass(slots=True)
class _Lines:
    """What the lines of one transfer hold. ``folder`` is what was asked for of the module, '' for all of it."""

    folder: str = ""
    receives: bool | None = None
    totals: tuple[int, int] | None = None
    files: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        return self.totals is None and self.receives is None

    def transfer(self) -> Transfer:
        """Seen from this host, whichever side has written it: where that is not known, the larger figure was sent."""
        files = dict(+self.files)
        if self.totals is None:  # whoever wrote it was killed before the last line: what the files took, at least
            return Transfer(sum(files.values()), None, files)
        out, back = self.totals
        written_there = back > out if self.receives is None else self.receives
        return Transfer(back, out, files) if written_there else Transfer(out, back, files)


def _of_lines(texts: Iterable[str]) -> _Lines:
    """Of several transfers the last one: each begins with a line of its own."""
    found = _Lines()
    for text in texts:
        if match := _FILE.fullmatch(text):
            found.receives = match[1] == "recv"
            found.files[_top(found.folder, match[3])] += int(match[2])
        elif match := _TOTAL.match(text):
            found.totals = int(match[1]), int(match[2])
        elif match := _REQUEST.match(text):
            # Asked for with a slash at its end, a folder is not named with what is in it.
            found = _Lines((match[2] or "").rpartition("/")[0])
        elif _BEGINS.match(text):
            found = _Lines(found.folder)
    return found


def _top(folder: str, name: str) -> str:
    path = f"{folder}/{name}" if folder else name
    return _plain(path.removeprefix("./").partition("/")[0])


def _plain(name: str) -> str:
    r"""As it is on the disk: rsync writes some bytes as a backslash, ``#`` and three octal digits."""
    if "\\#" not in name:
        return name
    return os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), os.fsencode(name)))


# --- what is recorded of it


def record(connection: Connection, sync_id: int, transfer: Transfer) -> None:
    """Records the bytes transferred in a sync; they are never given back. Told twice of one, the larger figures hold.

    To be called before the sync's links are confirmed: what has been confirmed until then was sent again.
    """
    before = syncs.one_sync(connection, sync_id)
    sent = max(transfer.sent, before.sent_bytes or 0)
    received = max(transfer.received or 0, before.received_bytes or 0)
    is_told = transfer.received is not None or before.received_bytes is not None
    syncs.change_sync(connection, sync_id, sent_bytes=sent, received_bytes=received if is_told else None)
    counters.count(connection, "wire_sent_bytes", sent - (before.sent_bytes or 0))
    counters.count(connection, "wire_received_bytes", received - (before.received_bytes or 0))
    _record_links(connection, before, transfer.files)
    _record_beyond(connection, before)


def _record_links(connection: Connection, sync: SyncRow, files: Mapping[str, int]) -> None:
    links = {link.export_name: link for link in ledger.in_tree(connection, sync.watch)}
    links |= {link.export_name: link for link in ledger.of_sync(connection, sync.id)}
    crossed = [links[name] for name in files if name in links]
    syncs.add_transfers(connection, sync.id, {link.id: files[link.export_name] for link in crossed})
    record_sent_again(connection, [link for link in crossed if _had_it_before(link, sync)])


def _had_it_before(link: LinkRow, sync: SyncRow) -> bool:
    """Not by a read: that may have been this sync's own, where it is not known when it began."""
    if link.state is not LinkState.CONFIRMED or link.confirmed_at is None:
        return False
    if sync.started_at is None:
        return link.confirmed_by is None or not link.confirmed_by.by_access_time
    return link.confirmed_at < sync.started_at


def _record_beyond(connection: Connection, sync: SyncRow) -> None:
    """Counted for the whole day: what one sync has left the next one may carry."""
    if sync.day is None:
        return
    sent, known = syncs.sent_on(connection, sync.day)
    charged = ledger.charged_for(connection, sync.day)
    new = sent - charged - known
    if new <= 0:
        return
    syncs.change_sync(connection, sync.id, beyond_bytes=sync.beyond_bytes + new)
    counters.count(connection, "wire_beyond_charge_bytes", new)
    if sent - charged > _TOLERATED_BYTES + _TOLERATED * max(charged, ledger.limit_of(connection, sync.day)):
        log.warning(
            "%s was sent on day %d for %s that was released: look for links that were fetched again, for an "
            "interrupted transfer that began anew (--partial-dir), and for a second puller",
            format_size(sent),
            sync.day,
            format_size(charged),
        )
