"""From the state to the plain facts that a decision is made of."""

import datetime
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.config.settings import Config
from core.enums import DumpState, LinkState, Reason, Storage
from core.filenames import printable
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

_LET_OUT = (DumpState.RELEASED, DumpState.LINKED)


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
    replaced = _would_be_replaced(connection, config, now)
    since_day = ledger.outstanding_since(connection)
    syncing = is_syncing(connection, config, now)
    progress = slices.progress(connection, is_syncing=syncing)
    unread_links = _unread_links(connection, unread, progress) if unread and not syncing else {}
    return Facts(
        vms=(
            *_with_unread_links(_vms(config, known.values(), since_day, replaced, dropped), unread_links),
            *_nameless_vms(rows),
        ),
        dumps=_told_late(
            [
                _dump(row, _gone_with(row, config, down), rivals.get(row.id), dropped, progress.get(row.id))
                for row in rows
            ],
            late,
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
    """What the seven days from the one that opens at ``moment`` on may let out."""
    first = datetime.datetime.fromtimestamp(moment, config.day.timezone).weekday()
    return tuple(max(0, config.limit.on((first + days) % 7) - config.limit.reserve) for days in range(7))


def _ended_newest(connection: Connection, known: dict[str, VmRow], rows: Iterable[DumpRow]) -> list[DumpRow]:
    """The off-site dumps of VMs that have nothing newer: their decision is ``already_offsite``."""
    waiting = {row.vm for row in rows}
    wanted = {vm.offsite_dump_id for vm in known.values() if vm.offsite_dump_id is not None and vm.name not in waiting}
    return sorted(dumps.by_ids(connection, wanted).values(), key=lambda row: row.id)


def _unread_links(connection: Connection, unread: Collection[int], in_slices: Container[int]) -> dict[str, LinkRow]:
    """VM -> its one link. Not one that exceeds a day: who let it out, let out that dump and no other.

    Nor one that leaves in slices: what has gone of it would have gone for nothing.
    """
    day = ledger.open_day(connection)
    whole = 0 if day is None else day.limit_bytes - day.reserve_bytes
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
        and 0 < link.bytes <= whole
    }


def _would_be_replaced(connection: Connection, config: Config, now: float) -> frozenset[str | None]:
    """VMs whose standing link a running sync may be reading while a newer one would take its place."""
    if config.offsite.storage is not Storage.MIRROR or not is_syncing(connection, config, now):
        return frozenset()
    return frozenset(link.vm for link in ledger.kept(connection))


def _gone_with(row: DumpRow, config: Config, down: Collection[str]) -> str | None:
    """Why the folder that this dump stands in cannot be reached."""
    if row.watch in down:
        return f"its watch folder {row.watch} is down"
    if all(watch.name != row.watch for watch in config.watches):
        return f"its watch folder {row.watch} is not configured any more"
    return None


def _dump(
    row: DumpRow, gone: str | None, rival: str | None, dropped: Container[str | None], progress: SliceProgress | None
) -> Dump:
    block_reason = row.reason or Reason.of_state(row.state)
    note = row.detail
    if gone is not None and block_reason is None:
        block_reason, note = Reason.MISSING, gone
    if rival is not None and block_reason is None and row.state is DumpState.PENDING:
        block_reason = Reason.AMBIGUOUS
        note = rival
    return Dump(
        dump_id=row.id,
        vm=row.vm if row.vm is not None else _nameless(row),
        path=printable(row.path),
        bytes=row.bytes,
        dump_time=row.dump_time,
        block_reason=None if row.state in (*_LET_OUT, DumpState.CONFIRMED) else block_reason,
        note="" if row.state in _LET_OUT else note,
        outstanding=row.state in _LET_OUT,
        offsite=row.state is DumpState.CONFIRMED and row.vm not in dropped,
        progress=progress,
    )


def _told_late(found: Sequence[Dump], late: Sequence[Unfetched]) -> tuple[Dump, ...]:
    """With a note at those whose links nobody fetches."""
    notes = {one.link.dump_id: not_fetched(one.waited, others=one.others) for one in late}
    if not notes:
        return tuple(found)
    return tuple(dump._replace(note=notes[dump.dump_id]) if dump.dump_id in notes else dump for dump in found)


def _vms(
    config: Config,
    known: Iterable[VmRow],
    since_day: Mapping[str, int],
    replaced: Container[str | None],
    dropped: Container[str],
) -> Iterable[Vm]:
    for vm in known:
        yield Vm(
            vm=vm.name,
            backup_set=vm.backup_set,
            first_seen=vm.first_seen,
            bytes=vm.last_dump_bytes,
            offsite_time=None if vm.name in dropped else vm.offsite_time,
            period=vm.period,
            target=config.target_of(vm.name, vm.backup_set),
            outstanding_since_day=since_day.get(vm.name),
            on_hold=vm.on_hold,
            backing_off_until=vm.backing_off_until,
            replaces_while_syncing=vm.name in replaced,
            forced=vm.forced,
        )


def _with_unread_links(found: Iterable[Vm], unread_links: Mapping[str, LinkRow]) -> Iterable[Vm]:
    for vm in found:
        link = unread_links.get(vm.vm)
        yield vm if link is None else vm._replace(unread_link_bytes=link.bytes)


def _nameless_vms(rows: Iterable[DumpRow]) -> Iterable[Vm]:
    for name in sorted({_nameless(row) for row in rows if row.vm is None}):
        yield Vm(vm=name, backup_set=None, first_seen=0.0, bytes=0)


def _nameless(row: DumpRow) -> str:
    """What stands for the VM of a marker that is too bad to name one. No VM's name holds a slash."""
    return f"/{printable(row.path)}"
