"""A VM under another name: its history goes on."""

from dataclasses import dataclass

from core import dump_history
from core.clock import Clock
from core.config.settings import Config
from core.errors import UsageError
from core.filenames import is_single_component, printable
from core.state import decisions, dumps, ledger, vms
from core.state.database import Connection, State
from core.state.vms import VmRow
from policy.reconcile import confirm


@dataclass(frozen=True, slots=True)
class Renamed:
    """``joined``: dumps of the new name were known already. ``configured``: the configuration names the old one."""

    joined: bool
    configured: bool


def rename(config: Config, state: State, clock: Clock, old: str, new: str, *, wait: float) -> Renamed:
    """Gives the dumps, links, copies and the admin's word of ``old`` to ``new``. Nothing moves in the export trees.

    What stands there keeps its name until a newer dump is off-site: renamed, it would be sent again. A VM that is new
    under its new name, without a copy or a link, joins it; two histories are never made one.
    """
    if not is_single_component(new):
        raise UsageError(f"rename: {printable(new)!r} is not a usable name")
    if old == new:
        raise UsageError(f"rename: {old} has that name")
    with state.pass_lock(wait=wait), state.write() as connection:
        row = vms.all_vms(connection).get(old)
        if row is None:
            raise UsageError(f"rename: no VM named {old!r} is known; `tidegate status` lists them")
        other = _newcomer(connection, old, new)
        dumps.rename_vm(connection, old, new)
        ledger.rename_vm(connection, old, new)
        vms.forget(connection, old)
        backup_set = config.backup_set_of(new)
        joined = _joined(row, other) if other is not None else row
        joined = joined._replace(name=new, backup_set=backup_set or joined.backup_set)
        vms.save(connection, [joined])
        decisions.forget(connection, [old, new])
        if joined.offsite_time is not None:
            confirm.end_older(connection, {new: joined.offsite_time}, clock.now().wall)
    return Renamed(other is not None, old in config.vms or config.backup_set_of(old) is not None)


def _newcomer(connection: Connection, old: str, new: str) -> VmRow | None:
    """The VM of the new name if there is one that may be joined."""
    other = vms.one(connection, new)
    if other is None:
        return None
    if other.offsite_time is not None:
        raise UsageError(f"rename: {new} has copies of its own off-site; {old} cannot take its name")
    if new in ledger.outstanding_since(connection):
        raise UsageError(
            f"rename: a dump of {new} is let out and not yet confirmed; wait for its sync, or say "
            f"tidegate hold {new} and try again"
        )
    return other


def _joined(row: VmRow, other: VmRow) -> VmRow:
    """The history of ``row`` with the dumps of ``other``."""
    times = dump_history.joined(row.dump_times, other.dump_times)
    dumped = max(row, other, key=lambda one: one.last_dump_time or float("-inf"))
    told = max(row, other, key=lambda one: one.last_result_at or float("-inf"))
    return row._replace(
        backup_set=dumped.backup_set,
        first_seen=min(row.first_seen, other.first_seen),
        dump_times=times,
        dump_sizes=dump_history.joined_sizes(row.dump_sizes, other.dump_sizes),
        period=dump_history.period(times),
        last_dump_time=dumped.last_dump_time,
        last_dump_bytes=dumped.last_dump_bytes,
        last_result_at=told.last_result_at,
        last_dump_failed=told.last_dump_failed,
        failures=told.failures,
        on_hold=row.on_hold or other.on_hold,
        forced=row.forced or other.forced,
    )
