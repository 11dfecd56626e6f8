"""The admin's orders for a VM: hold, unhold, force, retire, rename, and copies that the storage has already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from core import dump_history
from core.clock import Clock
from core.config.settings import Config
from core.enums import DumpState, Evidence, Force, LinkState
from core.errors import UnknownVmError, UsageError
from core.filenames import is_single_component, printable
from core.state import decisions, dumps, ledger, vms
from core.state.database import Connection, State
from core.state.vms import VmRow
from policy.passes.trees import remove_unneeded, settle_trees
from policy.reconcile import manifest, mounts
from policy.reconcile.confirm import end_older
from policy.reconcile.link_check import were_read
from policy.reconcile.revoke import revoke


def hold(config: Config, state: State, clock: Clock, vm: str, *, wait: float) -> LinkState | None:
    """No dump of ``vm`` leaves until ``unhold``. Revokes an unread link.

    Returns what its outstanding link is then: ``revoked``, or ``linked`` where it was read; None where it has none.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        unmounted = settle_trees(config, state, now)  # what was read by now is confirmed first
        with state.write() as connection:
            _known(connection, vm)
            vms.change(connection, vm, on_hold=True, forced=None)
            links = [link for link in ledger.outstanding(connection) if link.vm == vm]
            read = were_read(connection, config, [link for link in links if link.watch not in unmounted])
            revoke(connection, [link for link in links if link.id not in read])
        remove_unneeded(config, state, now)
        manifest.write(config, state, now, unmounted=unmounted)
        return None if not links else LinkState.LINKED if read else LinkState.REVOKED


def unhold(state: State, vm: str) -> None:
    """Ends a hold, and takes a force back."""
    with state.write() as connection:
        _known(connection, vm)
        vms.change(connection, vm, on_hold=False, forced=None)
        decisions.forget(connection, [vm])


def force(state: State, vm: str, how: Force | None) -> None:
    """The next dump of ``vm`` is the first in line, within the limit or above it; None takes that back."""
    with state.write() as connection:
        if _known(connection, vm).on_hold and how is not None:
            raise UsageError(f"force: {vm} is on hold; run `tidegate unhold {vm}` first")
        vms.change(connection, vm, forced=how)
        decisions.forget(connection, [vm])


def retire(config: Config, state: State, clock: Clock, vm: str, *, wait: float) -> None:
    """Ends a VM's life: its link goes, its waiting dumps have their end, its series vanish."""
    with state.pass_lock(wait=wait):
        now = clock.now()
        with state.write() as connection:
            _known(connection, vm)
            revoke(connection, [link for link in ledger.outstanding(connection) if link.vm == vm])
            waiting = [row.id for row in dumps.without_end(connection) if row.vm == vm]
            retired = {"state": DumpState.REVOKED, "reason": None, "detail": "its VM was retired"}
            dumps.change_many(connection, waiting, ended_at=now.wall, **retired)
            vms.change(connection, vm, retired_at=now.wall, on_hold=False, forced=None)
        remove_unneeded(config, state, now)
        with state.read() as connection:
            unmounted = mounts.unmounted(connection, config)
        manifest.write(config, state, now, unmounted=unmounted)


# --- copies that the storage has already


class Sent(NamedTuple):
    """The VMs that became fresher, and those that nobody had heard of before."""

    fresher: list[str]
    unheard_of: list[str]


def mark_sent(config: Config, state: State, clock: Clock, copies: Mapping[str, float]) -> Sent:
    """Records copies that the storage has already: VM -> dump time.

    A VM that is not known yet becomes known: it alerts when it grows stale.
    """
    now = clock.now().wall
    fresher = []
    with state.write() as connection:
        known = vms.all_vms(connection)
        for name, dump_time in sorted(copies.items()):
            if dump_time > now:
                raise UsageError(f"mark-sent: {name}: a dump time in the future cannot be off-site")
            vm = known.get(name) or vms.new(name, config.backup_set_of(name), now)
            if vm.offsite_time is None or vm.offsite_time < dump_time:
                fresher.append(_sent(vm, dump_time))
        vms.save(connection, fresher)
        end_older(connection, {vm.name: vm.offsite_time or 0 for vm in fresher}, now)
        decisions.forget(connection, [vm.name for vm in fresher])
    return Sent([vm.name for vm in fresher], sorted(copies.keys() - known.keys()))


def _sent(vm: VmRow, dump_time: float) -> VmRow:
    """When it came there nobody knows: not before it was made."""
    return vm._replace(
        offsite_time=dump_time, offsite_at=dump_time, offsite_by=Evidence.MARK_SENT, offsite_dump_id=None
    )


# --- another name


@dataclass(frozen=True, slots=True)
class Renamed:
    """``joined``: dumps of the new name were known already. ``configured``: the configuration names the old one."""

    joined: bool
    configured: bool


def rename(config: Config, state: State, clock: Clock, old: str, new: str, *, wait: float) -> Renamed:
    """Gives the dumps, links, copies and the admin's orders of ``old`` to ``new``. Nothing moves in the export trees.

    What is there keeps its name until a newer dump is off-site: renamed, it would be sent again. A VM that is new
    under its new name, without a copy or a link, joins it; two histories are never made one.
    """
    if not is_single_component(new):
        raise UsageError(f"rename: {printable(new)!r} is not a usable name")
    if old == new:
        raise UsageError(f"rename: {old} has that name")
    with state.pass_lock(wait=wait), state.write() as connection:
        row = _known(connection, old)
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
            end_older(connection, {new: joined.offsite_time}, clock.now().wall)
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
            f"rename: a dump of {new} is outstanding; wait until the storage has it, or run "
            f"`tidegate hold {new}` and try again"
        )
    return other


def _joined(row: VmRow, other: VmRow) -> VmRow:
    """The history of ``row`` with the dumps of ``other``."""
    times = dump_history.joined(row.dump_times, other.dump_times)
    dumped = max(row, other, key=lambda one: one.last_dump_time or float("-inf"))
    latest = max(row, other, key=lambda one: one.last_result_at or float("-inf"))
    return row._replace(
        backup_set=dumped.backup_set,
        first_seen=min(row.first_seen, other.first_seen),
        dump_times=times,
        dump_sizes=dump_history.joined_sizes(row.dump_sizes, other.dump_sizes),
        period=dump_history.period(times),
        last_dump_time=dumped.last_dump_time,
        last_dump_bytes=dumped.last_dump_bytes,
        last_result_at=latest.last_result_at,
        last_dump_failed=latest.last_dump_failed,
        failures=latest.failures,
        on_hold=row.on_hold or other.on_hold,
        forced=row.forced or other.forced,
    )


def _known(connection: Connection, name: str) -> VmRow:
    vm = vms.one(connection, name)
    if vm is None:
        raise UnknownVmError(name, vms.all_vms(connection))
    return vm
