"""From a plan to links: charged in the ledger first, then linked, then recorded."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from core import failpoints
from core.clock import Clock, Instant
from core.config.settings import Config
from core.enums import DumpState, Links, LinkState, Reason
from core.filenames import printable
from core.fs.fingerprint import Identity
from core.state import counters, dumps, ledger, vms
from core.state.database import Connection, State
from core.state.ledger import LinkRow
from policy.export import ExportTree, LinkFailure, LinkRequest, Published, check_all
from policy.export_names import export_name_of
from policy.passes.facts import Facts
from policy.planner.model import Decision
from policy.reconcile.withdrawal import withdraw

log = logging.getLogger("tidegate.policy")


@dataclass(frozen=True, slots=True)
class Grant:
    """One granted dump: its charge is in the ledger."""

    link_id: int
    dump_id: int
    vm: str
    watch: str
    request: LinkRequest
    replaces: int | None  # the ledger's row of the link that stood under its name
    swaps: LinkRow | None = None  # the unread link of its VM that it takes the place of

    @property
    def clears(self) -> bool:
        """Whether that link stands under another name, and must go before this one comes."""
        return self.swaps is not None and self.swaps.id != self.replaces


class _Draft(NamedTuple):
    """What becomes a grant when its row of the ledger has its number."""

    dump: dumps.DumpRow
    name: str
    replaces: int | None
    swaps: LinkRow | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A granted dump that could not be linked."""

    dump_id: int
    vm: str
    dump: str
    reason: Reason
    detail: str


#: Why a dump does not pass the checks that the configuration asks of it; None if it does. Given its marker's body.
Verify = Callable[[dumps.DumpRow, str | None], str | None]


class Releasing:
    """Lets the granted dumps of one pass out. Used under the pass lock."""

    def __init__(self, config: Config, state: State, verify: Verify | None) -> None:
        self._config = config
        self._state = state
        self._verify = verify
        self._trees: dict[str, ExportTree] = {}
        self._identities: dict[int, Identity] = {}
        self._standing: Counter[int | None] = Counter()

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
            self._standing = Counter(link.dump_id for link in ledger.kept(connection))
        looks = [(self._config.watch(row.watch).path, row.path, self._identities[row.id]) for row in rows]
        names = ((number, self._most_names(row)) for number, row in enumerate(rows))
        strict = {number: most for number, most in names if most is not None}
        found = zip(rows, check_all(looks, strict), strict=True)
        failures = {row.id: failure for row, failure in found if failure is not None}
        if failures:
            with self._state.write() as connection:
                for dump_id in dumps.unchanged(connection, [known.rows[one] for one in failures]):
                    _reject(connection, dump_id, failures[dump_id])
        return set(failures) | self._failing_checks([row for row in rows if row.id not in failures])

    def _failing_checks(self, rows: Sequence[dumps.DumpRow]) -> set[int]:
        """The ids of those that do not pass the checks of the configuration.

        They may take hours: what is known of each is recorded at once, and a pass that was killed does not begin anew.
        """
        if self._verify is None:
            return set()
        with self._state.read() as connection:
            unverified = dumps.unverified(connection, [row.id for row in rows])
            bodies = dumps.bodies(connection, unverified)
        failing = set()
        for row in rows:
            if row.id not in unverified:
                continue
            fault = self._verify(row, bodies.get(row.id))
            failpoints.point("checked")
            with self._state.write() as connection:
                said = dumps.bodies(connection, [row.id])
                if not dumps.unchanged(connection, [row]) or said.get(row.id) != bodies.get(row.id):
                    failing.add(row.id)  # what was checked is no more: the pass decides again
                elif fault is None:
                    dumps.change(connection, row.id, verified=True)
                else:
                    failing.add(row.id)
                    log.error("%s: not let out: %s", printable(row.path), fault)
                    dumps.change(connection, row.id, state=DumpState.BAD, reason=Reason.VERIFY_FAILED, detail=fault)
        return failing

    def grant(
        self, connection: Connection, known: Facts, decisions: Sequence[Decision], day: int, now: Instant
    ) -> list[Grant]:
        """Charges the day: one row of the ledger for each of the checked decisions. In the caller's transaction."""
        if not decisions:
            return []
        swaps = {one.dump.vm: known.unread_links[one.dump.vm] for one in decisions if one.dump.vm in known.unread_links}
        kept = {(link.watch, link.export_name): link for link in (*ledger.kept(connection), *swaps.values())}
        _change_swapped(connection, swaps.values(), LinkState.REVOKED, DumpState.PENDING)
        rows, drafts = [], []
        for decision in decisions:
            dump = known.rows[decision.dump.dump_id]
            name = export_name_of(self._config, dump)
            old = kept.get((dump.watch, name))
            replaces = old.id if old is not None and old.vm == dump.vm else None
            drafts.append(_Draft(dump, name, replaces, swaps.get(dump.vm or "")))
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
                    "since_id": _first_of(swaps.get(dump.vm or "")),
                    "forced": known.known[dump.vm].forced if dump.vm in known.known else None,
                }
            )
        ids = ledger.charge(connection, rows, now)
        # One that the storage has dropped had its end, and lives again.
        released = {"state": DumpState.RELEASED, "reason": None, "ended_at": None}
        dumps.change_many(connection, [draft.dump.id for draft in drafts], **released)
        return [self._grant_of(link_id, draft) for link_id, draft in zip(ids, drafts, strict=True)]

    def _most_names(self, dump: dumps.DumpRow) -> int | None:
        """One that leaves once more has its kept link as a second name."""
        if self._config.watch(dump.watch).links is Links.ANY:
            return None
        return 1 + self._standing[dump.id]

    def _grant_of(self, link_id: int, draft: _Draft) -> Grant:
        dump, name, replaces, swaps = draft
        watch, identity = self._config.watch(dump.watch), self._identities[dump.id]
        may_replace = replaces is not None
        most = self._most_names(dump)
        request = LinkRequest(link_id, watch.path, dump.path, name, identity, may_replace, watch.publish, most)
        return Grant(link_id, dump.id, dump.vm or "", dump.watch, request, replaces, swaps)

    def link(self, grants: Sequence[Grant], clock: Clock) -> list[Failed]:
        """Makes the links and records what became of each.

        They are dated when all of them stand: a sync that starts while they are made may miss any of them, and a
        report of what stood at its start must not speak of one that was made after.
        """
        outcomes: dict[int, Published | LinkFailure] = {}
        outcomes.update(self._clear_the_way([grant for grant in grants if grant.clears]))
        by_watch: dict[str, list[Grant]] = defaultdict(list)
        for grant in grants:
            if grant.link_id not in outcomes:
                by_watch[grant.watch].append(grant)
        for watch, some in by_watch.items():
            outcomes.update(self.tree(watch).publish([grant.request for grant in some]))
        with self._state.write() as connection:
            return _record(connection, grants, outcomes, clock.now().wall)

    def _clear_the_way(self, grants: Sequence[Grant]) -> dict[int, LinkFailure]:
        """Removes unread links that stand under another name than what takes their place: never both at once.

        Returns those of ``grants`` that cannot be linked, since theirs does not go.
        """
        old = [grant.swaps for grant in grants if grant.swaps is not None]
        if not old:
            return {}
        with self._state.read() as connection:
            gone = {link.id for link in withdraw(connection, self._config, old)}
        with self._state.write() as connection:
            ledger.change_links(connection, gone, in_tree=False)
        detail = "the link that it takes the place of cannot be removed"
        stuck = [grant for grant in grants if grant.swaps is not None and grant.swaps.id not in gone]
        return {grant.link_id: LinkFailure(Reason.LINK_ERROR, detail, proven_absent=True) for grant in stuck}


def _first_of(swapped: LinkRow | None) -> int | None:
    return None if swapped is None else swapped.since_id or swapped.id


def end_swapped(connection: Connection, grants: Sequence[Grant], now: float) -> None:
    """Gives the charges of the links back whose place these have taken: nobody has read them."""
    ids = [grant.swaps.id for grant in grants if grant.swaps is not None]
    detail = "nobody had read it, and a newer dump took its place"
    ledger.change_links(connection, ids, state=LinkState.VOID, in_tree=False, ended_at=now, detail=detail)


def _change_swapped(connection: Connection, links: Iterable[LinkRow], state: LinkState, dump: DumpState) -> None:
    """Until what takes their place stands they are charged as before: no crash leaves more than is charged."""
    found = list(links)
    ledger.change_links(connection, [link.id for link in found], state=state)
    ids = [link.dump_id for link in found if link.dump_id is not None]
    dumps.change_many(connection, ids, state=dump, reason=None, detail="")


def _record(
    connection: Connection, grants: Sequence[Grant], outcomes: dict[int, Published | LinkFailure], now: float
) -> list[Failed]:
    made = [(grant, one) for grant in grants if isinstance(one := outcomes[grant.link_id], Published)]
    replaced = [grant.replaces for grant, _ in made if grant.replaces is not None]
    ledger.change_links(connection, replaced, in_tree=False)
    end_swapped(connection, [grant for grant, _ in made], now)
    ledger.set_linked(connection, [(grant.link_id, one.ctime_ns) for grant, one in made], now)
    ledger.set_copied(connection, {grant.link_id: one.copy for grant, one in made if one.copy is not None})
    vms.end_force(connection, [grant.link_id for grant, _ in made])
    dumps.change_many(connection, [grant.dump_id for grant, _ in made], state=DumpState.LINKED)
    counters.count(connection, "released_dumps", len(made))
    counters.count(connection, "released_bytes", sum(grant.request.identity.bytes for grant, _ in made))
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
    counters.count(connection, "link_failures")
    if failure.proven_absent and grant.swaps is not None:
        _record_failed_swap(connection, grant, grant.swaps, now)
    if failure.proven_absent:  # only then is the charge given back
        ledger.change_link(connection, grant.link_id, state=LinkState.VOID, ended_at=now, detail=failure.detail)
        _reject(connection, grant.dump_id, failure)


def _record_failed_swap(connection: Connection, grant: Grant, old: LinkRow, now: float) -> None:
    """The old link stands as it did, unless it had to go first."""
    if ledger.is_in_tree(connection, old.id):
        _change_swapped(connection, [old], LinkState.LINKED, DumpState.LINKED)
    else:
        end_swapped(connection, [grant], now)


def _reject(connection: Connection, dump_id: int, failure: LinkFailure) -> None:
    """The scan looks again at whatever has a reason, so that a passing fault is tried again by the next pass."""
    dumps.change(
        connection,
        dump_id,
        state=failure.reason.dump_state,
        reason=failure.reason,
        detail=failure.detail,
    )
