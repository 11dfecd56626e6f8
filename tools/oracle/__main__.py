"""``python -m tools.oracle``: records what the program does, or compares it with what it did before the rebuild."""

import sys
import tempfile
import time
from pathlib import Path

import click

from tools.oracle import differences, recordings

_only = click.option(
    "--only", type=click.Choice(list(recordings.RECORDINGS)), multiple=True, help="This recording; can be repeated."
)


@click.group()
def oracle() -> None:
    """Record what the program does in each pass, or compare it with the recordings from before the rebuild."""


@oracle.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_only
def record(folder: Path, only: tuple[str, ...]) -> None:
    """Record anew into FOLDER."""
    for name in only or recordings.RECORDINGS:
        _record(name, folder)


@oracle.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True), required=False)
@_only
def compare(folder: Path | None, only: tuple[str, ...]) -> None:
    """Compare the recordings in FOLDER, or else new ones, with those from before the rebuild.

    Exits with 1 if there is a difference.
    """
    different = False
    with tempfile.TemporaryDirectory(prefix="tidegate-oracle-") as scratch:
        for name in only or recordings.RECORDINGS:
            got = recordings.file_of(folder, name) if folder else _record(name, Path(scratch))
            found = differences.between(name, recordings.file_of(recordings.RECORDED, name), got)
            click.echo(differences.shown(found) if found else f"{name}: no difference")
            different = different or bool(found)
    sys.exit(int(different))


def _record(name: str, folder: Path) -> Path:
    began = time.process_time()
    file = recordings.record(name, folder)
    click.echo(f"{name}: {file.stat().st_size} bytes in {time.process_time() - began:.0f} s of CPU", err=True)
    return file


if __name__ == "__main__":
    oracle()
