"""``tidegate mark``: the careful way to write a marker. Imports nothing heavy: dump scripts call it once per VM."""

import os
from pathlib import Path
from typing import Any

import click

from tidegate.clock import SystemClock
from tidegate.errors import FaultError, UsageError
from tidegate.identity import Hindered, allowed_owners, identify, open_folder
from tidegate.markers import format as markers
from tidegate.names import is_clean, is_single_component, printable
from tidegate.units import format_time, parse_time


@click.command()
@click.argument("dump", type=click.Path(path_type=Path))
@click.option("--vm", help="The VM's name, where the file name does not say it.")
@click.option("--backup-set", help="The backup set it was dumped with.")
@click.option("--failed", is_flag=True, help="The dump failed: write X.failed.")
@click.option("--running", is_flag=True, help="The dump is being written: write X.running.")
@click.option("--started", metavar="TIME", help="When the dump was started (RFC 3339 with offset).")
@click.option("--finished", metavar="TIME", help="When it was finished; default: now.")
@click.option("--sha256", help="Checksum of a dump that is one file.")
@click.option("--error", help="What went wrong, with --failed.")
@click.option("--exit-status", type=int, help="Exit status of the dump command.")
def mark(dump: Path, *, failed: bool, running: bool, finished: str | None, **said: Any) -> None:
    """Write a completion marker beside DUMP, a file or a folder, and remove its opposite.

    The same in plain shell: dump > X.part && mv X.part X && touch X.done
    """
    if failed and running:
        raise UsageError("mark: --failed and --running exclude each other")
    kind = markers.MarkerKind.FAILED if failed else markers.MarkerKind.RUNNING if running else markers.MarkerKind.DONE
    name = _name_of(dump)
    body = {key: value for key, value in said.items() if value is not None}
    _check(body)
    if kind is not markers.MarkerKind.RUNNING:
        body["finished"] = finished or format_time(SystemClock().now().wall)
        _check_time("finished", body["finished"])
    try:
        with open_folder(dump.parent) as folder:
            if kind is markers.MarkerKind.DONE:
                body["size"] = _size(folder, name, dump)
            markers.write(folder, name, kind, body)
    except OSError as error:
        raise FaultError(f"mark: {dump}: the marker cannot be written: {error.strerror}") from error


def _name_of(dump: Path) -> str:
    name = dump.name
    if not name or name == ".." or not is_clean(name):
        raise UsageError(f"mark: {printable(os.fspath(dump))!r} is no name of a dump")
    if markers.split_name(name):
        raise UsageError(f"mark: {dump} is itself named as a marker; name the dump: {dump.with_suffix('')}")
    return name


def _check(body: dict[str, Any]) -> None:
    for key in ("vm", "backup_set"):
        if key in body and not is_single_component(body[key]):
            raise UsageError(f"mark: --{key.replace('_', '-')}: {printable(body[key])!r} is not a usable name")
    if "started" in body:
        _check_time("started", body["started"])


def _check_time(option: str, text: str) -> None:
    try:
        parse_time(text)
    except ValueError as error:
        raise UsageError(f"mark: --{option}: {error}") from None


def _size(folder: int, name: str, dump: Path) -> int:
    """What the dump weighs now. A dump that could never leave is refused here, where the script can still act."""
    try:
        return identify(folder, name, allowed_owners(folder)).bytes
    except Hindered as error:
        raise UsageError(f"mark: {dump}: {error.detail}; no marker was written") from None
