"""What really stands in the export trees, set against the ledger. After a crash the tree decides (DESIGN 7)."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.clock import Instant
from core.config.settings import Config, WatchFolder
from core.enums import DumpState, Evidence, LinkState, Reason, Storage
from core.filenames import printable
from core.fs.fingerprint import Identity
from core.state import counters, dumps, ledger, slices, vms
from core.state.database import Connection
from core.state.ledger import LinkRow
from policy.export import ExportTree, LinkFailure, Presence, TreeEntry
from policy.passes import facts
from policy.reconcile import confirm, kept
from policy.reconcile.mounts import unmounted
from policy.reconcile.removal import Removals

log = logging.getLogger("tidegate.policy")

_REWRITTEN = "the dump was rewritten after it was let out; its link is taken back"
_COPY_REWRITTEN = "somebody wrote into the copy in the export tree; it is taken back, and its dump waits again"
_TAKEN_BACK = (LinkState.CHANGED, LinkState.REVOKED)


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """One row of the ledger and what stands under its name.

    ``copy``: a crash kept it from being recorded as that. ``alone`` are the bytes on the disk of what stands unchanged
    and has no other name. ``is_unread``: the mount shows that nobody has read it.
    ``read_again_at`` is of a kept link that the storage had long had.
    """

    link: LinkRow
    presence: Presence
    read_at: float | None = None
    read_again_at: float | None = None
    ctime_ns: int | None = None
    copy: Identity | None = None
    alone: int = 0
    is_unread: bool = False

    @property
    def is_ours(self) -> bool:
        """True when what has the name is made of this dump's files, rewritten or not."""
        return self.presence in (Presence.INTACT, Presence.CHANGED)


@dataclass(frozen=True, slots=True)
class UnmanagedEntry:
    """An entry of an export tree that no row of the ledger knows."""

    watch: WatchFolder
    name: str
    standing: TreeEntry


@dataclass(slots=True)
class Look:
    """One look at all export trees; ``down`` are the names of the watch folders that are away.

    ``leftovers`` are folders that a puller has emptied, by watch folder.
    """

    seen: list[LinkCheck] = field(default_factory=list)
    unmanaged: list[UnmanagedEntry] = field(default_factory=list)
    down: frozenset[str] = frozenset()
    leftovers: dict[str, list[str]] = field(default_factory=dict)


def look(connection: Connection, config: Config) -> Look:
    """Looks at every row of the ledger that may stand in a tree, and for strangers. Changes nothing."""
    result = Look(down=unmounted(connection, config))
    candidates = ledger.in_tree(connection) + ledger.outstanding_out_of_tree(connection)
    for watch in config.watches:
        if watch.name in result.down:
            continue
        tree = ExportTree(watch.export)
        entries = tree.entries()
        shows_reads = tree.shows_reads()
        seen, others = [], []
        for link in candidates:
            if link.watch == watch.name:
                found = entries.get(link.export_name)
                if found is not None and found.identity.fingerprint == link.fingerprint:
                    seen.append(_see_unchanged(config, link, found, shows_reads=shows_reads))
                else:
                    others.append(link)
        removals = Removals(watch, entries) if config.offsite.confirm is Evidence.REMOVAL else None
        seen.extend(_see_others(connection, tree, others, entries, removals))
        result.seen.extend(seen)
        known = {one.link.export_name for one in seen if one.is_ours}
        if removals is not None:
            result.leftovers[watch.name] = removals.leftovers()
            known.update(result.leftovers[watch.name])
        result.unmanaged.extend(_strangers(watch, entries, known))
    return result


def _strangers(
    watch: WatchFolder, entries: Mapping[str, TreeEntry | None], known: Collection[str]
) -> Iterator[UnmanagedEntry]:
    for name in sorted(entries.keys() - known):
        found = entries[name]
        if found is None:
            log.warning("%s/%s: neither a file nor a folder of files; it is not counted", watch.export, printable(name))
        else:
            yield UnmanagedEntry(watch, name, found)


def _see_unchanged(config: Config, link: LinkRow, found: TreeEntry, *, shows_reads: bool) -> LinkCheck:
    """By what the one look at the whole tree has told: nothing is asked of the disk again."""
    if link.state is LinkState.RELEASED:
        return LinkCheck(link, Presence.INTACT, ctime_ns=found.ctime_ns, alone=found.exclusive_bytes)
    if link.ended_at is not None:
        read_again_at = kept.read_again(config, link, found)
        return LinkCheck(link, Presence.INTACT, read_again_at=read_again_at, alone=found.exclusive_bytes)
    read_at = _read_at(config, link, found)
    is_unread = shows_reads and found.is_unread_since(link.linked_ctime_ns or 0)
    return LinkCheck(link, Presence.INTACT, read_at=read_at, alone=found.exclusive_bytes, is_unread=is_unread)


def _read_at(config: Config, link: LinkRow, found: TreeEntry) -> float | None:
    """Where reading counts as having all of it must be read; where only removal does it is a sign of a transfer."""
    since = link.linked_ctime_ns or 0
    if config.offsite.confirm is Evidence.REMOVAL:
        return found.newest_read_of_any_since(since)
    return found.newest_read_since(since) if config.offsite.confirm is Evidence.READ else None


def _see_others(
    connection: Connection,
    tree: ExportTree,
    links: Sequence[LinkRow],
    entries: Mapping[str, TreeEntry | None],
    removals: Removals | None,
) -> Iterator[LinkCheck]:
    """Of links under whose names something else was found, or nothing: looks again, with what is recorded of them."""
    rows = dumps.by_ids(connection, {link.dump_id for link in links if link.dump_id is not None})
    for link in links:
        row = None if link.dump_id is None else rows.get(link.dump_id)
        if row is None:  # a foreign file, of which only the fingerprint is known
            yield LinkCheck(link, Presence.ABSENT if entries.get(link.export_name) is None else Presence.OTHER)
            continue
        recorded = link.identity(dumps.identity_of(connection, row))
        found = entries.get(link.export_name)
        if link.state is LinkState.RELEASED and found is not None and found.identity.is_copy_of(recorded):
            yield LinkCheck(link, Presence.INTACT, ctime_ns=found.ctime_ns, copy=found.identity)
            continue
        removed = None if removals is None else removals.seen(link, row, recorded)
        if removed is not None:
            yield LinkCheck(link, removed[0], read_at=removed[1])
            continue
        presence = tree.presence(link.export_name, recorded)
        stands = presence is Presence.INTACT  # again, by now
        yield LinkCheck(link, presence, ctime_ns=tree.linked_ctime(link.export_name, recorded) if stands else None)


def settle(connection: Connection, config: Config, day: int, result: Look, *, now: Instant) -> list[LinkRow]:
    """Records what was seen on the open ``day``. Returns the rewritten links: they must be taken out of their tree."""
    by_presence: dict[Presence, list[LinkCheck]] = {presence: [] for presence in Presence}
    for seen in result.seen:
        by_presence[seen.presence].append(seen)
    for seen in by_presence[Presence.ABSENT] + by_presence[Presence.OTHER]:
        _is_gone(connection, seen.link, now.wall)
    rewritten = record_rewritten(connection, by_presence[Presence.CHANGED])
    _stand_again(connection, by_presence[Presence.INTACT], now.wall)
    for unmanaged_entry in result.unmanaged:
        _charge_stranger(connection, config, day, unmanaged_entry, now=now)
    read = [seen for seen in by_presence[Presence.INTACT] if seen.read_at is not None]
    for seen in read:
        ledger.change_link(connection, seen.link.id, read_at=seen.read_at)
    if config.offsite.confirm is Evidence.READ:
        confirm.confirm(connection, [seen.link for seen in read], Evidence.READ, now.wall)
    _are_fetched(connection, by_presence[Presence.FETCHED], now.wall)
    again = [(seen.link, seen.read_again_at) for seen in by_presence[Presence.INTACT] if seen.read_again_at is not None]
    kept.tell_read_again(connection, again)
    return rewritten


def _are_fetched(connection: Connection, fetched: Sequence[LinkCheck], now: float) -> None:
    """The puller has removed these: it has them."""
    for seen in fetched:
        ledger.change_link(connection, seen.link.id, read_at=seen.read_at, in_tree=False)
    confirm.confirm(connection, [seen.link for seen in fetched], Evidence.REMOVAL, now)


def clear_leftovers(config: Config, result: Look) -> None:
    """Removes folders that a puller has emptied: a newer dump may want their names."""
    for watch in config.watches:
        if names := result.leftovers.get(watch.name):
            ExportTree(watch.export).remove_empty(names)


def _is_gone(connection: Connection, link: LinkRow, now: float) -> None:
    if link.state is LinkState.RELEASED:  # a crash between the grant and the link: proven never to have stood
        ledger.change_link(connection, link.id, state=LinkState.VOID, ended_at=now, detail="the link was never made")
        _pend_again(connection, link)
    elif link.ended_at is None:
        log.warning("%s: the link is gone from the export tree", printable(link.export_name))
        taken_back = link.state in _TAKEN_BACK
        state = link.state if taken_back else LinkState.MISSING
        ledger.change_link(connection, link.id, state=state, ended_at=now, in_tree=False)
        if not taken_back:
            counters.count(connection, "links_taken_back", label=Reason.MISSING)
            _pend_again(connection, link)
    else:
        ledger.change_link(connection, link.id, in_tree=False)


def _pend_again(connection: Connection, link: LinkRow) -> None:
    if link.dump_id is not None:
        dumps.change(connection, link.dump_id, state=DumpState.PENDING, reason=None, detail="", ended_at=None)


def still_unread(connection: Connection, config: Config, links: Sequence[LinkRow]) -> frozenset[int]:
    """The ids of those of these links that stand unchanged and that nobody has read until now."""
    rows = dumps.by_ids(connection, {link.dump_id for link in links if link.dump_id is not None})
    identities = dumps.identities_of(connection, rows.values())
    return frozenset(
        link.id
        for link in links
        if link.dump_id in identities
        and ExportTree(config.watch(link.watch).export).is_unread(
            link.export_name, link.identity(identities[link.dump_id]), link.linked_ctime_ns or 0
        )
    )


def were_read(connection: Connection, config: Config, links: Sequence[LinkRow]) -> frozenset[int]:
    """The ids of those of these links that somebody has read or begun to read, where the mount shows it."""
    asked = {link.watch for link in links if link.in_tree}
    watches = [watch for watch in config.watches if watch.name in asked]
    showing = {watch.name for watch in watches if ExportTree(watch.export).shows_reads()}
    shown = [link for link in links if link.in_tree and link.watch in showing]
    return frozenset(link.id for link in shown) - still_unread(connection, config, shown)


def look_at(connection: Connection, watch: WatchFolder, links: Sequence[LinkRow]) -> list[LinkCheck]:
    """Those of these links of one watch folder that were rewritten after they were let out. Changes nothing."""
    rows = dumps.by_ids(connection, {link.dump_id for link in links if link.dump_id is not None})
    identities = dumps.identities_of(connection, rows.values())
    ours = [link for link in links if link.dump_id in identities]
    standing = {link.export_name: link.identity(identities[link.dump_id]) for link in ours if link.dump_id is not None}
    presences = ExportTree(watch.export).presences(standing)
    changed = [link for link in ours if presences[link.export_name] is Presence.CHANGED]
    return [LinkCheck(link, Presence.CHANGED) for link in changed]


def record_rewritten(connection: Connection, rewritten: Sequence[LinkCheck]) -> list[LinkRow]:
    """Records that the files of these links were rewritten, before they are removed."""
    for seen in rewritten:
        _is_rewritten(connection, seen.link)
    return [seen.link for seen in rewritten]


def being_dumped_again(connection: Connection) -> list[LinkRow]:
    """Outstanding links whose dumps' markers say since that they are being written now; a copy is not reached by it."""
    running = {(row.watch, row.path) for row in dumps.without_end_because(connection, Reason.RUNNING)}
    if not running:
        return []
    links = [link for link in ledger.outstanding(connection) if link.state is LinkState.LINKED]
    sliced = slices.sliced_links(connection)  # begun, it stays until it is whole: a new file leaves the old one be
    links = [link for link in links if link.copy_inodes is None and link.id not in sliced]
    rows = dumps.by_ids(connection, {link.dump_id for link in links if link.dump_id is not None})
    again = {row.id for row in rows.values() if (row.watch, row.path) in running}
    return [link for link in links if link.dump_id in again]


def revoke_running(connection: Connection, now: float) -> list[LinkRow]:
    """Records that these are taken back, before they are removed. Should it come to nothing, the dump waits again."""
    links = being_dumped_again(connection)
    for link in links:
        log.warning("%s: its dump is being written again; its link is taken back", printable(link.export_name))
    ledger.change_links(connection, [link.id for link in links], state=LinkState.REVOKED)
    ids = [link.dump_id for link in links if link.dump_id is not None]
    told = {"state": DumpState.REVOKED, "reason": None, "detail": "its name is being dumped again"}
    dumps.change_many(connection, ids, ended_at=now, **told)
    counters.count(connection, "links_taken_back", len(links), label=Reason.RUNNING)
    return links


def _is_rewritten(connection: Connection, link: LinkRow) -> None:
    log.warning("%s: %s", printable(link.export_name), _REWRITTEN if link.copy_inodes is None else _COPY_REWRITTEN)
    if link.ended_at is None:
        ledger.change_link(connection, link.id, state=LinkState.CHANGED, in_tree=True)
        if link.copy_inodes is not None:  # somebody wrote into the tree: the dump is what it was
            _pend_again(connection, link)
        elif link.dump_id is not None:
            detail = "rewritten after it was let out; dump to a new name each time"
            dumps.change(connection, link.dump_id, state=DumpState.CHANGED, reason=Reason.CHANGED, detail=detail)
    if link.state is not LinkState.CHANGED:
        counters.count(connection, "links_taken_back", label=Reason.CHANGED)


def _stand_again(connection: Connection, standing: Sequence[LinkCheck], now: float) -> None:
    found = [seen for seen in standing if seen.link.state is LinkState.RELEASED]
    if not found:
        return
    # The same dump once more, since the storage has dropped it: whether its link was made again cannot be told. It
    # counts as made, and what was read before now does not count.
    kept = {(link.watch, link.export_name): link.id for link in ledger.kept(connection)}
    again = {seen.link.id: kept[place] for seen in found if (place := (seen.link.watch, seen.link.export_name)) in kept}
    ledger.change_links(connection, again.values(), in_tree=False)
    stamps = [(seen.link.id, int(now * 1e9) if seen.link.id in again else seen.ctime_ns or 0) for seen in found]
    ledger.set_linked(connection, stamps, now)
    ledger.set_copied(connection, {seen.link.id: seen.copy for seen in found if seen.copy is not None})
    vms.end_force(connection, [seen.link.id for seen in found])
    dump_ids = [seen.link.dump_id for seen in found if seen.link.dump_id is not None]
    dumps.change_many(connection, dump_ids, state=DumpState.LINKED)


def _charge_stranger(
    connection: Connection, config: Config, day: int, unmanaged_entry: UnmanagedEntry, *, now: Instant
) -> None:
    """A file that is no link of ours: charged once, on the day it is first seen, and told; never deleted.

    Made of the files of a dump that waits, or a copy of it under its name, it is adopted as that dump's link.
    """
    identity = unmanaged_entry.standing.identity
    dump = dumps.pending_by_fingerprint(connection, unmanaged_entry.watch.name, identity.fingerprint)
    copied = None if dump is not None else _copied_from(connection, config, unmanaged_entry)
    dump = dump or copied
    row = {
        "day": day,
        "watch": unmanaged_entry.watch.name,
        "dump_id": None if dump is None else dump.id,
        "vm": None if dump is None else dump.vm,
        "export_name": unmanaged_entry.name,
        "fingerprint": identity.fingerprint,
        "bytes": identity.bytes,
        **({} if copied is None else ledger.copied(identity)),
    }
    [link_id] = ledger.charge(connection, [row], now)
    ledger.set_linked(connection, [(link_id, unmanaged_entry.standing.ctime_ns)], now.wall)
    if dump is not None:
        dumps.change(connection, dump.id, state=DumpState.LINKED)
        return
    counters.count(connection, "foreign_files")
    path = f"{unmanaged_entry.watch.export}/{printable(unmanaged_entry.name)}"
    log.warning("%s: not let out by Tidegate; its %d bytes count as let out", path, identity.bytes)


def _copied_from(connection: Connection, config: Config, unmanaged_entry: UnmanagedEntry) -> dumps.DumpRow | None:
    """The dump that waits and that this is a copy of: the state was lost, or a script copies where we link."""
    identity = unmanaged_entry.standing.identity
    for dump in dumps.pending_of_size(connection, unmanaged_entry.watch.name, identity.bytes):
        has_its_name = dump.vm is not None and facts.export_name_of(config, dump) == unmanaged_entry.name
        if has_its_name and identity.is_copy_of(dumps.identity_of(connection, dump)):
            return dump
    return None


def withdraw(connection: Connection, config: Config, links: Sequence[LinkRow]) -> list[LinkRow]:
    """Takes links of ours out of their trees and returns those that are gone. Why they go is recorded before."""
    gone = []
    rows = dumps.by_ids(connection, {link.dump_id for link in links if link.dump_id is not None})
    for watch in config.watches:
        ours = [link for link in links if link.watch == watch.name and link.dump_id in rows]
        identities = {
            link.export_name: link.identity(dumps.identity_of(connection, rows[link.dump_id]))
            for link in ours
            if link.dump_id is not None
        }
        outcomes = ExportTree(watch.export).withdraw_all(identities)
        for link in ours:
            outcome = outcomes[link.export_name]
            if isinstance(outcome, LinkFailure):
                log.error("%s: cannot be taken back: %s", printable(link.export_name), outcome.detail)
            else:
                gone.append(link)
    return gone


def to_withdraw(connection: Connection, config: Config) -> list[LinkRow]:
    """Links that have had their use: taken back ones, and confirmed ones that the storage no longer needs to see."""
    found = ledger.in_tree_and(connection, (*_TAKEN_BACK, LinkState.CONFIRMED))
    ours = [link for link in found if link.dump_id is not None]
    newest = {link.vm: link.id for link in ours if link.state is LinkState.CONFIRMED}  # ids ascend
    collects = config.offsite.storage is Storage.COLLECT
    return [link for link in ours if link.state in _TAKEN_BACK or collects or newest[link.vm] != link.id]
