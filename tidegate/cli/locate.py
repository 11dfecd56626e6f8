"""``tidegate locate``."""

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from core.errors import UnknownVmError
from core.filenames import printable
from core.units import format_minute, format_size, format_time, parse_time
from tidegate.cli import output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json, vm_argument
from tidegate.cli.output import Column

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.database import Connection
    from core.state.dumps import DumpRow

_COLUMNS = (
    Column.word("place"),
    Column.path("path"),
    Column.word("dump time"),
    Column.number("size", drop=1),
    Column.text(""),
)
#: The newest dumps and links of a VM; older ones have long been written over.
_NEWEST = 20


@click.command()
@vm_argument
@json_option
@pass_session
def locate(session: Session, *, vm: str, as_json: bool) -> None:
    """Where the copies of VM are: dump folder, export tree, storage. Looks whether those here are what was recorded."""
    from core.state import vms

    config = session.config()
    with session.dry_run(config).read() as connection:
        copies = [*_here(connection, config, vm), *_in_trees(connection, config, vm), *_off_site(connection, vm)]
        if not copies and not _is_known(connection, vm):
            raise UnknownVmError(vm, vms.all_vms(connection))
    if as_json:
        print_json({"format": shapes.FORMAT, "vm": vm, "copies": copies})
        return
    zone = config.day.timezone
    rows = (
        (
            one["place"],
            one["path"] or "",
            format_minute(parse_time(one["dump_time"]), zone),
            "" if one["bytes"] is None else format_size(one["bytes"]),
            _how(one, zone),
        )
        for one in copies
    )
    if copies:
        output.table(_COLUMNS, rows)
    else:
        output.sentence(f"no copy of {vm} is known anywhere")


def _how(copy: dict[str, Any], zone: datetime.tzinfo) -> str:
    if copy["since"] is not None:
        return f"{copy['evidence']}, since {format_minute(parse_time(copy['since']), zone)}"
    return "whole" if copy["unchanged"] else "not what was recorded"


def _is_known(connection: "Connection", vm: str) -> bool:
    from core.state import vms

    return vms.one(connection, vm) is not None


def _here(connection: "Connection", config: "Config", vm: str) -> Iterator[dict[str, Any]]:
    """Dumps whose names stand in their watch folders."""
    from core.reasons import Reason
    from core.state import dumps
    from policy.export import check_all

    watches = {watch.name: watch for watch in config.watches}
    latest: dict[tuple[str, str], DumpRow] = {}
    for row in dumps.of_vm(connection, vm, _NEWEST):
        if row.watch in watches and row.fingerprint:
            latest.setdefault((row.watch, row.path), row)
    identities = dumps.identities_of(connection, latest.values())
    looks = check_all([(watches[row.watch].path, row.path, identities[row.id]) for row in latest.values()])
    for row, failure in zip(latest.values(), looks, strict=True):
        path = watches[row.watch].path / row.path
        if failure is None or failure.reason is not Reason.MISSING:
            unchanged = failure is None or failure.reason is Reason.OPEN
            yield _copy("dumps", printable(str(path)), row.dump_time, row.bytes, unchanged=unchanged)


def _in_trees(connection: "Connection", config: "Config", vm: str) -> Iterator[dict[str, Any]]:
    from core.state import dumps, ledger
    from policy.export import ExportTree, Presence

    watches = {watch.name: watch for watch in config.watches}
    links = [link for link in ledger.of_vm(connection, vm, _NEWEST) if link.in_tree and link.watch in watches]
    rows = dumps.by_ids(connection, [link.dump_id for link in links if link.dump_id is not None])
    for link in links:
        row = rows.get(link.dump_id or 0)
        if row is None:
            continue
        watch = watches[link.watch]
        recorded = link.identity(dumps.identity_of(connection, row))
        presence = ExportTree(watch.export).presence(link.export_name, recorded)
        if presence is not Presence.ABSENT:
            path = printable(str(watch.export / link.export_name))
            yield _copy("export", path, row.dump_time, row.bytes, unchanged=presence is Presence.INTACT)


def _off_site(connection: "Connection", vm: str) -> Iterator[dict[str, Any]]:
    """What the storage is held to have: the newest copy; what it keeps besides is its own affair."""
    from core.state import ledger, vms

    row = vms.one(connection, vm)
    if row is None or row.offsite_time is None or row.is_dropped:
        return
    links = ledger.of_vm(connection, vm, _NEWEST)
    link = next((one for one in links if one.dump_id is not None and one.dump_id == row.offsite_dump_id), None)
    yield {
        "place": "storage",
        "path": None if link is None else printable(link.export_name),
        "dump_time": format_time(row.offsite_time),
        "bytes": None if link is None else link.bytes,
        "unchanged": None,
        "evidence": row.offsite_by,
        "since": format_time(row.offsite_at or row.offsite_time),
    }


def _copy(place: str, path: str, dump_time: float, size: int, *, unchanged: bool) -> dict[str, Any]:
    return {
        "place": place,
        "path": path,
        "dump_time": format_time(dump_time),
        "bytes": size,
        "unchanged": unchanged,
        "evidence": None,
        "since": None,
    }
