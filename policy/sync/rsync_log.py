"""What rsync says of a transfer: how many bytes crossed the line, and for which names.

Three texts tell it: ``--stats --no-h``, and the lines of ``--out-format``, of ``--log-file-format``, or of a daemon's
``log format``, which must be LOG_FORMAT. There the name comes last: it may hold blanks, and rsync itself escapes
control characters, so that a name cannot forge a line.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

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


class NotTold(Exception):
    """A text that tells of no transfer: why, for people."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that crossed the line, rsync's own words included: ``sent`` to the storage, ``received`` from it.

    ``received`` None: nobody tells. ``files``: top-level name of the export tree -> bytes for what is under it; a name
    that is missing needed none, or it is not told.
    """

    sent: int
    received: int | None = None
    files: Mapping[str, int] = field(default_factory=dict)


def read(text: str) -> Transfer:
    """The transfer that a text tells; of several in one log the last. Raises NotTold."""
    told = _told(line.said for line in map(_line, text.split("\n")))
    if _SENT.search(text):
        told.totals = _totals(text)
    if told.is_empty:
        raise NotTold(f"neither the end of `--stats --no-h` nor lines of a log with the format {LOG_FORMAT!r}")
    return told.transfer()


class Item(NamedTuple):
    """One file as a log names it: sent, or found to be there already. ``path`` leads to it from the tree."""

    is_sent: bool
    bytes: int
    path: str


def items(text: str) -> list[Item]:
    """The files that a log tells of which was written here, by who sends; with ``-ii`` those that stood there too."""
    found = (_ITEM.fullmatch(line.said) for line in map(_line, text.split("\n")))
    return [Item(one[1] == "<", int(one[2]), _plain(one[3])) for one in found if one is not None]


def of_connection(lines: Iterable[str], process: int, module: str) -> Transfer | None:
    """What a daemon's log tells of the connection that ``process`` accepted; None: nothing.

    That process is the one that hooks are told of, and its child writes of the transfer. A module that takes one
    connection at a time makes the child the next that serves it.
    """
    child: int | None = None
    waits = False
    said: list[str] = []
    for line in map(_line, lines):
        if line.process == process and (allowed := _ALLOWED.match(line.said)):
            waits, child, said = allowed[1] == module, None, []
        elif waits and (request := _REQUEST.match(line.said)) and request[1] == module:
            waits, child = False, line.process
        if child is not None and line.process == child:
            said.append(line.said)
    told = _told(said)
    return None if told.is_empty else told.transfer()


class _Line(NamedTuple):
    process: int | None
    said: str


def _line(text: str) -> _Line:
    match = _STAMPED.match(text)
    return _Line(None, text) if match is None else _Line(int(match[1]), match[2])


def _totals(text: str) -> tuple[int, int]:
    figures = [found[-1] for found in (_SENT.findall(text), _RECEIVED.findall(text)) if found]
    if len(figures) != 2 or not all(_FIGURE.fullmatch(one) for one in figures):
        raise NotTold("its totals are cut off or written for people; run rsync with --stats --no-h")
    return int(figures[0]), int(figures[1])


@dataclass(slots=True)
class _Told:
    """What the lines of one transfer tell. ``folder`` is what was asked for of the module, '' for all of it."""

    folder: str = ""
    receives: bool | None = None
    totals: tuple[int, int] | None = None
    files: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        return self.totals is None and self.receives is None

    def transfer(self) -> Transfer:
        """Seen from this host, whichever side has written it: what it does not tell, what is more was sent."""
        files = dict(+self.files)
        if self.totals is None:  # whoever wrote it was killed before the last line: what the files took, at least
            return Transfer(sum(files.values()), None, files)
        out, back = self.totals
        written_there = back > out if self.receives is None else self.receives
        return Transfer(back, out, files) if written_there else Transfer(out, back, files)


def _told(lines: Iterable[str]) -> _Told:
    """Of several transfers the last one: each begins with a line of its own."""
    told = _Told()
    for said in lines:
        if match := _FILE.fullmatch(said):
            told.receives = match[1] == "recv"
            told.files[_top(told.folder, match[3])] += int(match[2])
        elif match := _TOTAL.match(said):
            told.totals = int(match[1]), int(match[2])
        elif match := _REQUEST.match(said):
            # Asked for with a slash at its end, a folder is not named with what is in it.
            told = _Told((match[2] or "").rpartition("/")[0])
        elif _BEGINS.match(said):
            told = _Told(told.folder)
    return told


def _top(folder: str, name: str) -> str:
    path = f"{folder}/{name}" if folder else name
    return _plain(path.removeprefix("./").partition("/")[0])


def _plain(name: str) -> str:
    r"""As it is on the disk: rsync writes some bytes as a backslash, ``#`` and three octal digits."""
    if "\\#" not in name:
        return name
    return os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), os.fsencode(name)))
