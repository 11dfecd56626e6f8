"""Links that are revoked. Why they go is recorded before they are removed (``withdrawal``)."""

import logging
from collections.abc import Sequence
from sqlite3 import Connection

from core.enums import DumpState, LinkState
from core.filenames import printable
from core.reasons import Reason
from core.state import counters, dumps, ledger, slices
from core.state.ledger import LinkRow

log = logging.getLogger("tidegate.policy")

#: Of links that are to be removed, whether anybody has fetched them or not.
REVOKED_STATES = (LinkState.CHANGED, LinkState.REVOKED)

_REWRITTEN = "the dump was rewritten after it was released; its link is removed"
_COPY_REWRITTEN = "somebody wrote into the copy in the export tree; it is removed, and its dump waits again"


def revoke(connection: Connection, links: Sequence[LinkRow]) -> None:
    """Records that these links go; their dumps wait again."""
    ledger.change_links(connection, [link.id for link in links], state=LinkState.REVOKED)
    dumps.change_many(connection, _dump_ids(links), state=DumpState.PENDING, reason=None, detail="")


def being_dumped_again(connection: Connection) -> list[LinkRow]:
    """Outstanding links whose dumps are marked as being written now; copies are not, no write reaches them."""
    running = {(row.watch, row.path) for row in dumps.without_end_because(connection, Reason.RUNNING)}
    if not running:
        return []
    links = [link for link in ledger.outstanding(connection) if link.state is LinkState.LINKED]
    sliced = slices.sliced_links(connection)  # begun, it stays until it is whole: a new file leaves the old one be
    links = [link for link in links if link.copy_inodes is None and link.id not in sliced]
    rows = dumps.by_ids(connection, _dump_ids(links))
    again = {row.id for row in rows.values() if (row.watch, row.path) in running}
    return [link for link in links if link.dump_id in again]


def revoke_being_dumped_again(connection: Connection, now: float) -> list[LinkRow]:
    """Revokes these links, and their dumps with them. Should the new dump come to nothing, the old one waits again."""
    links = being_dumped_again(connection)
    for link in links:
        log.warning("%s: its dump is being written again; its link is removed", printable(link.export_name))
    ledger.change_links(connection, [link.id for link in links], state=LinkState.REVOKED)
    ended = {"state": DumpState.REVOKED, "reason": None, "detail": "its name is being dumped again"}
    dumps.change_many(connection, _dump_ids(links), ended_at=now, **ended)
    counters.count(connection, "links_taken_back", len(links), label=Reason.RUNNING)
    return links


def record_rewritten(connection: Connection, links: Sequence[LinkRow]) -> None:
    """Records that the files of these links were rewritten after they were released."""
    for link in links:
        is_copy = link.copy_inodes is not None
        log.warning("%s: %s", printable(link.export_name), _COPY_REWRITTEN if is_copy else _REWRITTEN)
        if link.ended_at is None:
            ledger.change_link(connection, link.id, state=LinkState.CHANGED, in_tree=True)
            _record_dump_rewritten(connection, link, is_copy=is_copy)
        if link.state is not LinkState.CHANGED:
            counters.count(connection, "links_taken_back", label=Reason.CHANGED)


def _record_dump_rewritten(connection: Connection, link: LinkRow, *, is_copy: bool) -> None:
    if link.dump_id is None:
        return
    if is_copy:  # somebody wrote into the tree: the dump is what it was
        dumps.change(connection, link.dump_id, state=DumpState.PENDING, reason=None, detail="", ended_at=None)
    else:
        detail = "rewritten after it was released; dump to a new name each time"
        dumps.change(connection, link.dump_id, state=DumpState.CHANGED, reason=Reason.CHANGED, detail=detail)


def _dump_ids(links: Sequence[LinkRow]) -> list[int]:
    return [link.dump_id for link in links if link.dump_id is not None]
