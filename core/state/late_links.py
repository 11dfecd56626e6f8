"""Links that nobody fetches: either the puller is down, or it leaves one of them out."""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import NamedTuple

from core.clock import Instant
from core.enums import LinkState
from core.state import ledger, slices
from core.state.ledger import LinkRow

DAY = 24 * 3600.0
#: A link that is not confirmed by then is suspect (DESIGN 6).
SUSPECT_AFTER = 3 * DAY
#: Other links must be fetched for so long before one is held to be left out: a puller that was down begins somewhere.
ANOTHER_CHANCE = DAY


class Unfetched(NamedTuple):
    """A suspect link. ``waited``: for so many seconds nothing of its VM was fetched. ``others``: others were since."""

    link: LinkRow
    waited: float
    others: bool


def suspects(connection: Connection, now: Instant) -> list[Unfetched]:
    """Links in the trees that are not confirmed for ``SUSPECT_AFTER``, the longest first.

    A link that replaced an unread one waits since that one was released.
    """
    sliced = slices.sliced_links(connection)  # they take as long as they take
    waiting = [one for one in ledger.outstanding(connection) if one.state is LinkState.LINKED and one.dump_id]
    waiting = [one for one in waiting if one.id not in sliced]
    firsts = ledger.by_ids(connection, {one.since_id for one in waiting if one.since_id is not None})
    since = {one.id: firsts.get(one.since_id or one.id, one) for one in waiting}
    late = [one for one in waiting if now.elapsed_since(since[one.id].released) >= SUSPECT_AFTER]
    if not late:
        return []
    fetched = ledger.newest_fetched(
        connection, since_day=min(since[one.id].day for one in late), before=now.wall - ANOTHER_CHANCE
    )
    found = [
        Unfetched(one, now.elapsed_since(first.released), fetched is not None and fetched >= (first.linked_at or 0))
        for one in late
        for first in [since[one.id]]
    ]
    return sorted(found, key=lambda one: -one.waited)


def nothing_is_fetched(found: Sequence[Unfetched]) -> bool:
    """Whether it is the puller that is down, and not one link that is left out."""
    return bool(found) and not any(one.others for one in found)
