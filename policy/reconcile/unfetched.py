"""What is done about links that nobody fetches (``core.state.late_links`` finds them)."""

import logging
from collections.abc import Sequence

from core.clock import Instant
from core.filenames import printable
from core.reasons import Reason
from core.state import counters, vms
from core.state.database import Connection
from core.state.late_links import DAY, Unfetched, nothing_is_fetched, suspects
from core.state.ledger import LinkRow
from policy.reconcile.revoke import revoke

log = logging.getLogger("tidegate.policy")

#: So long its VM waits when its link was revoked.
WAIT_AFTER_REVOKED = 7 * DAY


def log_unfetched(found: Sequence[Unfetched]) -> None:
    """Logs that nothing is fetched, which keeps every day open, or unused."""
    if nothing_is_fetched(found):
        log.warning("nothing was fetched for %.0f days; check that the storage still pulls", found[0].waited / DAY)


def revoke_left_out(connection: Connection, now: Instant) -> list[LinkRow]:
    """Revokes links that are left out while others are fetched.

    Their VMs wait a week: what keeps the storage from one dump does not keep the others here.
    """
    left_out = [one for one in suspects(connection, now) if one.others]
    for one in left_out:
        name, days = printable(one.link.export_name), one.waited / DAY
        log.warning("%s: not fetched for %.0f days while others were; its link is removed for a week", name, days)
        if one.link.vm is not None:
            vms.change(connection, one.link.vm, backing_off_until=now.wall + WAIT_AFTER_REVOKED)
    links = [one.link for one in left_out]
    revoke(connection, links)
    counters.count(connection, "links_taken_back", len(links), label=Reason.BACKING_OFF)
    return links
