"""What really crossed the line, kept beside what was charged for it. It is recorded, and never given back.

More than was charged has its usual causes, and the log and an alert name them: kept links that were fetched again, a
transfer that was interrupted and began anew, a second puller.
"""

import logging
from collections.abc import Mapping

from core.enums import LinkState
from core.state import counters, ledger, syncs
from core.state.database import Connection
from core.state.ledger import LinkRow
from core.state.syncs import SyncRow
from core.units import format_size
from policy.reconcile.confirm import record_sent_again
from policy.sync.rsync_log import Transfer

log = logging.getLogger("tidegate.policy")

#: rsync's own words and Tidegate's papers cross the line too, and nothing is charged for them: a part of the day, and
#: what a sync takes that finds nothing to do.
_TOLERATED = 0.02
_TOLERATED_BYTES = 1_000_000


def record(connection: Connection, sync_id: int, transfer: Transfer) -> None:
    """Records what crossed the line in a sync. Told twice of one, the larger figures hold.

    To be called before the sync's links are confirmed: what has been confirmed until then was sent again.
    """
    before = syncs.one_sync(connection, sync_id)
    sent = max(transfer.sent, before.sent_bytes or 0)
    received = max(transfer.received or 0, before.received_bytes or 0)
    is_told = transfer.received is not None or before.received_bytes is not None
    syncs.change_sync(connection, sync_id, sent_bytes=sent, received_bytes=received if is_told else None)
    counters.count(connection, "wire_sent_bytes", sent - (before.sent_bytes or 0))
    counters.count(connection, "wire_received_bytes", received - (before.received_bytes or 0))
    _record_links(connection, before, transfer.files)
    _record_beyond(connection, before)


def _record_links(connection: Connection, sync: SyncRow, files: Mapping[str, int]) -> None:
    links = {link.export_name: link for link in ledger.in_tree(connection, sync.watch)}
    links |= {link.export_name: link for link in ledger.of_sync(connection, sync.id)}
    crossed = [links[name] for name in files if name in links]
    syncs.add_transfers(connection, sync.id, {link.id: files[link.export_name] for link in crossed})
    record_sent_again(connection, [link for link in crossed if _had_it_before(link, sync)])


def _had_it_before(link: LinkRow, sync: SyncRow) -> bool:
    """Not by a read: that may have been this sync's own, where nothing tells when it began."""
    if link.state is not LinkState.CONFIRMED or link.confirmed_at is None:
        return False
    if sync.started_at is None:
        return link.confirmed_by is None or not link.confirmed_by.by_access_time
    return link.confirmed_at < sync.started_at


def _record_beyond(connection: Connection, sync: SyncRow) -> None:
    """Counted for the whole day: what one sync has left the next one may carry."""
    if sync.day is None:
        return
    sent, known = syncs.sent_on(connection, sync.day)
    charged = ledger.charged_for(connection, sync.day)
    new = sent - charged - known
    if new <= 0:
        return
    syncs.change_sync(connection, sync.id, beyond_bytes=sync.beyond_bytes + new)
    counters.count(connection, "wire_beyond_charge_bytes", new)
    if sent - charged > _TOLERATED_BYTES + _TOLERATED * max(charged, ledger.limit_of(connection, sync.day)):
        log.warning(
            "%s crossed the line on day %d for %s that were let out: look for links that were fetched again, for an "
            "interrupted transfer that began anew (--partial-dir), and for a second puller",
            format_size(sent),
            sync.day,
            format_size(charged),
        )
