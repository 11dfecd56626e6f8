"""From the state to the plain facts that a decision is made of."""

import datetime
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.config.settings import Config
from core.enums import DumpState, LinkState, Storage
from core.filenames import printable
from core.reasons import Reason
from core.state import dumps, ledger, vms
from core.state.database import Connection
from core.state.dumps import DumpRow
from core.state.late_links import Unfetched
from core.state.ledger import LinkRow
from core.state.vms import VmRow
from policy.passes import series, slices
from policy.planner.explanations import not_fetched
from policy.planner.forecast import Start
from policy.planner.model import Day, Dump, Rules, SliceProgress, Vm
from policy.reconcile.confirm_modes import is_syncing

_RELEASED = (DumpState.RELEASED, DumpState.LINKED)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything ``decide`` needs but the day, and the rows behind it.

    ``dropped`` are the VMs whose copy the storage has kept for its time: it counts as gone. ``unread_links`` are links
    by their VM: nobody has read them, and a newer dump may supersede them. ``late`` are links that nobody fetches.
    """

    vms: tuple[Vm, ...]
    dumps: tuple[Dump, ...]
    rows: dict[int, DumpRow]
    known: dict[str, VmRow]
    dropped: frozenset[str] = frozenset()
    unread_links: Mapping[str, LinkRow] = field(default_factory=dict)
    late: Sequence[Unfetched] = ()


def gather(
    connection: Connection,
    config: Config,
    *,
    now: float,
    down: Collection[str] = (),
    unread: Collection[int] = (),
    late: Sequence[Unfetched] = (),
) -> Facts:
    """Dumps without an end, each VM's newest, and all VMs. Nothing leaves the watch folders that are ``down``.

    ``unread`` are the ids of outstanding links that nobody has read, as far as it is known; ``late`` those that nobody
    fetches.
    """
    known = vms.all_vms(connection)
    retention = config.offsite.retention
    dropped = {vm.name for vm in known.values() if vm.offsite_time is not None and not vm.is_kept(retention, now)}
    rows = [row for row in dumps.without_end(connection) if row.vm is None or row.vm in known]
    rows += _ended_newest(connection, known, rows)
    rivals = series.ambiguous(connection, rows, {watch.name for watch in config.watches})
    notes = {one.link.dump_id: not_fetched(one.waited, others=one.others) for one in late}
    syncing = is_syncing(connection, config, now)
    progress = slices.progress(connection, is_syncing=syncing)
    unread_links = _unread_links(connection, unread, progress) if unread and not syncing else {}
    links = _Links(ledger.outstanding_since(connection), _would_be_replaced(connection, config, now), unread_links)
    return Facts(
        vms=(*(_vm(config, vm, links, dropped) for vm in known.values()), *_nameless_vms(rows)),
        dumps=tuple(
            _dump(row, _blocked_by(row, config, down, rivals), dropped, notes.get(row.id), progress.get(row.id))
            for row in rows
        ),
        rows={row.id: row for row in rows},
        known=known,
        dropped=frozenset(dropped),
        unread_links=unread_links,
        late=late,
    )


def forecast_start(known: Facts, day: Day, rules: Rules, now: float) -> Start:
    """What a forecast starts from: all but the markers that name no VM."""
    named = tuple(vm for vm in known.vms if vm.vm in known.known)
    return Start(named, tuple(dump for dump in known.dumps if dump.vm in known.known), day, rules, now)


def rules_of(config: Config, day: Day, now: float) -> Rules:
    """The rules that the admin set for all VMs. The coming days are those after the open ``day``."""
    limit = config.limit
    return Rules(
        limit.daily,
        limit.reserve,
        config.staleness.max_dump_age,
        oversize=limit.oversize,
        retention=config.offsite.retention,
        min_gain=config.staleness.min_gain,
        coming=_coming(config, max(day.opened + 24 * 3600.0, now)) if limit.weekdays else (),
    )


def _coming(config: Config, moment: float) -> tuple[int, ...]:
    """What the seven days from the one that opens at ``moment`` on may release."""
    first = datetime.datetime.fromtimestamp(moment, config.day.timezone).weekday()
    return tuple(max(0, config.limit.on((first + days) % 7) - config.limit.reserve) for days in range(7))


def _ended_newest(connection: Connection, known: dict[str, VmRow], rows: Iterable[DumpRow]) -> list[DumpRow]:
    """The off-site dumps of VMs that have nothing newer: their decision is ``already_offsite``."""
    waiting = {row.vm for row in rows}
    wanted = {vm.offsite_dump_id for vm in known.values() if vm.offsite_dump_id is not None and vm.name not in waiting}
    return sorted(dumps.by_ids(connection, wanted).values(), key=lambda row: row.id)


def _unread_links(connection: Connection, unread: Collection[int], in_slices: Container[int]) -> dict[str, LinkRow]:
    """VM -> its one link. Not one that exceeds a day: it was forced, and that dump alone.

    Nor one that leaves in slices: what has gone of it would have gone for nothing.
    """
    day = ledger.open_day(connection)
    capacity = 0 if day is None else day.limit_bytes - day.reserve_bytes
    links = [link for link in ledger.outstanding(connection) if link.vm is not None and link.dump_id is not None]
    of_vm = Counter(link.vm for link in links)
    return {
        link.vm: link
        for link in links
        if link.vm is not None
        and link.id in unread
        and link.dump_id not in in_slices
        and link.state is LinkState.LINKED
        and of_vm[link.vm] == 1
        and 0 < link.bytes <= capacity
    }


def _would_be_replaced(connection: Connection, config: Config, now: float) -> frozenset[str | None]:
    """VMs whose link a running sync may be reading while a newer one would take its place."""
    if config.offsite.storage is not Storage.MIRROR or not is_syncing(connection, config, now):
        return frozenset()
    return frozenset(link.vm for link in ledger.kept(connection))


def _blocked_by(
    row: DumpRow, config: Config, down: Collection[str], rivals: Mapping[int, str]
) -> tuple[Reason | None, str]:
    """Why a dump that is not released cannot leave, and a note about that."""
    recorded = row.reason or Reason.of_state(row.state)
    if recorded is not None:
        return recorded, row.detail
    if row.watch in down:
        return Reason.MISSING, f"its watch folder {row.watch} is down"
    if all(watch.name != row.watch for watch in config.watches):
        return Reason.MISSING, f"its watch folder {row.watch} is not configured any more"
    if row.id in rivals and row.state is DumpState.PENDING:
        return Reason.AMBIGUOUS, rivals[row.id]
    return None, row.detail


def _dump(
    row: DumpRow,
    blocked: tuple[Reason | None, str],
    dropped: Container[str | None],
    late: str | None,
    progress: SliceProgress | None,
) -> Dump:
    outstanding = row.state in _RELEASED
    reason, note = (None, "") if outstanding else blocked
    return Dump(
        dump_id=row.id,
        vm=row.vm if row.vm is not None else _nameless(row),
        path=printable(row.path),
        bytes=row.bytes,
        dump_time=row.dump_time,
        block_reason=None if row.state is DumpState.CONFIRMED else reason,
        note=late or note,
        outstanding=outstanding,
        offsite=row.state is DumpState.CONFIRMED and row.vm not in dropped,
        progress=progress,
    )


class _Links(NamedTuple):
    """What VMs have in the export trees.

    ``since_day``: VM -> the day on which its outstanding link was released. ``replaced`` are those whose link a running
    sync may be reading while a newer one would take its place.
    """

    since_day: Mapping[str, int]
    replaced: frozenset[str | None]
    unread: Mapping[str, LinkRow]


def _vm(config: Config, row: VmRow, links: _Links, dropped: Container[str]) -> Vm:
    unread = links.unread.get(row.name)
    return Vm(
        vm=row.name,
        backup_set=row.backup_set,
        first_seen=row.first_seen,
        bytes=row.last_dump_bytes,
        offsite_time=None if row.name in dropped else row.offsite_time,
        period=row.period,
        target=config.target_of(row.name, row.backup_set),
        outstanding_since_day=links.since_day.get(row.name),
        on_hold=row.on_hold,
        backing_off_until=row.backing_off_until,
        replaces_while_syncing=row.name in links.replaced,
        forced=row.forced,
        unread_link_bytes=0 if unread is None else unread.bytes,
    )


def _nameless_vms(rows: Iterable[DumpRow]) -> Iterable[Vm]:
    for name in sorted({_nameless(row) for row in rows if row.vm is None}):
        yield Vm(vm=name, backup_set=None, first_seen=0.0, bytes=0)


def _nameless(row: DumpRow) -> str:
    """What stands for the VM of a marker that is too bad to name one. No VM's name holds a slash."""
    return f"/{printable(row.path)}"
