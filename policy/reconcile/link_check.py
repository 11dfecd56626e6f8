"""A row of the ledger compared with what is in the export tree under its name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from sqlite3 import Connection
from typing import NamedTuple

from core.config.settings import Config, WatchFolder
from core.enums import LinkState, Storage
from core.fs.fingerprint import Identity
from core.state import dumps
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from policy.export import ExportTree, Presence, TreeEntry
from policy.reconcile.confirm_modes import ConfirmMode, Entries, confirm_mode

#: A link may be confirmed when its reading begins. Below a day, after which the storage may come again.
_LONGEST_READ_SECONDS = 20 * 3600.0


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """One row of the ledger and what was found under its name.

    ``copy``: a crash kept it from being recorded as that. ``foreign``: what it is, where no dump is known for it.
    ``exclusive_bytes`` are those on the disk of what is unchanged and has no other name. ``is_unread``: the mount shows
    that nobody has read it. ``read_again_at`` is of a kept link that the storage had long had. Times of reads are in
    seconds since the epoch.
    """

    link: LinkRow
    presence: Presence
    read_at: float | None = None
    read_again_at: float | None = None
    ctime_ns: int | None = None
    copy: Identity | None = None
    foreign: Identity | None = None
    exclusive_bytes: int = 0
    is_unread: bool = False

    @property
    def is_ours(self) -> bool:
        """True when what has the name is made of this dump's files, rewritten or not."""
        return self.presence in (Presence.INTACT, Presence.CHANGED)


class _Look(NamedTuple):
    """One export tree, and all that was found in it."""

    mode: ConfirmMode
    watch: WatchFolder
    tree: ExportTree
    entries: Entries


def check_links(
    connection: Connection, config: Config, watch: WatchFolder, links: Sequence[LinkRow], entries: Entries
) -> list[LinkCheck]:
    """Each of these links of one watch folder against the ``entries`` of its tree. Changes nothing."""
    look = _Look(confirm_mode(config), watch, ExportTree(watch.export), entries)
    shows_reads = look.tree.shows_reads()
    checks, others = [], []
    for link in links:
        found = entries.get(link.export_name)
        if found is not None and found.identity.fingerprint == link.fingerprint:
            check = _check_unchanged(config, look.mode, link, found, shows_reads=shows_reads)
            checks.append(check if link.dump_id is not None else replace(check, foreign=found.identity))
        else:
            others.append(link)
    rows = dumps.by_ids(connection, _dump_ids(others))
    for link in others:
        dump = rows.get(link.dump_id or 0)
        if dump is None:  # a foreign file, of which only the fingerprint is known
            is_absent = entries.get(link.export_name) is None
            checks.append(LinkCheck(link, Presence.ABSENT if is_absent else Presence.OTHER))
        else:
            recorded = link.identity(dumps.identity_of(connection, dump))
            checks.append(_check_other(look, link, dump, recorded))
    return checks


def _check_unchanged(
    config: Config, mode: ConfirmMode, link: LinkRow, found: TreeEntry, *, shows_reads: bool
) -> LinkCheck:
    """By the one look at the whole tree: nothing is asked of the disk again."""
    if link.state is LinkState.RELEASED:
        return LinkCheck(link, Presence.INTACT, ctime_ns=found.ctime_ns, exclusive_bytes=found.exclusive_bytes)
    if link.ended_at is not None:
        return LinkCheck(
            link, Presence.INTACT, read_again_at=_read_again(config, link, found), exclusive_bytes=found.exclusive_bytes
        )
    is_unread = shows_reads and found.is_unread_since(link.linked_ctime_ns or 0)
    read_at = mode.read_at(link, found)
    return LinkCheck(link, Presence.INTACT, read_at=read_at, exclusive_bytes=found.exclusive_bytes, is_unread=is_unread)


def _check_other(look: _Look, link: LinkRow, dump: DumpRow, recorded: Identity) -> LinkCheck:
    """Of a link under whose name something else was found, or nothing: looks again, with what is recorded of it."""
    found = look.entries.get(link.export_name)
    if link.state is LinkState.RELEASED and found is not None and found.identity.is_copy_of(recorded):
        return LinkCheck(link, Presence.INTACT, ctime_ns=found.ctime_ns, copy=found.identity)
    partly = look.mode.partly_fetched(look.watch, look.entries, link, dump, recorded)
    if partly is not None:
        return LinkCheck(link, partly.presence, read_at=partly.read_at)
    presence = look.tree.presence(link.export_name, recorded)
    is_back = presence is Presence.INTACT
    return LinkCheck(link, presence, ctime_ns=look.tree.linked_ctime(link.export_name, recorded) if is_back else None)


def _read_again(config: Config, link: LinkRow, found: TreeEntry) -> float | None:
    """When a mirror's kept link was read long after the storage had it; None: it was not.

    A mirror has such a link and fetches it no second time.
    """
    if config.offsite.storage is not Storage.MIRROR or link.state is not LinkState.CONFIRMED or not link.confirmed_at:
        return None
    known = max(link.confirmed_at, link.read_again_at or 0)
    return found.newest_read_since(int((known + _LONGEST_READ_SECONDS) * 1e9))


# --- single questions about links


def rewritten(connection: Connection, watch: WatchFolder, links: Sequence[LinkRow]) -> list[LinkRow]:
    """Those of these links of one watch folder that were rewritten after they were released. Changes nothing."""
    recorded = {link.export_name: identity for link, identity in _recorded(connection, links)}
    presences = ExportTree(watch.export).presences(recorded)
    return [link for link in links if presences.get(link.export_name) is Presence.CHANGED]


def still_unread(connection: Connection, config: Config, links: Sequence[LinkRow]) -> frozenset[int]:
    """The ids of those of these links that are unchanged and that nobody has read until now."""
    trees: Mapping[str, ExportTree] = {watch.name: ExportTree(watch.export) for watch in config.watches}
    return frozenset(
        link.id
        for link, identity in _recorded(connection, links)
        if trees[link.watch].is_unread(link.export_name, identity, link.linked_ctime_ns or 0)
    )


def were_read(connection: Connection, config: Config, links: Sequence[LinkRow]) -> frozenset[int]:
    """The ids of those of these links that somebody has read or begun to read, where the mount shows it."""
    asked = {link.watch for link in links if link.in_tree}
    watches = [watch for watch in config.watches if watch.name in asked]
    showing = {watch.name for watch in watches if ExportTree(watch.export).shows_reads()}
    shown = [link for link in links if link.in_tree and link.watch in showing]
    return frozenset(link.id for link in shown) - still_unread(connection, config, shown)


def _recorded(connection: Connection, links: Sequence[LinkRow]) -> Iterator[tuple[LinkRow, Identity]]:
    """Those of the links that are of dumps, each with what should be in the tree."""
    rows = dumps.by_ids(connection, _dump_ids(links))
    identities = dumps.identities_of(connection, rows.values())
    for link in links:
        if link.dump_id in identities:
            yield link, link.identity(identities[link.dump_id])


def _dump_ids(links: Sequence[LinkRow]) -> set[int]:
    return {link.dump_id for link in links if link.dump_id is not None}
