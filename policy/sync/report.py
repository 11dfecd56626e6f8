"""Syncs of the storage: announced before, reported after. A report is what ends a day and confirms."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from core.clock import Clock, Instant
from core.config.settings import Config
from core.enums import Evidence
from core.errors import UsageError
from core.state import ledger, syncs
from core.state.database import Connection, State
from core.state.ledger import LinkRow
from core.state.syncs import SyncRow
from policy.passes import budget
from policy.passes.trees import remove_unneeded, settle_trees
from policy.reconcile import manifest
from policy.reconcile.confirm import confirm
from policy.reconcile.confirm_modes import SEAL_LASTS_SECONDS
from policy.sync import rsync_log
from policy.sync.rsync_log import Transfer

log = logging.getLogger("tidegate.policy")


@dataclass(frozen=True, slots=True)
class Report:
    """What the storage has: one of these, a list also with its time, or none (what was announced).

    ``started``: what was in the trees then, in seconds since the epoch. ``arrived``: these names of the export trees.
    ``transfer``: the bytes transferred, where rsync's own figures are at hand. ``expected``: the sha256 of the list in
    an export tree that ``arrived`` answers. ``broke_off``: it did not finish; what arrived is confirmed, and the day
    stays open.
    """

    started: float | None = None
    arrived: frozenset[str] | None = None
    everything: bool = False
    transfer: Transfer | None = None
    broke_off: bool = False
    expected: str | None = None


class Announced(NamedTuple):
    """A sync that was announced, and the links that its report will be about."""

    sync_id: int
    links: Collection[LinkRow]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a report changed. ``day`` is the number of the open day after it."""

    confirmed: tuple[LinkRow, ...]
    left_outstanding: tuple[LinkRow, ...]
    day: int
    day_ended: bool
    unknown: tuple[str, ...] = ()


def announce(
    config: Config, state: State, clock: Clock, *, wait: float, watch: str | None = None, process: int | None = None
) -> Announced:
    """A sync starts: from now to its report nothing is replaced or removed.

    ``process`` is the one of an rsync daemon that serves it: its number finds the sync when it has ended.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        unmounted = settle_trees(config, state, now)
        with state.write() as connection:
            day = budget.current(connection, config, now)
            links = [one for one in ledger.outstanding(connection) if one.in_tree and watch in (None, one.watch)]
            sync_id = syncs.add_sync(
                connection, watch=watch, sealed_at=now.wall, started_at=now.wall, day=day.number, process=process
            )
            syncs.seal(connection, sync_id, [link.id for link in links])
        announcing = {one.name for one in config.watches if watch in (None, one.name)}
        manifest.write(config, state, now, unmounted=unmounted, announcing=announcing)
        return Announced(sync_id, links)


def report(
    config: Config, state: State, clock: Clock, reported: Report, *, wait: float, watch: str | None = None
) -> Outcome:
    """A sync has finished: what it brought over is confirmed and the day may end.

    Raises UsageError when neither the report nor an announcement decides what the storage has, or when a receipt
    answers a list that is not the one in the export tree.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        if reported.expected is not None:
            watch = _expecting(config, reported.expected)
        unmounted = settle_trees(config, state, now)
        with state.write() as connection:
            outcome = _record(connection, config, reported, watch, now, unmounted=unmounted)
        remove_unneeded(config, state, now)
        manifest.write(config, state, now, unmounted=unmounted)
        return outcome


def _expecting(config: Config, digest: str) -> str | None:
    """The watch folder whose list a receipt answers; None: it is the only one."""
    watch = manifest.watch_expecting(config, digest)
    if watch is None:
        raise UsageError(
            "synced: the receipt is for another list than the one in the export tree; nothing was confirmed. "
            "Let the storage pull again."
        )
    return watch.name if len(config.watches) > 1 else None


def _record(
    connection: Connection,
    config: Config,
    reported: Report,
    watch: str | None,
    now: Instant,
    *,
    unmounted: Collection[str],
) -> Outcome:
    """Confirms nothing of an unmounted folder: nobody knows whether its links were there when the sync came by."""
    day = budget.current(connection, config, now)
    outstanding = [one for one in ledger.outstanding(connection) if watch in (None, one.watch)]
    announced = syncs.seals(connection, now.wall - SEAL_LASTS_SECONDS)
    unreported = [one for one in announced if one.reported_at is None]
    # A list that is reported once more is of the sync that it was first reported for.
    candidates = unreported or (announced if reported.arrived is not None else [])
    candidates = [one for one in candidates if one.watch in (None, watch)]
    if reported.expected is not None and not candidates:
        raise UsageError("synced: no sync was announced in the last 24 hours that the receipt could belong to")
    covers = _covers(connection, reported, candidates)
    if _is_old(connection, reported, watch, now):
        return Outcome((), tuple(outstanding), day.number, day_ended=False)
    own = [one.id for one in unreported if one.watch == watch and _is_of(reported, one)]
    own = own or [syncs.add_sync(connection, watch=watch, started_at=reported.started, day=day.number)]
    if reported.transfer is not None:
        rsync_log.record(connection, own[0], reported.transfer)
    confirmed = [link for link in outstanding if link.in_tree and link.watch not in unmounted and covers(link)]
    confirm(connection, confirmed, Evidence.REPORT, now.wall)
    for sync_id in own:
        evidence = "" if reported.broke_off else Evidence.REPORT
        count = len(confirmed) if sync_id == own[0] else 0
        syncs.change_sync(connection, sync_id, reported_at=now.wall, evidence=evidence, day=day.number, confirmed=count)
    after = budget.current(connection, config, now)
    done = {link.id for link in confirmed}
    unknown = (reported.arrived or frozenset()) - {link.export_name for link in ledger.in_tree(connection)}
    return Outcome(
        confirmed=tuple(confirmed),
        left_outstanding=tuple(link for link in outstanding if link.id not in done),
        day=after.number,
        day_ended=after.number != day.number,
        unknown=tuple(sorted(unknown)),
    )


def _is_of(reported: Report, sync: SyncRow) -> bool:
    """Whether the report is of this sync: one that comes late must not end the sync that runs meanwhile."""
    # A start is reported in whole seconds.
    return reported.started is None or sync.sealed_at is None or sync.sealed_at < reported.started + 1


def _is_old(connection: Connection, reported: Report, watch: str | None, now: Instant) -> bool:
    """A report not later than the last one changes nothing."""
    if reported.started is None:
        return False
    if reported.started > now.wall:
        raise UsageError("synced: --started is in the future; give the time at which the finished sync started")
    last = next((one for one in syncs.reports(connection) if one.watch == watch), None)
    return last is not None and reported.started <= (last.started_at or last.reported_at or 0)


def _covers(connection: Connection, reported: Report, announced: list[SyncRow]) -> Callable[[LinkRow], bool]:
    if reported.everything:
        return lambda _link: True
    held_to: list[Callable[[LinkRow], bool]] = []
    if reported.arrived is not None:
        arrived = reported.arrived
        held_to.append(lambda link: link.export_name in arrived)
    if reported.started is not None:
        started = reported.started
        held_to.append(lambda link: link.linked_at is not None and link.linked_at < started)
    elif announced:
        # For a list too: what is under a name of it may have been linked since.
        found = syncs.sealed_links(connection, announced[0].id)  # a sync announced twice was started twice
        held_to.append(lambda link: link.id in found)
    if held_to:
        return lambda link: all(holds(link) for holds in held_to)
    raise UsageError(
        "synced: it is not known what the storage has. Run `tidegate sync-started` before each sync, "
        "or give --started TIME, --arrived FILE, or --all for everything that is in the export trees now."
    )
