"""Time zones by name, and the zone of this host."""

import io
import os
import zoneinfo
from pathlib import Path

from core.config.types import did_you_mean, text

_LOCALTIME = Path("/etc/localtime")

#: UTC as a zone file: a host without a database of zones has it too.
_UTC_FILE = b"TZif" + bytes(35) + b"\x01" + bytes(3) + b"\x04" + bytes(6) + b"UTC\0"


def zone(value: object) -> zoneinfo.ZoneInfo:
    """The zone of a name such as ``"Europe/Berlin"``. Raises ValueError with what would be right."""
    name = text(value)
    if (found := _find(name)) is not None:
        return found
    known = zoneinfo.available_timezones()
    if not known:
        raise ValueError(f"{name!r} is not known: this host has no time zones at all; install tzdata")
    right = did_you_mean(name, known, '"{}"') or '; write it like "Europe/Berlin" or "UTC"'
    raise ValueError(f"{name!r} is not a known time zone{right}")


def host_zone(localtime: Path = _LOCALTIME) -> zoneinfo.ZoneInfo:
    """The zone of this host: TZ, else ``/etc/localtime`` (a link or a copy), else UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    found = _find(name) if name else None
    return found or _linked(localtime) or _copied(localtime) or utc()


def utc() -> zoneinfo.ZoneInfo:
    """UTC, wherever this runs."""
    return _find("UTC") or zoneinfo.ZoneInfo.from_file(io.BytesIO(_UTC_FILE), key="UTC")


def _find(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: a path that leads out of the database; OSError: a folder of it, such as "Europe".
        return None


def _linked(localtime: Path) -> zoneinfo.ZoneInfo | None:
    """The zone that the link names: ``/usr/share/zoneinfo/Europe/Berlin``."""
    if not localtime.is_symlink():
        return None
    _, found, name = str(localtime.readlink()).rpartition("zoneinfo/")
    return _find(name) if found else None


def _copied(localtime: Path) -> zoneinfo.ZoneInfo | None:
    try:
        with localtime.open("rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, key="localtime")
    except (OSError, ValueError):
        return None
