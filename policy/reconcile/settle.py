"""Records what a scan of the export trees has found: the tree is believed, not the ledger."""

import logging
from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from core.clock import Instant
from core.config.settings import Config
from core.enums import DumpState, LinkState
from core.filenames import printable
from core.fs.fingerprint import Identity
from core.reasons import Reason
from core.state import counters, dumps, future_times, ledger, vms
from core.state.dumps import DumpRow
from core.state.ledger import LinkRow
from core.units import format_size
from policy.export import Presence
from policy.export_names import export_name_of
from policy.reconcile.confirm import confirm, freshen, record_read_again
from policy.reconcile.confirm_modes import confirm_mode
from policy.reconcile.link_check import LinkCheck
from policy.reconcile.revoke import REVOKED_STATES, record_rewritten
from policy.reconcile.tree_scan import TreeScan, UnmanagedEntry
from policy.reconcile.unfetched import WAIT_AFTER_REVOKED

log = logging.getLogger("tidegate.policy")


def settle(connection: Connection, config: Config, day: int, scan: TreeScan, *, now: Instant) -> list[LinkRow]:
    """Records what was found, on the open ``day``. Returns the rewritten links: they must be withdrawn."""
    future_times.cap(connection, now.wall, longest_wait=WAIT_AFTER_REVOKED)
    by_presence: dict[Presence, list[LinkCheck]] = {presence: [] for presence in Presence}
    for check in scan.checks:
        by_presence[check.presence].append(check)
    for check in by_presence[Presence.ABSENT] + by_presence[Presence.OTHER]:
        _record_gone(connection, check.link, now.wall)
    rewritten = [check.link for check in by_presence[Presence.CHANGED]]
    record_rewritten(connection, rewritten)
    _record_made(connection, by_presence[Presence.INTACT], now.wall)
    for check in by_presence[Presence.INTACT]:
        _adopt_foreign(connection, config, check, now.wall)
    for entry in scan.unmanaged:
        _charge_unmanaged(connection, config, day, entry, now=now)
    _record_reads(connection, config, scan.checks, now.wall)
    return rewritten


def _record_gone(connection: Connection, link: LinkRow, now: float) -> None:
    """Nothing made of the dump's files is under its name."""
    if link.state is LinkState.RELEASED:  # killed between the charge and the link: proven never to have been made
        ledger.change_link(connection, link.id, state=LinkState.VOID, ended_at=now, detail="the link was never made")
        _wait_again(connection, link)
        return
    if link.ended_at is not None:
        ledger.change_link(connection, link.id, in_tree=False)
        return
    log.warning("%s: somebody removed or replaced its link in the export tree", printable(link.export_name))
    is_revoked = link.state in REVOKED_STATES
    state = link.state if is_revoked else LinkState.MISSING
    ledger.change_link(connection, link.id, state=state, ended_at=now, in_tree=False)
    if not is_revoked:
        counters.count(connection, "links_taken_back", label=Reason.MISSING)
        _wait_again(connection, link)


def _wait_again(connection: Connection, link: LinkRow) -> None:
    if link.dump_id is not None:
        dumps.change(connection, link.dump_id, state=DumpState.PENDING, reason=None, detail="", ended_at=None)


def _record_made(connection: Connection, checks: Iterable[LinkCheck], now: float) -> None:
    """Links that a pass has made and was killed before it recorded that."""
    found = [check for check in checks if check.link.state is LinkState.RELEASED]
    if not found:
        return
    # The same dump once more, since the storage has dropped it: whether its link was made again cannot be known. It
    # counts as made, and what was read before now does not count.
    kept = {(link.watch, link.export_name): link.id for link in ledger.kept(connection)}
    places = {check.link.id: (check.link.watch, check.link.export_name) for check in found}
    again = {link_id: kept[place] for link_id, place in places.items() if place in kept}
    ledger.change_links(connection, again.values(), in_tree=False)
    stamps = [(one.link.id, int(now * 1e9) if one.link.id in again else one.ctime_ns or 0) for one in found]
    ledger.set_linked(connection, stamps, now)
    ledger.set_copied(connection, {one.link.id: one.copy for one in found if one.copy is not None})
    vms.end_force(connection, [one.link.id for one in found])
    dump_ids = [one.link.dump_id for one in found if one.link.dump_id is not None]
    dumps.change_many(connection, dump_ids, state=DumpState.LINKED)


# --- reads


def _record_reads(connection: Connection, config: Config, checks: Sequence[LinkCheck], now: float) -> None:
    """Records reads, confirms by them, and warns of reads of what the storage had long before."""
    for check in checks:
        if check.read_at is not None:
            gone = {"in_tree": False} if check.presence is Presence.FETCHED else {}
            ledger.change_link(connection, check.link.id, read_at=_read_at(check, check.read_at, now), **gone)
    mode = confirm_mode(config)
    confirmed = [check.link for check in checks if mode.is_confirmed(check.presence, check.read_at)]
    confirm(connection, confirmed, mode.evidence, now)
    again = [(check.link, check.read_again_at) for check in checks if check.read_again_at is not None]
    record_read_again(connection, again)


def _read_at(check: LinkCheck, found: float, now: float) -> float:
    """A read in the future was seen by a wrong clock: it counts as seen now, and once."""
    if found <= now:
        return found
    return now if check.link.read_at is None else min(check.link.read_at, now)


# --- entries that nobody released


def _adopt_foreign(connection: Connection, config: Config, check: LinkCheck, now: float) -> None:
    """A foreign file becomes the link of the waiting dump that it is made of: its marker came after the first scan.

    Released beside it, the dump would be charged and sent twice; under its name it could not be linked.
    """
    link = check.link
    if check.foreign is None:
        return
    dump, is_copy = _waiting_dump(connection, config, link.watch, link.export_name, check.foreign)
    if dump is None:
        return
    copied = ledger.copied(check.foreign) if is_copy else {}
    ledger.change_link(connection, link.id, dump_id=dump.id, vm=dump.vm, **copied)
    if link.confirmed_by is None:
        dumps.change(connection, dump.id, state=DumpState.LINKED)
    else:
        dumps.change(connection, dump.id, state=DumpState.CONFIRMED, reason=None, detail="", ended_at=now)
        freshen(connection, [dump.id], link.confirmed_by, now)


def _charge_unmanaged(connection: Connection, config: Config, day: int, entry: UnmanagedEntry, *, now: Instant) -> None:
    """A file that is no link of ours: charged once, on the day it is first seen; never removed.

    Made of the files of a dump that waits, or a copy of it under its name, it becomes that dump's link.
    """
    identity = entry.found.identity
    dump, is_copy = _waiting_dump(connection, config, entry.watch.name, entry.name, identity)
    row = {
        "day": day,
        "watch": entry.watch.name,
        "dump_id": None if dump is None else dump.id,
        "vm": None if dump is None else dump.vm,
        "export_name": entry.name,
        "fingerprint": identity.fingerprint,
        "bytes": identity.bytes,
        **(ledger.copied(identity) if is_copy else {}),
    }
    [link_id] = ledger.charge(connection, [row], now)
    ledger.set_linked(connection, [(link_id, entry.found.ctime_ns)], now.wall)
    if dump is not None:
        dumps.change(connection, dump.id, state=DumpState.LINKED)
        return
    counters.count(connection, "foreign_files")
    log.warning("%s: not released by Tidegate; its %s count as released", entry, format_size(identity.bytes))


def _waiting_dump(
    connection: Connection, config: Config, watch: str, name: str, identity: Identity
) -> tuple[DumpRow | None, bool]:
    """The waiting dump whose files these are, and whether they are a copy of it under its name.

    A copy: the state was lost, or a script copies where we link.
    """
    linked = dumps.pending_by_fingerprint(connection, watch, identity.fingerprint)
    if linked is not None:
        return linked, False
    for dump in dumps.pending_of_size(connection, watch, identity.bytes):
        has_its_name = dump.vm is not None and export_name_of(config, dump) == name
        if has_its_name and identity.is_copy_of(dumps.identity_of(connection, dump)):
            return dump, True
    return None, False
