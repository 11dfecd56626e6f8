"""The admin's word: hold, release, force, retire, and copies that are at the storage already."""

from collections.abc import Mapping
from typing import NamedTuple

from core.clock import Clock
from core.config.settings import Config
from core.enums import DumpState, Evidence, Force, LinkState
from core.errors import UsageError
from core.state import decisions, dumps, ledger, vms
from core.state.database import Connection, State
from core.state.vms import VmRow
from policy.passes.trees import remove_unneeded, settle_trees
from policy.reconcile import confirm
from policy.reconcile.link_check import were_read
from policy.reconcile.mounts import unmounted
from policy.reconcile.revoke import revoke
from policy.recovery import manifest


def hold(config: Config, state: State, clock: Clock, vm: str, *, wait: float) -> LinkState | None:
    """No dump of ``vm`` leaves until it is released. Takes an unread link back.

    Returns what its outstanding link is then: ``revoked``, or ``linked`` where it was read; None where it has none.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        down = settle_trees(config, state, now)  # what was read by now is confirmed first
        with state.write() as connection:
            _known(connection, vm)
            vms.change(connection, vm, on_hold=True, forced=None)
            links = [link for link in ledger.outstanding(connection) if link.vm == vm]
            read = were_read(connection, config, [link for link in links if link.watch not in down])
            revoke(connection, [link for link in links if link.id not in read])
        remove_unneeded(config, state, now)
        manifest.write(config, state, now, down=down)
        return None if not links else LinkState.LINKED if read else LinkState.REVOKED


def release(state: State, vm: str) -> None:
    """Ends a hold, and takes a force back."""
    with state.write() as connection:
        _known(connection, vm)
        vms.change(connection, vm, on_hold=False, forced=None)
        decisions.forget(connection, [vm])


def force(state: State, vm: str, how: Force | None) -> None:
    """The next dump of ``vm`` is the first in line, within the limit or above it; None takes that back."""
    with state.write() as connection:
        if _known(connection, vm).on_hold and how is not None:
            raise UsageError(f"force: {vm} is on hold; say tidegate release {vm} first")
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
            down = unmounted(connection, config)
        manifest.write(config, state, now, down=down)


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
        confirm.end_older(connection, {vm.name: vm.offsite_time or 0 for vm in fresher}, now)
        decisions.forget(connection, [vm.name for vm in fresher])
    return Sent([vm.name for vm in fresher], sorted(copies.keys() - known.keys()))


def _sent(vm: VmRow, dump_time: float) -> VmRow:
    """When it came there nobody knows: not before it was made."""
    return vm._replace(
        offsite_time=dump_time, offsite_at=dump_time, offsite_by=Evidence.MARK_SENT, offsite_dump_id=None
    )


def _known(connection: Connection, name: str) -> VmRow:
    vm = vms.all_vms(connection).get(name)
    if vm is None:
        raise UsageError(f"no VM named {name!r} is known; `tidegate status` lists them")
    return vm
