"""Sizes, spans and times as people write them, and back.

Sizes are decimal (10 GB = 10^10 bytes); the binary units say so (GiB).
Every parser raises ValueError with a sentence that says what would be right.
"""

import datetime
import re
from bisect import bisect_left

_NUMBER = r"([0-9]{1,30}(?:\.[0-9]{1,30})?)"  # longer ones are no figures of this trade
_SIZE = re.compile(_NUMBER + r"\s*([A-Za-z]*)")
_DECIMAL = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
_BINARY = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "PIB": 2**50}
_SPAN_PART = re.compile(_NUMBER + r"\s*(s|m|h|d|w)")
_SPAN_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

#: Two days inside what ``datetime`` can hold, so that a time read in one zone can be shown in any other.
LAST_TIME = datetime.datetime(9999, 12, 30, tzinfo=datetime.UTC).timestamp()

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def parse_size(text: str) -> int:
    """Bytes of ``"10 GB"``, ``"1.5 GiB"`` or ``"500"``, never negative."""
    match = _SIZE.fullmatch(text.strip())
    factor = None if match is None else (_DECIMAL | _BINARY).get(match[2].upper())
    if match is None or factor is None:
        raise ValueError(f'{text!r} is not a size; write it like "10 GB" or "1.5 GiB"')
    whole, _, fraction = match[1].partition(".")
    # In integers: a float would lose bytes above 9 PB.
    return (int(whole + fraction) * factor) // int("1" + "0" * len(fraction))


def format_size(size: int) -> str:
    """``size`` bytes for people, decimal, three significant digits: ``"8.1 GB"``."""
    if size < 0:
        return "-" + format_size(-size)
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5 or unit == "PB":
            break
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def parse_span(text: str) -> float:
    """Seconds of ``"20h"``, ``"7d"`` or ``"1h 30m"``, never negative."""
    parts = _SPAN_PART.findall(text)
    if not parts or _SPAN_PART.sub("", text).strip():
        raise ValueError(f'{text!r} is not a duration; write it like "20h", "7d" or "1h 30m"')
    return float(sum(float(number) * _SPAN_SECONDS[unit] for number, unit in parts))


def format_span(seconds: float) -> str:
    """A span for people, in its two largest units: ``"3d 4h"``."""
    rest = round(abs(seconds))
    sign = "-" if seconds < 0 < rest else ""
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _SPAN_SECONDS[unit])
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return sign + " ".join(parts[:2])


def parse_time(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time with its offset, from 1970 to the end of 9999."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f'{text!r} is not a time with an offset; write it like "2026-11-22T03:00:00+01:00"')
    seconds = time.timestamp()
    if not 0 <= seconds < LAST_TIME:
        raise ValueError(f"{text!r} is not a time that a dump can have; it must lie between 1970 and 9999")
    return seconds


def last_reached(at: datetime.time, zone: datetime.tzinfo, now: float) -> float:
    """When the local time ``at`` was last reached in ``zone``: the latest such instant that is not after ``now``.

    Each local date has one. Where ``at`` comes twice on a date, it is the first time; where a change of the
    clock skips it, the first instant after the gap.
    """
    date = datetime.datetime.fromtimestamp(now, zone).date()
    # The day after too: a clock set back over midnight shows the old date once more.
    dates = (date + datetime.timedelta(days) for days in (-1, 0, 1))
    nearby = (_first_instant(datetime.datetime.combine(each, at), zone) for each in dates)
    return max(instant for instant in nearby if instant <= now)


def _first_instant(wanted: datetime.datetime, zone: datetime.tzinfo) -> float:
    """The first instant at which a clock in ``zone`` shows ``wanted`` or more on that date."""
    instant = wanted.replace(tzinfo=zone).timestamp()  # of two such instants this is the first (PEP 495, fold 0)
    if _shown(instant, zone) == wanted:
        return instant
    # `wanted` is skipped. Read with the offset before the gap it lies behind it, else ahead of it.
    before = int(wanted.replace(tzinfo=zone, fold=1).timestamp())
    seconds = range(before, int(instant))
    return float(before + bisect_left(seconds, wanted, key=lambda second: _shown(second, zone)))


def _shown(instant: float, zone: datetime.tzinfo) -> datetime.datetime:
    """What a clock in ``zone`` shows, as a naive time."""
    return datetime.datetime.fromtimestamp(instant, zone).replace(tzinfo=None)


def format_time(seconds: float, zone: datetime.tzinfo = datetime.UTC) -> str:
    """RFC 3339 with offset, to the second."""
    return datetime.datetime.fromtimestamp(seconds, zone).isoformat(timespec="seconds").replace("+00:00", "Z")


def format_minute(seconds: float, zone: datetime.tzinfo) -> str:
    """For people who know their zone, to the minute: ``"2026-11-22 03:00"``."""
    return datetime.datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M")


def format_exact_time(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond: what tells two dumps of one second apart."""
    return (
        datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def format_date(seconds: float, zone: datetime.tzinfo = datetime.UTC) -> str:
    """The date for people, in English whatever the locale: ``"Thursday 26 November"``."""
    date = datetime.datetime.fromtimestamp(seconds, zone)
    return f"{_WEEKDAYS[date.weekday()]} {date.day} {_MONTHS[date.month - 1]}"


def format_day(seconds: float, zone: datetime.tzinfo) -> str:
    """The date in short: ``"Thu 26 Nov"``."""
    weekday, number, month = format_date(seconds, zone).split()
    return f"{weekday[:3]} {number} {month[:3]}"


def format_stamp(seconds: float) -> str:
    """The time for a file name, in UTC to the second: ``"20261122T030000Z"``."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
