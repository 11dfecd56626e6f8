"""Links removed at once: of dumps that are written into, or dumped again, after they were released."""

from collections.abc import Collection
from sqlite3 import Connection

from core.clock import Clock
from core.config.settings import Config
from core.state import ledger
from core.state.database import State
from core.state.ledger import LinkRow
from policy.passes import budget
from policy.reconcile import revoke
from policy.reconcile.confirm_modes import is_syncing
from policy.reconcile.link_check import rewritten
from policy.reconcile.mounts import unmounted
from policy.reconcile.withdrawal import withdraw_and_record


def revoke_rewritten(
    config: Config, state: State, clock: Clock, watch: str, names: Collection[str] | None, *, wait: float
) -> int:
    """Checks these names in one export tree, None for all, and withdraws what was rewritten; how many that were.

    Whatever the names, also links whose dumps are marked as being written again. The pass lock is taken only where
    something is found, and then it is checked again. Raises BusyError when it is not free within ``wait`` seconds.
    """
    with state.read() as connection:
        if not _rewritten(connection, config, watch, names) and not revoke.being_dumped_again(connection):
            return 0
    with state.pass_lock(wait=wait):
        now = clock.now()
        with state.write() as connection:
            links = _rewritten(connection, config, watch, names)
            revoke.record_rewritten(connection, links)
            if not is_syncing(connection, config, now.wall):
                links += revoke.revoke_being_dumped_again(connection, now.wall)
        gone = withdraw_and_record(config, state, links, now)
        with state.write() as connection:
            budget.store(connection, config, now)
        return gone


def _rewritten(connection: Connection, config: Config, watch: str, names: Collection[str] | None) -> list[LinkRow]:
    """Nothing of an unmounted folder: what is reported of it comes from a disk that is gone."""
    found = rewritten(connection, config.watch(watch), ledger.under_names(connection, watch, names))
    return [] if found and watch in unmounted(connection, config, {watch}) else found
