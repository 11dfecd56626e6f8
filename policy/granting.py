"""From a plan to links: the allowance is taken in the ledger first, then the links are made, then they are recorded."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from policy import facts
from policy.facts import Facts
from policy.links import ExportTree, LinkFailure, LinkRequest, Published, check_all
from policy.planner.records import Decision
from tidegate.clock import Clock, Instant
from tidegate.config.model import Config
from tidegate.identity import Identity
from tidegate.names import printable
from tidegate.state import dumps, ledger, tallies, vms
from tidegate.state.door import State
from tidegate.terms import DumpState, LinkState, Reason

log = logging.getLogger("tidegate.policy")

_STATE_OF_REASON = {Reason.CHANGED: DumpState.CHANGED, Reason.MISSING: DumpState.MISSING}


@dataclass(frozen=True, slots=True)
class Grant:
    """One granted dump: its charge is in the ledger."""

    link_id: int
    dump_id: int
    vm: str
    watch: str
    request: LinkRequest
    replaces: int | None  # the ledger's row of the link that stood under its name


@dataclass(frozen=True, slots=True)
class Failed:
    """A granted dump that could not be linked."""

    dump_id: int
    vm: str
    dump: str
    reason: Reason
    detail: str


class Granting:
    """Lets the granted dumps of one pass out. Used under the pass lock."""

    def __init__(self, config: Config, state: State) -> None:
        self._config = config
        self._state = state
        self._trees: dict[str, ExportTree] = {}
        self._identities: dict[int, Identity] = {}

    def tree(self, watch: str) -> ExportTree:
        """The export tree of this watch folder."""
        if watch not in self._trees:
            self._trees[watch] = ExportTree(self._config.watch(watch).export)
        return self._trees[watch]

    def check(self, known: Facts, decisions: Sequence[Decision]) -> set[int]:
        """A last look before anything is granted. Returns the ids of what cannot be taken after all, and records why.

        No transaction stands open while the disks are asked.
        """
        rows = [known.rows[one.dump.dump_id] for one in decisions]
        with self._state.read() as connection:
            self._identities.update((row.id, dumps.identity_of(connection, row)) for row in rows)
        looks = [(self._config.watch(row.watch).path, row.path, self._identities[row.id]) for row in rows]
        found = zip(rows, check_all(looks), strict=True)
        failures = {row.id: failure for row, failure in found if failure is not None}
        if failures:
            with self._state.write() as connection:
                for dump_id in dumps.still_so(connection, [known.rows[one] for one in failures]):
                    _hinder(connection, dump_id, failures[dump_id])
        return set(failures)

    def grant(
        self, connection: Connection, known: Facts, decisions: Sequence[Decision], day: int, now: Instant
    ) -> list[Grant]:
        """Takes the allowance: one row of the ledger for each of the checked decisions. In the caller's transaction."""
        if not decisions:
            return []
        kept = {(link.watch, link.export_name): link for link in ledger.kept(connection)}
        rows, drafts = [], []
        for decision in decisions:
            dump = known.rows[decision.dump.dump_id]
            name = facts.export_name_of(self._config, dump)
            old = kept.get((dump.watch, name))
            replaces = old.id if old is not None and old.vm == dump.vm else None
            drafts.append((dump, name, replaces, self._identities[dump.id]))
            rows.append(
                {
                    "day": day,
                    "watch": dump.watch,
                    "dump_id": dump.id,
                    "vm": dump.vm,
                    "export_name": name,
                    "fingerprint": dump.fingerprint,
                    "bytes": dump.bytes,
                    "debt_bytes": decision.debt,
                    "forced": known.known[dump.vm].forced if dump.vm in known.known else None,
                }
            )
        ids = ledger.grant(connection, rows, now)
        # One that the storage has dropped had its end, and lives again.
        granted = {"state": DumpState.GRANTED, "reason": None, "ended_at": None}
        dumps.change_many(connection, [dump.id for dump, *_ in drafts], **granted)
        return [self._draft(link_id, *draft) for link_id, draft in zip(ids, drafts, strict=True)]

    def _draft(self, link_id: int, dump: dumps.DumpRow, name: str, replaces: int | None, identity: Identity) -> Grant:
        watch = self._config.watch(dump.watch)
        may_replace = replaces is not None
        request = LinkRequest(link_id, watch.path, dump.path, name, identity, may_replace, watch.publish)
        return Grant(link_id, dump.id, dump.vm or "", dump.watch, request, replaces)

    def link(self, grants: Sequence[Grant], clock: Clock) -> list[Failed]:
        """Makes the links and records what became of each.

        They are dated when all of them stand: a sync that starts while they are made may miss any of them, and a
        report of what stood at its start must not speak of one that was made after.
        """
        by_watch: dict[str, list[Grant]] = defaultdict(list)
        for grant in grants:
            by_watch[grant.watch].append(grant)
        outcomes: dict[int, Published | LinkFailure] = {}
        for watch, some in by_watch.items():
            outcomes.update(self.tree(watch).publish([grant.request for grant in some]))
        with self._state.write() as connection:
            return _record(connection, grants, outcomes, clock.now().wall)


def _record(
    connection: Connection, grants: Sequence[Grant], outcomes: dict[int, Published | LinkFailure], now: float
) -> list[Failed]:
    made = [(grant, one) for grant in grants if isinstance(one := outcomes[grant.link_id], Published)]
    replaced = [grant.replaces for grant, _ in made if grant.replaces is not None]
    ledger.change_links(connection, replaced, in_tree=False)
    ledger.set_linked(connection, [(grant.link_id, one.ctime_ns) for grant, one in made], now)
    ledger.set_copied(connection, {grant.link_id: one.copy for grant, one in made if one.copy is not None})
    vms.end_force(connection, [grant.link_id for grant, _ in made])
    dumps.change_many(connection, [grant.dump_id for grant, _ in made], state=DumpState.LINKED)
    tallies.count(connection, "granted_dumps", len(made))
    tallies.count(connection, "granted_bytes", sum(grant.request.identity.bytes for grant, _ in made))
    failed = []
    for grant in grants:
        failure = outcomes[grant.link_id]
        if isinstance(failure, LinkFailure):
            _record_failure(connection, grant, failure, now)
            name = printable(grant.request.path)
            failed.append(Failed(grant.dump_id, grant.vm, name, failure.reason, failure.detail))
    return failed


def _record_failure(connection: Connection, grant: Grant, failure: LinkFailure, now: float) -> None:
    name = printable(grant.request.path)
    log.error("%s: could not be let out: %s: %s", name, failure.reason, failure.detail)
    tallies.count(connection, "link_failures")
    if failure.proven_absent:  # only then is the charge given back
        ledger.change_link(connection, grant.link_id, state=LinkState.VOID, ended_at=now, detail=failure.detail)
        _hinder(connection, grant.dump_id, failure)


def _hinder(connection: Connection, dump_id: int, failure: LinkFailure) -> None:
    """The scan looks again at whatever has a reason, so that a passing fault is tried again by the next pass."""
    dumps.change(
        connection,
        dump_id,
        state=_STATE_OF_REASON.get(failure.reason, DumpState.PENDING),
        reason=failure.reason,
        detail=failure.detail,
    )
