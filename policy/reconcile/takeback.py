"""Links taken back at once: of dumps that are written into, or dumped again, after they were let out."""

from collections.abc import Collection

from core.clock import Clock
from core.config.settings import Config
from core.state import ledger
from core.state.database import Connection, State
from policy.passes import budget, facts, run
from policy.reconcile import reconcile
from policy.reconcile.mounts import unmounted
from policy.reconcile.reconcile import LinkCheck


def take_back(
    config: Config, state: State, clock: Clock, watch: str, names: Collection[str] | None, *, wait: float
) -> int:
    """Looks at these names in one export tree, None for all, and withdraws what was rewritten; how many that were.

    Whatever the names, also what a marker says is being dumped again. The pass lock is taken only where something is
    found, and then it is looked again. Raises BusyError when it is not free within ``wait`` seconds.
    """
    with state.read() as connection:
        if not _rewritten(connection, config, watch, names) and not reconcile.being_dumped_again(connection):
            return 0
    with state.pass_lock(wait=wait):
        now = clock.now()
        with state.write() as connection:
            rewritten = reconcile.record_rewritten(connection, _rewritten(connection, config, watch, names))
            again = (
                [] if facts.is_syncing(connection, config, now.wall) else reconcile.revoke_running(connection, now.wall)
            )
        gone = run.withdraw_and_record(config, state, [*rewritten, *again], now)
        with state.write() as connection:
            budget.tell(connection, config, now)
        return gone


def _rewritten(connection: Connection, config: Config, watch: str, names: Collection[str] | None) -> list[LinkCheck]:
    """Nothing of a folder that is away: what is heard of it comes from a disk that is gone."""
    found = reconcile.look_at(connection, config.watch(watch), ledger.under_names(connection, watch, names))
    return [] if found and watch in unmounted(connection, config, {watch}) else found
