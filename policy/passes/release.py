"""From a plan to links: charged in the ledger first, then linked, then recorded."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from core import failpoints
from core.clock import Clock, Instant
from core.config.settings import Config
from core.enums import DumpState, Links, LinkState
from core.filenames import printable
from core.fs.fingerprint import Identity
from core.reasons import Reason
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
class Release:
    """One released dump: its charge is in the ledger.

    ``replaces`` is the ledger's row of the link under its name, ``supersedes`` the unread link of its VM whose place
    and bytes it takes.
    """

    link_id: int
    dump_id: int
    vm: str
    watch: str
    request: LinkRequest
    replaces: int | None
    supersedes: LinkRow | None = None

    @property
    def must_clear(self) -> bool:
        """Whether that link has another name, and must go before this one comes."""
        return self.supersedes is not None and self.supersedes.id != self.replaces


class _Draft(NamedTuple):
    """What becomes a release when its row of the ledger has its number."""

    dump: dumps.DumpRow
    name: str
    replaces: int | None
    supersedes: LinkRow | None
    row: dict[str, object]


@dataclass(frozen=True, slots=True)
class Failed:
    """A released dump that could not be linked."""

    dump_id: int
    vm: str
    dump: str
    reason: Reason
    detail: str


#: Why a dump does not pass the checks that the configuration asks of it; None if it does. Given its marker's body.
Verify = Callable[[dumps.DumpRow, str | None], str | None]


class Releaser:
    """Releases the dumps of one pass. Used under the pass lock."""

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
        """A last look before anything is charged. Returns the ids of what cannot be taken after all, and records why.

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
            unverified = dumps.unverified(connection, self._to_verify(rows))
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
                    log.error("%s: not released: %s", printable(row.path), fault)
                    dumps.change(connection, row.id, state=DumpState.BAD, reason=Reason.VERIFY_FAILED, detail=fault)
        return failing

    def _to_verify(self, rows: Sequence[dumps.DumpRow]) -> list[int]:
        """The ids of those for which there are checks, looked up once for each rule. Of others nothing is written."""
        rules = {row.id: (row.vm if row.vm in self._config.vms else "", row.backup_set) for row in rows}
        with_checks = {one for one in set(rules.values()) if self._config.verification_of(*one).checks}
        return [dump_id for dump_id, rule in rules.items() if rule in with_checks]

    def charge(
        self, connection: Connection, known: Facts, decisions: Sequence[Decision], day: int, now: Instant
    ) -> list[Release]:
        """Charges the day: one row of the ledger for each of the checked decisions. In the caller's transaction."""
        if not decisions:
            return []
        superseded = [known.unread_links[one.dump.vm] for one in decisions if one.dump.vm in known.unread_links]
        kept = {(link.watch, link.export_name): link for link in (*ledger.kept(connection), *superseded)}
        _change_superseded(connection, superseded, LinkState.REVOKED, DumpState.PENDING)
        drafts = [self._draft(known, decision, kept, day) for decision in decisions]
        ids = ledger.charge(connection, [draft.row for draft in drafts], now)
        # One that the storage has dropped had its end, and lives again.
        released = {"state": DumpState.RELEASED, "reason": None, "ended_at": None}
        dumps.change_many(connection, [draft.dump.id for draft in drafts], **released)
        return [self._release_of(link_id, draft) for link_id, draft in zip(ids, drafts, strict=True)]

    def _draft(self, known: Facts, decision: Decision, kept: Mapping[tuple[str, str], LinkRow], day: int) -> _Draft:
        dump = known.rows[decision.dump.dump_id]
        name = export_name_of(self._config, dump)
        old, superseded = kept.get((dump.watch, name)), known.unread_links.get(dump.vm or "")
        row = {
            "day": day,
            "watch": dump.watch,
            "dump_id": dump.id,
            "vm": dump.vm,
            "export_name": name,
            "fingerprint": dump.fingerprint,
            "bytes": dump.bytes,
            "debt_bytes": decision.debt,
            "since_id": None if superseded is None else superseded.since_id or superseded.id,
            "forced": known.known[dump.vm].forced if dump.vm in known.known else None,
        }
        return _Draft(dump, name, old.id if old is not None and old.vm == dump.vm else None, superseded, row)

    def _most_names(self, dump: dumps.DumpRow) -> int | None:
        """One that leaves once more has its kept link as a second name."""
        if self._config.watch(dump.watch).links is Links.ANY:
            return None
        return 1 + self._standing[dump.id]

    def _release_of(self, link_id: int, draft: _Draft) -> Release:
        dump, name, replaces, supersedes, _ = draft
        watch, identity = self._config.watch(dump.watch), self._identities[dump.id]
        may_replace = replaces is not None
        most = self._most_names(dump)
        request = LinkRequest(link_id, watch.path, dump.path, name, identity, may_replace, watch.publish, most)
        return Release(link_id, dump.id, dump.vm or "", dump.watch, request, replaces, supersedes)

    def link(self, releases: Sequence[Release], clock: Clock) -> list[Failed]:
        """Makes the links and records what became of each.

        They are dated when all of them stand: a sync that starts while they are made may miss any of them, and a
        report of what stood at its start must not speak of one that was made after.
        """
        outcomes: dict[int, Published | LinkFailure] = {}
        outcomes.update(self._clear_the_way([release for release in releases if release.must_clear]))
        by_watch: dict[str, list[Release]] = defaultdict(list)
        for release in releases:
            if release.link_id not in outcomes:
                by_watch[release.watch].append(release)
        for watch, some in by_watch.items():
            outcomes.update(self.tree(watch).publish([release.request for release in some]))
        with self._state.write() as connection:
            return _record(connection, releases, outcomes, clock.now().wall)

    def _clear_the_way(self, releases: Sequence[Release]) -> dict[int, LinkFailure]:
        """Removes unread links that stand under another name than what takes their place: never both at once.

        Returns those of ``releases`` that cannot be linked, since theirs does not go.
        """
        old = [release.supersedes for release in releases if release.supersedes is not None]
        if not old:
            return {}
        with self._state.read() as connection:
            gone = {link.id for link in withdraw(connection, self._config, old)}
        with self._state.write() as connection:
            ledger.change_links(connection, gone, in_tree=False)
        detail = "the link that it replaces cannot be removed"
        return {
            release.link_id: LinkFailure(Reason.LINK_ERROR, detail, proven_absent=True)
            for release in releases
            if release.supersedes is not None and release.supersedes.id not in gone
        }


def end_superseded(connection: Connection, releases: Sequence[Release], now: float) -> None:
    """Gives the charges of the links back that these have superseded: nobody has read them."""
    ids = [release.supersedes.id for release in releases if release.supersedes is not None]
    detail = "nobody had read it, and a newer dump replaced it"
    ledger.change_links(connection, ids, state=LinkState.VOID, in_tree=False, ended_at=now, detail=detail)


def _change_superseded(connection: Connection, links: Sequence[LinkRow], state: LinkState, dump: DumpState) -> None:
    """Until what takes their place stands they are charged as before: no crash leaves more than is charged."""
    ledger.change_links(connection, [link.id for link in links], state=state)
    ids = [link.dump_id for link in links if link.dump_id is not None]
    dumps.change_many(connection, ids, state=dump, reason=None, detail="")


def _record(
    connection: Connection, releases: Sequence[Release], outcomes: dict[int, Published | LinkFailure], now: float
) -> list[Failed]:
    made = [(release, one) for release in releases if isinstance(one := outcomes[release.link_id], Published)]
    replaced = [release.replaces for release, _ in made if release.replaces is not None]
    ledger.change_links(connection, replaced, in_tree=False)
    end_superseded(connection, [release for release, _ in made], now)
    ledger.set_linked(connection, [(release.link_id, one.ctime_ns) for release, one in made], now)
    ledger.set_copied(connection, {release.link_id: one.copy for release, one in made if one.copy is not None})
    vms.end_force(connection, [release.link_id for release, _ in made])
    dumps.change_many(connection, [release.dump_id for release, _ in made], state=DumpState.LINKED)
    counters.count(connection, "released_dumps", len(made))
    counters.count(connection, "released_bytes", sum(release.request.identity.bytes for release, _ in made))
    failed = []
    for release in releases:
        failure = outcomes[release.link_id]
        if isinstance(failure, LinkFailure):
            _record_failure(connection, release, failure, now)
            name = printable(release.request.path)
            failed.append(Failed(release.dump_id, release.vm, name, failure.reason, failure.detail))
    return failed


def _record_failure(connection: Connection, release: Release, failure: LinkFailure, now: float) -> None:
    name = printable(release.request.path)
    log.error("%s: could not be released: %s: %s", name, failure.reason, failure.detail)
    counters.count(connection, "link_failures")
    if failure.proven_absent and release.supersedes is not None:
        _record_failed_superseding(connection, release, release.supersedes, now)
    if failure.proven_absent:  # only then is the charge given back
        ledger.change_link(connection, release.link_id, state=LinkState.VOID, ended_at=now, detail=failure.detail)
        _reject(connection, release.dump_id, failure)


def _record_failed_superseding(connection: Connection, release: Release, old: LinkRow, now: float) -> None:
    """The old link stands as it did, unless it had to go first."""
    if ledger.is_in_tree(connection, old.id):
        _change_superseded(connection, [old], LinkState.LINKED, DumpState.LINKED)
    else:
        end_superseded(connection, [release], now)


def _reject(connection: Connection, dump_id: int, failure: LinkFailure) -> None:
    """The scan looks again at whatever has a reason, so that a passing fault is tried again by the next pass."""
    dumps.change(
        connection,
        dump_id,
        state=failure.reason.dump_state,
        reason=failure.reason,
        detail=failure.detail,
    )
