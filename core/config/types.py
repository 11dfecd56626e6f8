"""From a value of the file to a typed one: one function for each kind, and the types of keys.

A function takes what the TOML reader gives and raises ValueError with a sentence that names what would be right.
"""

import datetime
import io
import json
import os
import re
import string
import zoneinfo
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from core.config.messages import choice, did_you_mean
from core.filenames import is_clean, is_single_component
from core.units import parse_size, parse_span

#: What SQLite can hold in an integer.
_LARGEST_SIZE = 2**63 - 1
_LONGEST_SPAN = 100 * 365 * 86400.0
_LONGEST_TIMEOUT = 300.0
_PLACEHOLDERS = ("vm", "suffixes", "name", "backup_set")
_LOCALTIME = Path("/etc/localtime")
#: UTC as a zone file: a host without a database of zones has it too.
_UTC_FILE = b"TZif" + bytes(35) + b"\x01" + bytes(3) + b"\x04" + bytes(6) + b"UTC\0"

TEXT: Mapping[str, Any] = {"type": "string"}
LIST: Mapping[str, Any] = {"type": "array", "items": TEXT}
#: What a function takes, as a JSON schema; TEXT where it is not among them.
JSON_SCHEMAS: dict[Callable[..., object], Mapping[str, Any]] = {}

_Word = TypeVar("_Word", bound=StrEnum)


# --- text and words


def text(value: object) -> str:
    """Text that is not empty and has no control character."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text; write it in quotes")  # noqa: TRY004
    if not value.strip():
        raise ValueError("is empty; write a value or leave the key out")
    if not is_clean(value):
        raise ValueError(f"{value!r} has control characters; remove them")
    return value


def flag(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false; write one of these, without quotes")  # noqa: TRY004
    return value


def one_of(*words: _Word) -> Callable[[object], _Word]:
    """A function that takes one of these words."""

    def word(value: object) -> _Word:
        for candidate in words:
            if value == candidate:
                return candidate
        raise ValueError(f"{shown(value)} is not known here; write {choice(words)}")

    JSON_SCHEMAS[word] = {"enum": [str(one) for one in words]}
    return word


def words_of(*words: _Word) -> Callable[[object], frozenset[_Word]]:
    """A function that takes a list of these words."""
    word = one_of(*words)

    def several(value: object) -> frozenset[_Word]:
        if not isinstance(value, list):
            raise ValueError(f"{shown(value)} is not a list; write it like {json.dumps(words[:2])}")  # noqa: TRY004
        return frozenset(map(word, value))

    JSON_SCHEMAS[several] = {"type": "array", "items": JSON_SCHEMAS[word]}
    return several


def count(least: int, most: int) -> Callable[[object], int]:
    """A function that takes a whole number between the two."""

    def number(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{shown(value)} is not a whole number from {least} to {most}; write it without quotes")
        return value

    JSON_SCHEMAS[number] = {"type": "integer", "minimum": least, "maximum": most}
    return number


def name(value: object) -> str:
    """A name for people and for metric labels: one word or several, without a slash."""
    if "/" in (written := text(value)):
        raise ValueError(f"{written!r} has a slash; write a name without one")
    return written


def names(value: object) -> tuple[str, ...]:
    """A list of names."""
    if not isinstance(value, list):
        raise ValueError(f'{shown(value)} is not a list; write it like ["vm1", "vm2"]')  # noqa: TRY004
    return tuple(name(item) for item in value)


def command(value: object, script: str = "dump-vm > $OUT") -> tuple[str, ...]:
    """The words of a command, the program first. A text is refused: no shell takes it apart.

    ``script``: an example of what needs a shell.
    """
    right = f'write its words as a list, like ["program", "--option"]; for a shell: {json.dumps(["sh", "-c", script])}'
    if not isinstance(value, list) or not value:
        raise ValueError(f"{shown(value)} is not a command; {right}")
    for word in value:
        if not isinstance(word, str) or "\0" in word:
            raise ValueError(f"{shown(word)} is not a word of a command; {right}")
    if not value[0].strip():
        raise ValueError(f"its first word names no program; {right}")
    return tuple(value)


JSON_SCHEMAS |= {flag: {"type": "boolean"}, names: LIST, command: LIST}


# --- sizes and times


def size(value: object) -> int:
    """Bytes, 0 or more. A number without a unit is refused: 10 is rarely meant as 10 bytes."""
    written = _with_unit(value, 'write it like "10 GB" or "1.5 GiB"')
    if (result := parse_size(written)) > _LARGEST_SIZE:
        raise ValueError(f"{written!r} is more than can be counted; the largest size is 9000 PB")
    return result


def size_above_zero(value: object) -> int:
    """Bytes, at least 1."""
    if (result := size(value)) == 0:
        raise ValueError(f'{value!r} would never release a dump; write a size above 0, like "10 GB"')
    return result


def span(value: object) -> float:
    """Seconds, 0 or more."""
    written = _with_unit(value, 'write it like "20h", "7d" or "1h 30m"')
    if (result := parse_span(written)) > _LONGEST_SPAN:
        raise ValueError(f"{written!r} is more than a hundred years; write a shorter duration")
    return result


def span_above_zero(value: object) -> float:
    """Seconds, more than 0."""
    if (result := span(value)) == 0:
        raise ValueError(f'{value!r} is no time at all; write more, like "7d", or leave the key out')
    return result


def scan_interval(value: object) -> float:
    """Seconds, at least 1: a scan looks at every entry of the folder."""
    if (result := span(value)) < 1:
        raise ValueError(f'{value!r} is too short; write at least "1s"')
    return result


def notify_timeout(value: object) -> float:
    """Seconds, at least 1: a run waits so long for its last word to arrive."""
    if not 1 <= (seconds := span(value)) <= _LONGEST_TIMEOUT:
        raise ValueError(f'{value!r} is too short or too long; write between "1s" and "5m"')
    return seconds


def time_of_day(value: object) -> datetime.time:
    """A local time, to the minute."""
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{shown(value)} is not a time of day; write it in quotes, like "00:00" or "23:45"')
    return datetime.time(int(match[1]), int(match[2]))


def zone(value: object) -> zoneinfo.ZoneInfo:
    """The zone of a name such as ``"Europe/Berlin"``."""
    key = text(value)
    if (found := _find_zone(key)) is not None:
        return found
    known = zoneinfo.available_timezones()
    if not known:
        raise ValueError(f"{key!r} is not known: this host has no time zones at all; install tzdata")
    right = did_you_mean(key, known, '"{}"') or '; write it like "Europe/Berlin" or "UTC"'
    raise ValueError(f"{key!r} is not a known time zone{right}")


def host_zone(localtime: Path = _LOCALTIME) -> zoneinfo.ZoneInfo:
    """The zone of this host: TZ, else ``/etc/localtime`` (a link or a copy), else UTC."""
    key = os.environ.get("TZ", "").removeprefix(":")
    found = _find_zone(key) if key else None
    return found or _linked_zone(localtime) or _copied_zone(localtime) or utc()


def utc() -> zoneinfo.ZoneInfo:
    """UTC, wherever this runs."""
    return _find_zone("UTC") or zoneinfo.ZoneInfo.from_file(io.BytesIO(_UTC_FILE), key="UTC")


# --- paths and patterns


def path(value: object, folder: Path) -> Path:
    """An absolute path; a relative one starts at the folder of the configuration file."""
    written = text(value)
    if written.startswith("~"):
        raise ValueError(f"{written!r}: ~ is not expanded here; write the whole path")
    return folder / written


def pattern(value: object) -> re.Pattern[str]:
    """A regular expression."""
    try:
        return re.compile(text(value))
    except (re.error, OverflowError) as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None


def prefix(value: object) -> str:
    """What is put before names of VMs: with any name behind it, it is one name."""
    found = "" if value == "" else text(value)
    if not is_single_component(f"{found}x"):
        raise ValueError(f'{shown(value)} cannot begin the name of a VM; write it like "host1-"')
    return found


def vm_pattern(value: object) -> re.Pattern[str]:
    """A regular expression with a group named vm."""
    compiled = pattern(value)
    if "vm" not in compiled.groupindex:
        raise ValueError(f"{value!r} has no group named vm; write it like '^(?P<vm>[^.]+)'")
    return compiled


def layout(value: object) -> str:
    """The pattern of a name in the export tree: one path component that differs from VM to VM."""
    written = text(value)
    fields = _fields(written)
    for field in fields:
        if field not in _PLACEHOLDERS:
            right = did_you_mean(field, _PLACEHOLDERS, "{{{}}}")
            right = right or "; there are {vm}, {suffixes}, {name} and {backup_set}"
            raise ValueError(f"{written!r}: {{{field}}} is not known{right}")
    if "/" in written:
        raise ValueError(f"{written!r} has a slash; a layout is one name inside the export tree")
    if written[0] in ".-":
        raise ValueError(f'{written!r} begins with {written[0]!r}; write it like "{{vm}}{{suffixes}}"')
    if not {"vm", "name"} & set(fields):
        raise ValueError(f"{written!r} gives every VM the same name; it must have {{vm}} or {{name}}")
    return written


def shown(value: object) -> str:
    """A value as TOML would have it, short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)


def _with_unit(value: object, right: str) -> str:
    bare = value.strip() if isinstance(value, str) else value
    number = isinstance(bare, int | float) and not isinstance(bare, bool)
    if number or (isinstance(bare, str) and re.fullmatch(r"[+-]?[0-9.]+", bare)):
        raise ValueError(f"{bare} has no unit; {right}")
    written = text(value)
    if written.lstrip().startswith("-"):
        raise ValueError(f"{written!r} is negative; {right}")
    return written


def _fields(written: str) -> list[str]:
    """The placeholders of a layout. Braces have no other use there."""
    try:
        parts = list(string.Formatter().parse(written))
    except ValueError:
        parts = [("", "", "", None)]
    braces = written.count("{") + written.count("}")
    fields = [field for _, field, form, conversion in parts if field and not form and not conversion]
    if braces != 2 * len(fields):
        raise ValueError(f'{written!r}: braces belong around a placeholder; write it like "{{vm}}{{suffixes}}"')
    return fields


def _find_zone(key: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(key)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: a path that leads out of the database; OSError: a folder of it, such as "Europe".
        return None


def _linked_zone(localtime: Path) -> zoneinfo.ZoneInfo | None:
    """The zone that the link names: ``/usr/share/zoneinfo/Europe/Berlin``."""
    if not localtime.is_symlink():
        return None
    _, found, key = str(localtime.readlink()).rpartition("zoneinfo/")
    return _find_zone(key) if found else None


def _copied_zone(localtime: Path) -> zoneinfo.ZoneInfo | None:
    try:
        with localtime.open("rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, key="localtime")
    except (OSError, ValueError):
        return None
