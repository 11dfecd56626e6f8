"""The export trees around whatever is done under the pass lock: settled before it, tidied after it."""

from core.clock import Instant
from core.config.settings import Config
from core.state.database import State
from policy.passes import budget, disk_space
from policy.reconcile.confirm_modes import is_syncing
from policy.reconcile.mounts import unmounted
from policy.reconcile.settle import settle
from policy.reconcile.tree_scan import scan_trees
from policy.reconcile.withdrawal import no_longer_needed, withdraw_and_record


def settle_trees(config: Config, state: State, now: Instant) -> frozenset[str]:
    """Scans the trees and believes them: a link that is not as it was made must be neither announced nor confirmed.

    Returns the names of the watch folders that are unmounted.
    """
    with state.read() as connection:
        scan = scan_trees(connection, config)
    with state.write() as connection:
        day = budget.current(connection, config, now)
        rewritten = settle(connection, config, day.number, scan, now=now)
    withdraw_and_record(config, state, rewritten, now)
    return scan.unmounted


def remove_unneeded(config: Config, state: State, now: Instant) -> None:
    """Removes links that nobody needs any more, unless a sync may be reading the trees and their disk has room."""
    with state.read() as connection:
        if is_syncing(connection, config, now.wall):
            links = disk_space.to_drop(connection, config, now)
        else:
            links = no_longer_needed(connection, config)
        away = unmounted(connection, config) if links else frozenset()
    withdraw_and_record(config, state, [link for link in links if link.watch not in away], now)
    with state.write() as connection:
        budget.store(connection, config, now)
