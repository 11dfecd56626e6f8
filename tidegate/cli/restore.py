"""``tidegate restore``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import UsageError
from core.filenames import is_single_component, printable
from core.units import format_size
from tidegate.cli.context import json_option, print_json, vm_argument

if TYPE_CHECKING:
    from dumps.copies import Copy
    from dumps.restore import Restored

FORMAT = 2


@click.command()
@vm_argument
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    help="The dump, or the storage's copy of the export tree: then VM's newest one in it.",
)
@click.option(
    "--to", type=click.Path(path_type=Path), required=True, help="The folder that it is put into; made if need be."
)
@click.option("--without-checksums", is_flag=True, help="Also where nobody has told what each file should be.")
@json_option
def restore(*, vm: str, source: Path, to: Path, without_checksums: bool, as_json: bool) -> None:
    """Put a dump of VM back, from any copy of it, and tell how the VM is defined again. Overwrites nothing.

    Needs no configuration and no state. Checksums are those of .tidegate in the copy of the export tree, else those of
    the marker beside the dump. Where one does not agree nothing is restored.
    """
    from dumps import copies
    from dumps import restore as restoring

    if not is_single_component(vm):
        raise UsageError(f"restore: {vm!r} is no name of a VM")
    copy = copies.find(vm, source)
    if not copy.is_summed and not without_checksums:
        raise UsageError(
            f"{copy.path}: nobody has told a checksum of {_unsummed(copy)}, neither {copies.PLACES}: "
            f"if you believe it, --without-checksums"
        )
    restored = restoring.restore(vm, copy, to)
    if as_json:
        print_json(_shape(vm, copy, restored))
    else:
        _print(vm, copy, restored)


def _unsummed(copy: "Copy") -> str:
    names = sorted(name for name, one in copy.files.items() if one.sha256 is None)
    return printable(names[0]) or "it"


def _define(restored: "Restored") -> list[str] | None:
    return None if restored.define is None else ["virsh", "define", str(restored.define)]


def _shape(vm: str, copy: "Copy", restored: "Restored") -> dict[str, Any]:
    """``restore --json``. ``checked_by`` is the file that told the checksums, null without them."""
    return {
        "format": FORMAT,
        "vm": vm,
        "copy": printable(str(copy.path)),
        "dump_time": copy.dump_time,
        "checked_by": str(copy.known_from) if copy.is_summed and copy.known_from else None,
        "restored": printable(str(restored.path)),
        "bytes": restored.bytes,
        "files": [{"name": printable(name), "sha256": sha256} for name, sha256 in restored.sums.items()],
        "define": _define(restored),
        "notes": list(restored.notes),
    }


def _print(vm: str, copy: "Copy", restored: "Restored") -> None:
    of = "" if copy.dump_time is None else f", the dump of {copy.dump_time}"
    told = f"checked against {copy.known_from}" if copy.is_summed else "not checked: no checksum is known"
    click.echo(f"{vm}: {printable(str(restored.path))}, {format_size(restored.bytes)}{of}, {printable(told)}")
    for note in restored.notes:
        click.echo(note)
    if (words := _define(restored)) is not None:
        click.echo(f"The VM is there again after:\n{shlex.join(words)}")
