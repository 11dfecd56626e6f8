"""From what stands in the file to typed values, one function for each kind of value.

Each takes what the TOML reader gives and raises ValueError with a sentence that says what would be right.
"""

import datetime
import ipaddress
import re
import string
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from core.filenames import is_clean
from core.units import parse_size, parse_span

#: What SQLite can hold in an integer.
_LARGEST_SIZE = 2**63 - 1
_LONGEST_SPAN = 100 * 365 * 86400.0
_CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_LISTEN = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
_Word = TypeVar("_Word", bound=StrEnum)
_PLACEHOLDERS = ("vm", "suffixes", "name", "backup_set")


def text(value: object) -> str:
    """Text that is not empty and holds no control character."""
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not text; write it in quotes")  # noqa: TRY004
    if not value.strip():
        raise ValueError("is empty; write a value or leave the key out")
    if not is_clean(value):
        raise ValueError(f"{value!r} holds control characters; write it without")
    return value


def flag(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false; write one of these, without quotes")  # noqa: TRY004
    return value


def size(value: object) -> int:
    """Bytes, 0 or more. A number without a unit is refused: 10 is rarely meant as 10 bytes."""
    written = _with_unit(value, 'write it like "10 GB" or "1.5 GiB"')
    if (result := parse_size(written)) > _LARGEST_SIZE:
        raise ValueError(f"{written!r} is more than can be counted; the largest size is 9000 PB")
    return result


def size_above_zero(value: object) -> int:
    """Bytes, at least 1."""
    if (result := size(value)) == 0:
        raise ValueError(f'{value!r} lets nothing out, ever; write a size above 0, like "10 GB"')
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
    """Seconds, at least 1: a scan costs a look at every entry of the folder."""
    if (result := span(value)) < 1:
        raise ValueError(f'{value!r} is too short; write at least "1s"')
    return result


def clock_time(value: object) -> datetime.time:
    """A local time of day, to the minute."""
    match = _CLOCK_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{_shown(value)} is not a time of day; write it in quotes, like "00:00" or "23:45"')
    return datetime.time(int(match[1]), int(match[2]))


def path(value: object) -> Path:
    """A path as it is written, still relative to the configuration file."""
    written = text(value)
    if written.startswith("~"):
        raise ValueError(f"{written!r}: ~ is not understood here; write the whole path")
    return Path(written)


def name(value: object) -> str:
    """A name for people and for metric labels: one word or several, without a slash."""
    if "/" in (written := text(value)):
        raise ValueError(f"{written!r} holds a slash; a name has none")
    return written


def names(value: object) -> tuple[str, ...]:
    """A list of names."""
    if not isinstance(value, list):
        raise ValueError(f'{_shown(value)} is not a list; write it like ["vm1", "vm2"]')  # noqa: TRY004
    return tuple(name(item) for item in value)


def one_of(*words: _Word) -> Callable[[object], _Word]:
    """A function that takes one of these words."""

    def word(value: object) -> _Word:
        for candidate in words:
            if value == candidate:
                return candidate
        raise ValueError(f"{_shown(value)} is not known here; write {choice(words)}")

    return word


def names_pattern(value: object) -> re.Pattern[str]:
    """A regular expression."""
    try:
        return re.compile(text(value))
    except (re.error, OverflowError) as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None


def pattern(value: object) -> re.Pattern[str]:
    """A regular expression with a group named vm."""
    compiled = names_pattern(value)
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
        raise ValueError(f"{written!r} holds a slash; a layout gives one name inside the export tree")
    if written[0] in ".-":
        raise ValueError(f'{written!r} begins with {written[0]!r}; write it like "{{vm}}{{suffixes}}"')
    if not {"vm", "name"} & set(fields):
        raise ValueError(f"{written!r} gives every VM one name; it must hold {{vm}} or {{name}}")
    return written


def listen(value: object) -> tuple[str, int]:
    """Host and port of ``"127.0.0.1:9877"`` or ``"[::1]:9877"``."""
    right = 'write it like "127.0.0.1:9877" or "[::1]:9877"'
    match = _LISTEN.fullmatch(text(value))
    if match is None:
        raise ValueError(f"{value!r} is not an address with a port; {right}")
    if not 1 <= (port := int(match["port"])) <= 65535:
        raise ValueError(f"{value!r}: {port} is not a port; it must lie between 1 and 65535")
    host = match["host"] if match["six"] is None else match["six"]
    if not (_is_ipv6(host) if match["six"] is not None else _HOST.fullmatch(host)):
        raise ValueError(f'{value!r}: {host!r} is not a host; {right}; "0.0.0.0:{port}" is every address')
    return host, port


def hosts(value: object) -> tuple[str, ...]:
    """Names under which a browser may ask for the page, like ``["backup.example.org"]``."""
    right = 'write it like ["backup.example.org"], without a port'
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not a list; {right}")  # noqa: TRY004
    for one in value:
        if not (isinstance(one, str) and _HOST.fullmatch(one)):
            raise ValueError(f"{_shown(one)} is not the name of a host; {right}")
    return tuple(value)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. Of names only ``localhost`` is known to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def choice(words: Iterable[str]) -> str:
    """``"a", "b" or "c"``."""
    *rest, last = (f'"{word}"' for word in words)
    return f"{', '.join(rest)} or {last}" if rest else last


def did_you_mean(word: str, known: Iterable[str], form: str = "`{}`") -> str:
    """``, did you mean `daily`?`` where one of ``known`` is near, else nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {form.format(near[0])}?" if near else ""


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


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    """A value as TOML would have it, short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)
