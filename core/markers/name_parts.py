"""The parts of a dump's name that are no VM: dates and times, file formats, rotation indexes.

Every form here is one that scripts and backup programs write (the table in tests/markers/test_vm_name.py names them).
What could just as well be part of a VM's name is only taken off where it fits the time at which the dump was written.
"""

import datetime
import re
from collections.abc import Callable

#: A date of two-digit years or bare digits is believed when the dump was written so close to it.
_DAYS_BEFORE, _DAYS_AFTER = 2, 400

_YEAR = r"(?:19|20)\d\d"
_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_NUMBER = r"(?:0?[1-9]|[12]\d|3[01])"
_NAMES = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?-i:Mon|Tue|Wed|Thu|Fri|Sat|Sun))"

#: Forms that nothing but a date has: a year of four digits beside a month and a day, or a week.
_CERTAIN = "|".join(
    (
        rf"{_YEAR}(?P<a>[-_.]){_NUMBER}(?P=a){_NUMBER}",  # 2026-11-28
        rf"{_YEAR}{_MONTH}{_DAY}",  # 20261128
        rf"{_NAMES} {{1,2}}{_NUMBER} \d\d:\d\d:\d\d (?:[A-Z]{{3,5}} )?{_YEAR}",  # Nov 28 03:00:11 UTC 2026
        rf"{_NUMBER}(?P<b>[-_.]){_NUMBER}(?P=b){_YEAR}",  # 28.11.2026, 11-28-2026
        rf"{_NUMBER}[-_. ]?{_NAMES}[-_. ]?{_YEAR}",  # 28-Nov-2026
        rf"{_NAMES}[-_. ]{_NUMBER}[-_. ]+{_YEAR}",  # Nov-28-2026
        rf"{_YEAR}[-_. ]?{_NAMES}(?:[-_. ]?{_NUMBER})?",  # 2026-Nov-28
        rf"{_NAMES}[-_. ]{_YEAR}",  # November-2026
        rf"{_YEAR}[-_]?W\d\d(?:-?[1-7])?",  # 2026-W48-6
    )
)
#: Forms that a number of a host may have too; see `_is_near`.
_POSSIBLE = r"(?P<digits>\d\d(?P<c>[-_.])\d\d(?P=c)\d\d|\d{6}|\d{8}|\d{10}|\d{13})"
_CLOCK = (
    r"(?:\(?(?:[ \d])?\d[-:_.]\d\d(?:[-:_.]\d\d)?(?:[.,]\d+)?\)?"  # 03:00, (03:00:11), " 3-00"
    r"|[ \d]?\dh\d\dm?(?:\d\ds)?"  # 03h00m
    r"|[ \d]\d{3}(?:\d\d)?)"  # 0300, " 300", 030011
)
_ZONE = r"(?:Z|UTC|[+-]\d\d:?\d\d)?"
_AFTER = rf"(?:[-_T.@ ]{{1,2}}{_CLOCK}{_ZONE}|T?\d{{6}}{_ZONE}|Z)?(?:[-_. ]{_WEEKDAY})?(?:--?\d{{1,2}}(?=$|\.))?"
_GLUED = rf"(?<=[a-z])(?={_YEAR}([-_.]?)\d\d\1\d\d(?!\d))"  # vm20261128
_STAMP = re.compile(
    rf"(?:^|(?<=[^0-9a-z])|{_GLUED})(?:{_WEEKDAY}[-_., ]+)?(?:{_CERTAIN}){_AFTER}(?=$|[^0-9a-z])", re.IGNORECASE
)
_DIGITS = re.compile(rf"(?:^|(?<=[^0-9a-z])){_POSSIBLE}{_AFTER}(?=$|[^0-9a-z])", re.IGNORECASE)
#: What stands for a date by itself: week_48, Sat, Saturday.
_WEEK = re.compile(
    rf"(?:^|(?<=[-_. ]))(?:(?:calendar[-_ ]?)?(?:week|kw)[-_ ]?\d\d?|{_WEEKDAY})(?=$|[-_. \0])", re.IGNORECASE
)
_ROTATION = re.compile(r"(?:hourly|daily|weekly|monthly|yearly)\.\d{1,3}")
_INDEX = re.compile(r"--\d{1,3}$|(?:^|[-_.])(?:latest|newest)$", re.IGNORECASE)
_BARE_INDEX = re.compile(r"[-_]\d{1,3}$")
_GAP = re.compile(r"[-_.@+, (]*(?:\0[-_.@+, )]*)+")

#: What says how a dump is written and not of which disk or VM it is.
# fmt: off
FORMATS = frozenset({
    "img", "raw", "qcow", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "vma", "tar", "xva", "ova", "ovf",
    "dump", "bak", "backup", "sql", "zst", "zstd", "gz", "lzo", "lz4", "xz", "bz2", "tgz", "tzst", "gpg",
    "age", "enc", "7z", "zip", "fd", "data",
})
# fmt: on


def without_dates(name: str, written: float | None = None) -> str:
    """``name`` less the dates and times in it.

    ``written``: when the dump was written, in seconds since the epoch; None: unknown, and only forms that nothing but
    a date has are taken off.
    """
    if _ROTATION.fullmatch(name):
        return ""
    cut = _WEEK.sub("\0", _STAMP.sub("\0", name))
    if written is not None:
        cut = _DIGITS.sub(lambda match: "\0" if _is_near(match["digits"], written) else match[0], cut)
    return name if cut == name else _closed(cut)


def _closed(cut: str) -> str:
    """A date in the midst leaves one separator, the dot of what follows before any other; at an end it leaves none."""

    def join(match: re.Match[str]) -> str:
        before, after, rest = match[0].split("\0")[0], match[0].split("\0")[-1], cut[match.end() :]
        if not rest:
            return ""
        if match.start() == 0:
            return "." if "." in after and FORMATS.issuperset(rest.lower().split(".")) else ""
        return "." if "." in after else before[:1] or after[:1]

    return _GAP.sub(join, cut)


def without_index(name: str, *, bare: bool = False) -> str:
    """``name`` less what rotation adds: ``vm1--2``, ``vm1-latest``; ``bare``: ``vm1-0`` too."""
    cut = _INDEX.sub("", name)
    return _BARE_INDEX.sub("", cut) if bare else cut


def without_formats(name: str) -> str:
    """``name`` less known file formats at its end, and less an index behind them: ``vm1.img.zst.1`` is ``vm1``."""
    head, *parts = name.split(".")
    while parts and (parts[-1].lower() in FORMATS or _is_index_behind_a_format(parts)):
        parts.pop()
    return ".".join((head, *parts))


def _is_index_behind_a_format(parts: list[str]) -> bool:
    return len(parts) > 1 and parts[-1].isdigit() and len(parts[-1]) < 4 and parts[-2].lower() in FORMATS


# --- digits that are a date only if the dump was written then


def _is_near(digits: str, written: float) -> bool:
    return any(_days_apart(read, digits, written) for read in _READINGS)


def _days_apart(read: "Callable[[str], float]", digits: str, written: float) -> bool:
    try:
        days = (written - read(digits)) / 86_400
    except (ValueError, OverflowError):
        return False
    return -_DAYS_BEFORE <= days <= _DAYS_AFTER


def _epoch(digits: str) -> float:
    if len(digits) not in (10, 13):
        raise ValueError(digits)
    return int(digits) / (1000 if len(digits) == 13 else 1)


def _reading(layout: str) -> "Callable[[str], float]":
    length = 8 if "%Y" in layout else 6

    def read(digits: str) -> float:
        bare = re.sub(r"\D", "", digits)
        if len(bare) != length:
            raise ValueError(digits)
        return datetime.datetime.strptime(bare, layout).replace(tzinfo=datetime.UTC).timestamp()

    return read


_READINGS = (_epoch, *map(_reading, ("%y%m%d", "%d%m%y", "%m%d%y", "%d%m%Y", "%m%d%Y")))
