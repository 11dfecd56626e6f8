"""Links that are kept for a mirror, which finds them at home and fetches none of them twice. If it does, it is told."""

import logging
from collections.abc import Sequence

from core.config.settings import Config
from core.enums import LinkState, Storage
from core.filenames import printable
from core.state import counters, ledger
from core.state.database import Connection
from core.state.ledger import LinkRow
from policy.export import TreeEntry

log = logging.getLogger("tidegate.policy")

#: A link may be confirmed when its reading begins. Below a day, after which the storage may come again.
_LONGEST_READ_SECONDS = 20 * 3600.0
_REMEDY = 'it is no mirror: say [offsite] storage = "collect"'
_SHOWN_NAMES = 5


def read_again(config: Config, link: LinkRow, found: TreeEntry) -> float | None:
    """When a kept link was read, in seconds since the epoch, long after the storage had it; None: it was not."""
    if config.offsite.storage is not Storage.MIRROR or link.state is not LinkState.CONFIRMED or not link.confirmed_at:
        return None
    known = max(link.confirmed_at, link.read_again_at or 0)
    return found.newest_read_since(int((known + _LONGEST_READ_SECONDS) * 1e9))


def tell_read_again(connection: Connection, read: Sequence[tuple[LinkRow, float]]) -> None:
    """Each with the time of its read; once for each time. A read does not tell whose it was."""
    for link, at in read:
        ledger.change_link(connection, link.id, read_again_at=at)
    if read:
        counters.count(connection, "links_read_again", len(read))
        log.warning(
            "read again though the storage had it: %s; if it was the storage, %s",
            _names([link for link, _ in read]),
            _REMEDY,
        )


def tell_sent_again(connection: Connection, links: Sequence[LinkRow]) -> None:
    """What a log of rsync's tells: these have crossed the line once more."""
    if links:
        counters.count(connection, "links_sent_again", len(links))
        log.warning("sent again though the storage had it: %s; %s", _names(links), _REMEDY)


def _names(links: Sequence[LinkRow]) -> str:
    names = [printable(link.export_name) for link in links[:_SHOWN_NAMES]]
    more = len(links) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
