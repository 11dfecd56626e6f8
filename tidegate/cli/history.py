"""``tidegate history``."""

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from core.errors import UnknownVmError
from core.filenames import printable
from core.units import format_minute, format_size, format_time, parse_time
from tidegate.cli import completing, output, shapes
from tidegate.cli.context import Session, json_option, pass_session, print_json
from tidegate.cli.output import Column

if TYPE_CHECKING:
    from core.state.history import PastDay, PastDump, PastRelease
    from core.state.syncs import SyncRow

_DAYS = (
    Column.number("day"),
    Column.word("opened"),
    Column.number("limit", drop=3),
    Column.number("let out"),
    Column.number("confirmed"),
    Column.number("sent"),
    Column.number("ratio", drop=1),
    Column.number("beyond", drop=2),
)
_SYNCS = (
    Column.word("sync"),
    Column.number("day"),
    Column.word("reported"),
    Column.number("confirmed"),
    Column.number("sent"),
    Column.number("received", drop=1),
    Column.number("beyond", drop=2),
)
_DUMPS = (
    Column.name("dump"),
    Column.word("dump time", drop=5),
    Column.number("size"),
    Column.word("let out"),
    Column.number("day", drop=3),
    Column.word("confirmed"),
    Column.word("by", drop=4),
    Column.number("crossed", drop=2),
    Column.number("ratio", drop=1),
)


@click.command()
@click.argument("vm", required=False, shell_complete=completing.vms)
@click.option(
    "--days",
    metavar="NUMBER",
    type=click.IntRange(1, 10_000),
    default=14,
    show_default=True,
    help="How many days of limits.",
)
@json_option
@pass_session
def history(session: Session, *, vm: str | None, days: int, as_json: bool) -> None:
    """What was let out, what was confirmed, and what really crossed the line: by day and by sync, or the dumps of VM.

    A ratio is what crossed the line, set against the size of what was confirmed by it.
    """
    from core.state import history as past
    from core.state import syncs, vms

    config = session.config()
    with session.dry_run(config).read() as connection:
        found = past.days(connection, days)
        if vm is None:
            shape = _shape(found, syncs.since_day(connection, found[-1].number) if found else [])
        elif vms.by_names(connection, [vm]):
            shape = _shape_of_vm(vm, past.of_vm(connection, vm, found[-1].opened_at if found else 0.0))
        else:
            raise UnknownVmError(vm, vms.all_vms(connection))
    if as_json:
        print_json(shape)
    elif vm is None:
        _print_days(shape, config.day.timezone)
    else:
        _print_dumps(shape, config.day.timezone)


# --- JSON, format 2: sizes in bytes, times RFC 3339 in UTC; null: not reported, or it has not happened


def _shape(days: "Sequence[PastDay]", syncs: "Sequence[SyncRow]") -> dict[str, Any]:
    return {"format": shapes.FORMAT, "days": [_day(one) for one in days], "syncs": [_sync(one) for one in syncs]}


def _day(one: "PastDay") -> dict[str, Any]:
    return {
        "number": one.number,
        "opened": format_time(one.opened_at),
        "closed": _time(one.closed_at),
        "closed_by": one.closed_by,
        "limit_bytes": one.limit_bytes,
        "let_out_links": one.links,
        "let_out_bytes": one.released_bytes,
        "confirmed_links": one.confirmed_links,
        "confirmed_bytes": one.confirmed_bytes,
        "sent_bytes": one.sent_bytes,
        "received_bytes": one.received_bytes,
        "beyond_bytes": one.beyond_bytes,
        "ratio": _ratio(one.sent_bytes, one.confirmed_bytes),
    }


def _sync(one: "SyncRow") -> dict[str, Any]:
    return {
        "day": one.day,
        "watch": one.watch,
        "sealed": _time(one.sealed_at),
        "started": _time(one.started_at),
        "reported": _time(one.reported_at),
        "evidence": one.evidence or None,
        "confirmed_links": one.confirmed,
        "sent_bytes": one.sent_bytes,
        "received_bytes": one.received_bytes,
        "beyond_bytes": one.beyond_bytes,
    }


def _shape_of_vm(vm: str, found: "Sequence[PastDump]") -> dict[str, Any]:
    return {"format": shapes.FORMAT, "vm": vm, "dumps": [_dump(one) for one in found]}


def _dump(one: "PastDump") -> dict[str, Any]:
    return {
        "dump": printable(one.dump.path),
        "watch": one.dump.watch,
        "dump_time": format_time(one.dump.dump_time),
        "recorded": format_time(one.dump.recorded_at),
        "bytes": one.dump.bytes,
        "state": one.dump.state,
        "let_out": [_release_all(time) for time in one.released],
    }


def _release_all(one: "PastRelease") -> dict[str, Any]:
    [shape] = shapes.links([one.link])
    return {**shape, "crossed_bytes": one.crossed, "ratio": _ratio(one.crossed, one.link.bytes)}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(seconds)


def _ratio(crossed: int | None, size: int) -> float | None:
    return None if crossed is None or size == 0 else round(crossed / size, 4)


# --- for people


def _print_days(shape: dict[str, Any], zone: datetime.tzinfo) -> None:
    if not shape["days"]:
        output.sentence("no day was ever opened: no pass has run")
        return
    output.table(_DAYS, (_day_row(one, zone) for one in shape["days"]))
    if shape["syncs"]:
        click.echo()
        output.table(_SYNCS, (_sync_row(one, zone) for one in shape["syncs"]))


def _day_row(one: dict[str, Any], zone: datetime.tzinfo) -> tuple[str, ...]:
    return (
        str(one["number"]),
        _local(one["opened"], zone),
        format_size(one["limit_bytes"]),
        format_size(one["let_out_bytes"]),
        format_size(one["confirmed_bytes"]),
        _size(one["sent_bytes"]),
        _percent(one["ratio"]),
        format_size(one["beyond_bytes"]) if one["beyond_bytes"] else "",
    )


def _sync_row(one: dict[str, Any], zone: datetime.tzinfo) -> tuple[str, ...]:
    return (
        _local(one["started"] or one["reported"], zone),
        str(one["day"]),
        "never" if one["reported"] is None else _local(one["reported"], zone),
        str(one["confirmed_links"]),
        _size(one["sent_bytes"]),
        _size(one["received_bytes"]),
        format_size(one["beyond_bytes"]) if one["beyond_bytes"] else "",
    )


def _print_dumps(shape: dict[str, Any], zone: datetime.tzinfo) -> None:
    rows = [row for one in shape["dumps"] for row in _dump_rows(one, zone)]
    if rows:
        output.table(_DUMPS, rows)
    else:
        output.sentence(f"no dump of {shape['vm']} was recorded or let out in these days")


def _dump_rows(one: dict[str, Any], zone: datetime.tzinfo) -> list[tuple[str, ...]]:
    dump = (one["dump"], _local(one["dump_time"], zone), format_size(one["bytes"]))
    if not one["let_out"]:
        return [(*dump, one["state"], "", "", "", "", "")]
    return [
        (
            *dump,
            _local(link["released"], zone),
            str(link["day"]),
            link["state"] if link["confirmed"] is None else _local(link["confirmed"], zone),
            link["confirmed_by"] or "",
            _size(link["crossed_bytes"]),
            _percent(link["ratio"]),
        )
        for link in one["let_out"]
    ]


def _local(time: str | None, zone: datetime.tzinfo) -> str:
    """To the minute, for a table."""
    return "" if time is None else format_minute(parse_time(time), zone)


def _size(size: int | None) -> str:
    return "?" if size is None else format_size(size)


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1%}"
