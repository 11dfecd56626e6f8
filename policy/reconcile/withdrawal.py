"""Links removed from their export trees, once why they go is recorded."""

import logging
from collections.abc import Sequence
from sqlite3 import Connection

from core import failpoints
from core.clock import Instant
from core.config.settings import Config
from core.enums import LinkState, Storage
from core.filenames import printable
from core.state import dumps, ledger
from core.state.database import State
from core.state.ledger import LinkRow
from policy.export import ExportTree, LinkFailure
from policy.reconcile.revoke import REVOKED_STATES

log = logging.getLogger("tidegate.policy")


def no_longer_needed(connection: Connection, config: Config) -> list[LinkRow]:
    """Links of ours that are revoked, and confirmed ones that the storage need not see any more.

    A mirror must see the newest of each VM: what is not in the tree goes there too.
    """
    found = ledger.in_tree_and(connection, (*REVOKED_STATES, LinkState.CONFIRMED))
    ours = [link for link in found if link.dump_id is not None]
    newest = {link.vm: link.id for link in ours if link.state is LinkState.CONFIRMED}  # ids ascend
    collects = config.offsite.storage is Storage.COLLECT
    return [link for link in ours if link.state in REVOKED_STATES or collects or newest[link.vm] != link.id]


def withdraw(connection: Connection, config: Config, links: Sequence[LinkRow]) -> list[LinkRow]:
    """Removes links of ours from their trees and returns those that are gone. Changes nothing in the state."""
    gone = []
    rows = dumps.by_ids(connection, {link.dump_id for link in links if link.dump_id is not None})
    for watch in config.watches:
        ours = [link for link in links if link.watch == watch.name and link.dump_id in rows]
        recorded = {
            link.export_name: link.identity(dumps.identity_of(connection, rows[link.dump_id]))
            for link in ours
            if link.dump_id is not None
        }
        outcomes = ExportTree(watch.export).withdraw_all(recorded)
        for link in ours:
            outcome = outcomes[link.export_name]
            if isinstance(outcome, LinkFailure):
                log.error("%s: the link cannot be removed: %s", printable(link.export_name), outcome.detail)
            else:
                gone.append(link)
    return gone


def withdraw_and_record(config: Config, state: State, links: Sequence[LinkRow], now: Instant) -> int:
    """Removes links whose reason to go is recorded already, then records that they are gone; how many."""
    if not links:
        return 0
    with state.read() as connection:
        gone = withdraw(connection, config, links)
    failpoints.point("withdrawn")
    with state.write() as connection:
        record_withdrawn(connection, gone, now)
    return len(gone)


def record_withdrawn(connection: Connection, gone: Sequence[LinkRow], now: Instant) -> None:
    """Records that these links are not in their trees any more."""
    ledger.change_links(connection, [link.id for link in gone], in_tree=False)
    # Confirmed ones stopped to be outstanding when they were confirmed; their time stays.
    ended = [link.id for link in gone if link.state is not LinkState.CONFIRMED]
    ledger.change_links(connection, ended, ended_at=now.wall)
