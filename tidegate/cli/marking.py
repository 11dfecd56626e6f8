"""What ``tidegate mark`` does. Dump scripts call it once per VM, so nothing is imported here that takes long.

Its options stand in one table, from which the whole command line makes its own. Words that are plain are understood
here, and then click need not be loaded, which costs more than all the rest; the others are left to it.
"""

import getopt
import os
from typing import Any

from core.clock import SystemClock
from core.errors import FaultError, UsageError
from core.filenames import is_clean, is_single_component, printable
from core.fs.fingerprint import DumpRejected, allowed_owners, identify
from core.fs.openat import open_folder
from core.markers import format as markers
from core.units import format_time, parse_time

#: Name -> what its value is (bool: it has none), how the help calls that, and what it is for.
OPTIONS: dict[str, tuple[type, str, str]] = {
    "vm": (str, "TEXT", "The VM's name, where the file name does not say it."),
    "backup-set": (str, "TEXT", "The backup set it was dumped with."),
    "failed": (bool, "", "The dump failed: write X.failed."),
    "running": (bool, "", "The dump is being written: write X.running."),
    "started": (str, "TIME", "When the dump was started (RFC 3339 with offset)."),
    "finished": (str, "TIME", "When it was finished; default: now."),
    "sha256": (str, "TEXT", "Checksum of a dump that is one file."),
    "error": (str, "TEXT", "What went wrong, with --failed."),
    "exit-status": (int, "INTEGER", "Exit status of the dump command."),
}


def understand(words: list[str]) -> dict[str, Any] | None:
    """The arguments for ``mark`` that plain words say. None: click is to judge them, as it does mistakes and --help."""
    if any(word.startswith("-") and word.partition("=")[0][2:] not in OPTIONS for word in words):
        return None
    known = [name if kind is bool else f"{name}=" for name, (kind, *_) in OPTIONS.items()]
    said: dict[str, Any] = {_key(name): False if kind is bool else None for name, (kind, *_) in OPTIONS.items()}
    try:
        options, dumps = getopt.gnu_getopt(words, "", known)
        for option, value in options:
            kind, *_ = OPTIONS[option[2:]]
            said[_key(option[2:])] = kind is bool or kind(value)
    except (getopt.GetoptError, ValueError):
        return None
    return {"dump": dumps[0], **said} if len(dumps) == 1 else None


def _key(option: str) -> str:
    return option.replace("-", "_")


def mark(dump: str, *, failed: bool, running: bool, finished: str | None, **said: Any) -> None:
    """Write a completion marker beside DUMP, a file or a folder, and remove its opposite.

    The same in plain shell: dump > X.part && mv X.part X && touch X.done
    """
    if failed and running:
        raise UsageError("mark: --failed and --running exclude each other")
    kind = markers.MarkerKind.FAILED if failed else markers.MarkerKind.RUNNING if running else markers.MarkerKind.DONE
    parent, name = os.path.split(dump.rstrip("/"))
    _check_name(dump, name)
    body = {key: value for key, value in said.items() if value is not None}
    _check(body)
    if kind is not markers.MarkerKind.RUNNING:
        body["finished"] = finished or format_time(SystemClock().now().wall)
        _check_time("finished", body["finished"])
    try:
        with open_folder(parent or ".") as folder:
            if kind is markers.MarkerKind.DONE:
                body["size"] = _size(folder, name, dump)
            markers.write(folder, name, kind, body)
    except OSError as error:
        raise FaultError(f"mark: {dump}: the marker cannot be written: {error.strerror}") from error


def _check_name(dump: str, name: str) -> None:
    if name in ("", ".", "..") or not is_clean(name):
        raise UsageError(f"mark: {printable(dump)!r} is no name of a dump")
    if markers.split_name(name):
        raise UsageError(f"mark: {dump} is itself named as a marker; name the dump: {dump.rpartition('.')[0]}")


def _check(body: dict[str, Any]) -> None:
    for key in ("vm", "backup_set"):
        if key in body and not is_single_component(body[key]):
            raise UsageError(f"mark: --{key.replace('_', '-')}: {printable(body[key])!r} is not a usable name")
    if "started" in body:
        _check_time("started", body["started"])
    if "sha256" in body and not markers.SHA256.fullmatch(body["sha256"]):
        raise UsageError(f"mark: --sha256: {printable(body['sha256'])!r} is not 64 hexadecimal digits")


def _check_time(option: str, text: str) -> None:
    try:
        parse_time(text)
    except ValueError as error:
        raise UsageError(f"mark: --{option}: {error}") from None


def _size(folder: int, name: str, dump: str) -> int:
    """What the dump weighs now. A dump that could never leave is refused here, where the script can still act."""
    try:
        return identify(folder, name, allowed_owners(folder)).bytes
    except DumpRejected as error:
        raise UsageError(f"mark: {dump}: {error.detail}; no marker was written") from None
