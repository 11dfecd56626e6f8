"""Sync passes of the storage: announced before (a seal), reported after. A report is what ends a day and confirms."""

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
from policy.reconcile.confirm import confirm
from policy.reconcile.confirm_modes import SEAL_LASTS_SECONDS
from policy.recovery import manifest
from policy.sync import rsync_log
from policy.sync.rsync_log import Transfer

log = logging.getLogger("tidegate.policy")


@dataclass(frozen=True, slots=True)
class Report:
    """What the storage says it has: one of these, a list also with its time, or none (what stood at the seal).

    ``started``: what stood at this time, in seconds since the epoch. ``arrived``: these names of the export trees.
    ``transfer``: what crossed the line, where rsync's own words of it are at hand. ``expected``: the sha256 of the list
    in an export tree that ``arrived`` answers to. ``broke_off``: it had not come to its end; what arrived is confirmed,
    and the day goes on.
    """

    started: float | None = None
    arrived: frozenset[str] | None = None
    everything: bool = False
    transfer: Transfer | None = None
    broke_off: bool = False
    expected: str | None = None


class Seal(NamedTuple):
    """A sync that was announced, and the links that it speaks of."""

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
) -> Seal:
    """A sync begins: from now to its report nothing is replaced or removed.

    ``process`` is the one of a daemon that serves it, by which its end is told.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        down = settle_trees(config, state, now)
        with state.write() as connection:
            day = budget.current(connection, config, now)
            links = [one for one in ledger.outstanding(connection) if one.in_tree and watch in (None, one.watch)]
            sync_id = syncs.add_sync(
                connection, watch=watch, sealed_at=now.wall, started_at=now.wall, day=day.number, process=process
            )
            syncs.seal(connection, sync_id, [link.id for link in links])
        sealing = {one.name for one in config.watches if watch in (None, one.name)}
        manifest.write(config, state, now, down=down, sealing=sealing)
        return Seal(sync_id, links)


def report(
    config: Config, state: State, clock: Clock, said: Report, *, wait: float, watch: str | None = None
) -> Outcome:
    """A sync has passed: what it brought over is confirmed and the day may end.

    Raises UsageError when neither ``said`` nor a seal tells what the storage has, or when a receipt answers to a list
    that is not the one that stands.
    """
    with state.pass_lock(wait=wait):
        now = clock.now()
        if said.expected is not None:
            watch = _expecting(config, said.expected)
        down = settle_trees(config, state, now)
        with state.write() as connection:
            outcome = _record(connection, config, said, watch, now, down=down)
        remove_unneeded(config, state, now)
        manifest.write(config, state, now, down=down)
        return outcome


def _expecting(config: Config, digest: str) -> str | None:
    """The watch folder whose list a receipt answers to; None: there is but this one."""
    watch = manifest.expecting(config, digest)
    if watch is None:
        raise UsageError(
            "synced: the receipt answers to another list than the one that stands in the export tree: nothing was "
            "confirmed; let the storage pull again"
        )
    return watch.name if len(config.watches) > 1 else None


def _record(
    connection: Connection, config: Config, said: Report, watch: str | None, now: Instant, *, down: Collection[str]
) -> Outcome:
    """Nothing is confirmed of a folder that is away: nobody knows whether its links stood when the sync came by."""
    day = budget.current(connection, config, now)
    standing = [one for one in ledger.outstanding(connection) if watch in (None, one.watch)]
    announced = syncs.seals(connection, now.wall - SEAL_LASTS_SECONDS)
    seals = [one for one in announced if one.reported_at is None]
    # A list that is told once more speaks of the sync that it was told for.
    meant = seals or (announced if said.arrived is not None else [])
    meant = [one for one in meant if one.watch in (None, watch)]
    if said.expected is not None and not meant:
        raise UsageError("synced: no sync was announced in the last 24 hours that the receipt could answer to")
    covers = _covers(connection, said, meant)
    if _is_old(connection, said, watch, now):
        return Outcome((), tuple(standing), day.number, day_ended=False)
    own = [one.id for one in seals if one.watch == watch and _is_of(said, one)]
    own = own or [syncs.add_sync(connection, watch=watch, started_at=said.started, day=day.number)]
    if said.transfer is not None:
        rsync_log.record(connection, own[0], said.transfer)
    confirmed = [link for link in standing if link.in_tree and link.watch not in down and covers(link)]
    confirm(connection, confirmed, Evidence.REPORT, now.wall)
    for sync_id in own:
        told = {"reported_at": now.wall, "evidence": "" if said.broke_off else Evidence.REPORT, "day": day.number}
        syncs.change_sync(connection, sync_id, **told, confirmed=len(confirmed) if sync_id == own[0] else 0)
    after = budget.current(connection, config, now)
    done = {link.id for link in confirmed}
    unknown = (said.arrived or frozenset()) - {link.export_name for link in ledger.in_tree(connection)}
    return Outcome(
        confirmed=tuple(confirmed),
        left_outstanding=tuple(link for link in standing if link.id not in done),
        day=after.number,
        day_ended=after.number != day.number,
        unknown=tuple(sorted(unknown)),
    )


def _is_of(said: Report, seal: SyncRow) -> bool:
    """Whether the report closes this seal: one that comes late must not end the sync that runs meanwhile."""
    return said.started is None or seal.sealed_at is None or seal.sealed_at < said.started + 1  # told in whole seconds


def _is_old(connection: Connection, said: Report, watch: str | None, now: Instant) -> bool:
    """A report not later than the last one changes nothing."""
    if said.started is None:
        return False
    if said.started > now.wall:
        raise UsageError("synced: --started lies in the future; say when the sync that has passed began")
    last = next((one for one in syncs.reports(connection) if one.watch == watch), None)
    return last is not None and said.started <= (last.started_at or last.reported_at or 0)


def _covers(connection: Connection, said: Report, seals: list[SyncRow]) -> Callable[[LinkRow], bool]:
    if said.everything:
        return lambda _link: True
    held_to: list[Callable[[LinkRow], bool]] = []
    if said.arrived is not None:
        arrived = said.arrived
        held_to.append(lambda link: link.export_name in arrived)
    if said.started is not None:
        started = said.started
        held_to.append(lambda link: link.linked_at is not None and link.linked_at < started)
    elif seals:
        # For a list too: what stands under a name of it may have been linked since.
        sealed = syncs.sealed_links(connection, seals[0].id)  # a sync announced twice was started twice
        held_to.append(lambda link: link.id in sealed)
    if held_to:
        return lambda link: all(holds(link) for holds in held_to)
    raise UsageError(
        "synced: nothing says what the storage has; run sync-started before the sync, "
        "or say --started TIME, --arrived FILE, or --all for everything that stands now"
    )
