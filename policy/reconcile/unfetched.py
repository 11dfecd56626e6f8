"""What is done about links that nobody fetches (``core.state.late_links`` finds them)."""

import logging
from collections.abc import Sequence

from core.clock import Instant
from core.enums import DumpState, LinkState, Reason
from core.filenames import printable
from core.state import counters, dumps, ledger, vms
from core.state.database import Connection
from core.state.late_links import DAY, Unfetched, nothing_is_fetched, suspects
from core.state.ledger import LinkRow

log = logging.getLogger("tidegate.policy")

#: So long its VM waits when it was taken back.
TURN_AGAIN_AFTER = 7 * DAY


def tell(found: Sequence[Unfetched]) -> None:
    """Logs that nothing is fetched, which keeps every day from its end or its use."""
    if nothing_is_fetched(found):
        log.warning("nothing has been fetched for %.0f days: does the storage pull?", found[0].waited / DAY)


def revoke_left_out(connection: Connection, now: Instant) -> list[LinkRow]:
    """Records that links which are left out while others are fetched are taken back, before they are removed.

    Their VMs have their turn again in a week: what keeps the storage from one dump does not keep the others here.
    """
    left_out = [one for one in suspects(connection, now) if one.others]
    for one in left_out:
        days = one.waited / DAY
        name = printable(one.link.export_name)
        log.warning("%s: not fetched for %.0f days while others were; taken back for a week", name, days)
        if one.link.vm is not None:
            vms.change(connection, one.link.vm, backing_off_until=now.wall + TURN_AGAIN_AFTER)
    links = [one.link for one in left_out]
    ledger.change_links(connection, [link.id for link in links], state=LinkState.REVOKED)
    ids = [link.dump_id for link in links if link.dump_id is not None]
    dumps.change_many(connection, ids, state=DumpState.PENDING, reason=None, detail="")
    counters.count(connection, "links_taken_back", len(links), label=Reason.BACKING_OFF)
    return links
