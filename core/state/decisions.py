"""What the last pass decided, made true for now.

A pass replaces all rows in the transaction in which it releases. What happens between passes overrides them when they
are read, so that nothing is shown that is no longer so:

======================================  ====================================================================
since the pass                          what is read
======================================  ====================================================================
a dump was recorded                     it has no row: ``next_pass``
its marker or files were looked at      the reason recorded with the dump; where that went: ``next_pass``
it was released or adopted              ``outstanding``
it has its end                          nothing; the copy of a VM without a newer dump: ``already_offsite``
its VM is on hold                       ``on_hold`` where it could leave else
the link that it waits for has its end  ``next_pass``; and so when the time of backing off is over
force, unhold, mark-sent, rename        ``forget`` deletes the rows of the VM: ``next_pass``
its VM was retired                      nothing
======================================  ====================================================================

Who was in the queue stays there, with the forecast of that pass. The sentences hold no ages. What of a day is left
follows from its row and the links (``day_status``); how old a copy is, from the rows of VMs.
"""

import os
from collections.abc import Collection, Iterable
from sqlite3 import Connection
from typing import NamedTuple

from core.enums import DumpState, ReleaseRule
from core.reasons import Reason, Verdict
from core.state import ledger, slices
from core.state.statements import json_list, placeholders, update, words

# --- what a pass writes


class Decided(NamedTuple):
    """One decision of a pass: a row of the table ``decision`` but its place, which is its place among the others."""

    dump_id: int
    reason: Reason
    detail: str
    in_queue: bool = False
    forecast_day: int | None = None
    rule: ReleaseRule | None = None
    slice_bytes: int | None = None


_PUT = f"INSERT INTO decision (place, {', '.join(Decided._fields)}) VALUES (?, {placeholders(Decided._fields)})"
_PUT_FORECAST = "INSERT INTO forecast (vm, day, bytes, dump_time) VALUES (?, ?, ?, ?)"


def replace(connection: Connection, decided: Iterable[Decided]) -> None:
    """Puts the decisions of a pass, in the order of its plan, in place of those of the pass before."""
    connection.execute("DELETE FROM decision")
    connection.executemany(_PUT, ((place, *one) for place, one in enumerate(decided)))


def forget(connection: Connection, vms: Collection[str]) -> None:
    """Leaves what was decided about the dumps of these VMs to the next pass."""
    connection.execute(
        "DELETE FROM decision WHERE dump_id IN "
        "(SELECT id FROM dump WHERE ended_at IS NULL AND vm IN (SELECT value FROM json_each(?)))",
        [json_list(vms)],
    )
    connection.execute("DELETE FROM forecast WHERE vm IN (SELECT value FROM json_each(?))", [json_list(vms)])


class ForecastRow(NamedTuple):
    """``vm`` is expected to leave with ``bytes`` so many days after the pass, which is day 0.

    ``dump_time`` is the point in time that these hold; None: no day of the forecast shows it.
    """

    vm: str
    day: int
    bytes: int
    dump_time: float | None = None


def replace_forecast(connection: Connection, pass_id: int, days: int, coming: Iterable[ForecastRow]) -> None:
    """Puts what this pass expects of so many ``days`` in place of what was expected before."""
    connection.execute("DELETE FROM forecast")
    connection.executemany(_PUT_FORECAST, coming)
    update(connection, "pass", {"forecast_days": days}, "id = ?", pass_id)


# --- what everybody reads


class DecisionRow(NamedTuple):
    """A dump without an end, or the newest copy of a VM that has nothing newer, and what is decided about it now.

    ``vm`` None: its marker is too bad to name one. ``detail`` "": the ``reason.label`` is all there is to say.
    ``position`` is its place in the queue, 1 is next; ``forecast_day`` the number of the day on which it is expected
    to leave. ``rule`` is the rule by which the last pass released it. ``slice_bytes`` may go of it on the pass's day,
    where it leaves in slices. ``target`` is the off-site age in seconds that its VM is meant to stay under.
    """

    dump_id: int
    vm: str | None
    backup_set: str | None
    watch: str
    path: str
    bytes: int
    dump_time: float
    state: DumpState
    reason: Reason
    detail: str
    position: int | None
    forecast_day: int | None
    rule: ReleaseRule | None
    slice_bytes: int | None
    target: float | None

    @property
    def verdict(self) -> Verdict:
        """Whether it leaves by itself, when a person acts, or need not."""
        return self.reason.verdict


class _Joined(NamedTuple):
    """A dump with its VM and its stored decision."""

    dump_id: int
    vm: str | None
    backup_set: str | None
    watch: str
    path: bytes
    bytes: int
    dump_time: float
    state: str
    own_reason: str | None
    own_detail: str
    has_ended: int
    on_hold: int | None
    backing_off_until: float | None
    is_dropped: int | None
    target: float | None
    place: int | None
    reason: str | None
    detail: str | None
    in_queue: int | None
    forecast_day: int | None
    rule: str | None
    slice_bytes: int | None


_COLUMNS = (
    "dump.id, dump.vm, vm.backup_set, dump.watch, dump.path, dump.bytes, dump.dump_time, dump.state, dump.reason, "
    "dump.detail, dump.ended_at IS NOT NULL, vm.on_hold, vm.backing_off_until, vm.is_dropped, vm.target, "
    "decision.place, decision.reason, decision.detail, decision.in_queue, decision.forecast_day, decision.rule, "
    "decision.slice_bytes FROM dump LEFT JOIN decision ON decision.dump_id = dump.id"
)
_WITHOUT_END = (
    f"SELECT {_COLUMNS} LEFT JOIN vm ON vm.name = dump.vm WHERE dump.ended_at IS NULL "
    "AND (dump.vm IS NULL OR (vm.name IS NOT NULL AND vm.retired_at IS NULL))"
)
_COPIES = (
    f"SELECT {_COLUMNS} JOIN vm ON vm.offsite_dump_id = dump.id WHERE dump.ended_at IS NOT NULL "
    "AND vm.retired_at IS NULL"
)
_OF_ONE = " AND dump.vm = ?"
_STATES = words(DumpState)
_REASONS = {None: None} | words(Reason)
_RULES = {None: None} | words(ReleaseRule)
#: Of what is not recorded with the dump, what holds whether or not its VM is on hold.
_HOLDS_ANYWAY = frozenset({Reason.NO_GAIN, Reason.SUPERSEDED, Reason.OVERSIZE, Reason.AMBIGUOUS, Reason.ON_HOLD})


def read(connection: Connection, now: float, vm: str | None = None) -> list[DecisionRow]:
    """What is decided about each dump, of all VMs or of one, as it is at ``now`` (seconds since the epoch).

    In the order of the plan: what waits in the queue first, then the rest by VM; what no pass has decided about last.
    """
    rows = _joined(connection, vm)
    truth = _Truth(connection, now)
    found, position = [], 0
    for row in rows:
        reason, detail = truth.of(row)
        is_queued = reason is Reason.LIMIT_REACHED and row.in_queue == 1
        position += is_queued
        is_stored = reason is not Reason.NEXT_PASS
        found.append(
            DecisionRow(
                row.dump_id, row.vm, row.backup_set, row.watch, os.fsdecode(row.path), row.bytes, row.dump_time,
                _STATES[row.state], reason, detail, position if is_queued else None,
                row.forecast_day if is_stored else None, _RULES[row.rule], row.slice_bytes, row.target,
            )
        )  # fmt: skip
    return found


def _joined(connection: Connection, vm: str | None) -> list[_Joined]:
    """Dumps without an end, and the copies of VMs that have none, by their places in the plan."""
    narrowed, given = ("", []) if vm is None else (_OF_ONE, [vm])
    rows = [_Joined._make(row) for row in connection.execute(_WITHOUT_END + narrowed, given)]
    waiting = {row.vm for row in rows}
    copies = map(_Joined._make, connection.execute(_COPIES + narrowed, given))
    rows += [row for row in copies if row.vm not in waiting]
    return sorted(rows, key=lambda row: (row.place is None, row.place, row.dump_id))


#: By the index of those few: by that of the VMs SQLite would read every link that ever was.
_OUTSTANDING = "SELECT DISTINCT vm FROM link INDEXED BY link_outstanding WHERE ended_at IS NULL"


class _Truth:
    """What is so now, where a pass has decided before."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._now = now
        self._outstanding = {vm for (vm,) in connection.execute(_OUTSTANDING)}
        self._down = {watch for (watch,) in connection.execute("SELECT watch FROM watch_status WHERE NOT up")}

    def of(self, row: _Joined) -> tuple[Reason, str]:
        """The reason and its sentence."""
        stored = _REASONS[row.reason]
        if row.has_ended and not row.is_dropped:
            return Reason.ALREADY_OFFSITE, row.detail or "" if stored is Reason.ALREADY_OFFSITE else ""
        state = _STATES[row.state]
        if state in (DumpState.RELEASED, DumpState.LINKED):
            is_its = stored in (Reason.RELEASED, Reason.OUTSTANDING)
            return Reason.OUTSTANDING, row.detail or "" if is_its else ""
        if own := _REASONS[row.own_reason] or Reason.of_state(state):
            return own, row.own_detail
        if stored is None or self._is_over(stored, row):
            stored = Reason.NEXT_PASS
        if row.on_hold and stored not in _HOLDS_ANYWAY:
            return Reason.ON_HOLD, ""
        return stored, "" if stored is Reason.NEXT_PASS else row.detail or ""

    def _is_over(self, stored: Reason, row: _Joined) -> bool:
        """Whether what kept it from leaving is no longer so; it has no reason of its own and no link."""
        match stored:
            case Reason.RELEASED:
                return True
            case Reason.OUTSTANDING:
                return row.vm not in self._outstanding
            case Reason.ON_HOLD:
                return not row.on_hold
            case Reason.BACKING_OFF:
                return row.backing_off_until is None or row.backing_off_until <= self._now
            case Reason.MISSING:  # with its watch folder
                return row.watch not in self._down
            case _:
                return stored.recorded


class Amount(NamedTuple):
    """How many dumps, of how many bytes in all."""

    dumps: int
    bytes: int


def not_released(connection: Connection) -> dict[Reason, Amount]:
    """What the last pass did not release, by its reasons."""
    rows = connection.execute(
        "SELECT decision.reason, count(*), sum(dump.bytes) FROM decision JOIN dump ON dump.id = decision.dump_id "
        f"WHERE decision.reason != '{Reason.RELEASED}' GROUP BY decision.reason"
    )
    return {Reason(reason): Amount(dumps, size) for reason, dumps, size in rows}


class Load(NamedTuple):
    """What the targets need of the limit, as the last pass found it.

    Above a ``density`` of 1 the limit cannot keep them; ``needed`` bytes a day could. A coming day has ``mean`` bytes
    on the average.
    """

    density: float
    needed: int
    mean: int


def set_load(connection: Connection, pass_id: int, found: Load) -> None:
    """As this pass found it."""
    update(
        connection,
        "pass",
        {"density": found.density, "needed_bytes": found.needed, "mean_bytes": found.mean},
        "id = ?",
        pass_id,
    )


def load(connection: Connection) -> Load | None:
    """None before the first pass."""
    row = connection.execute(
        "SELECT density, needed_bytes, mean_bytes FROM pass WHERE density IS NOT NULL ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Load(*row)


class StoredForecast(NamedTuple):
    """Which VMs leave on which of the coming ``days``, from the day of a pass on, which is 0: VM -> in their order."""

    decided_at: float
    days: int
    releases: dict[str, list[ForecastRow]]


def forecast(connection: Connection) -> StoredForecast | None:
    """As the last pass expected it; ``decided_at`` is when it began. None before the first one."""
    row = connection.execute(
        "SELECT started_at, forecast_days FROM pass WHERE forecast_days IS NOT NULL ORDER BY id DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    releases: dict[str, list[ForecastRow]] = {}
    for one in connection.execute("SELECT vm, day, bytes, dump_time FROM forecast ORDER BY vm, day"):
        releases.setdefault(one[0], []).append(ForecastRow._make(one))
    decided_at, days = row
    return StoredForecast(decided_at, days, releases)


class DayStatus(NamedTuple):
    """The account of the open day, in bytes; ``opened`` is in seconds since the epoch.

    ``outstanding`` are the links that are not confirmed, of whatever day, with what is set today for those that leave
    in slices. ``used`` is what was released on this day and has its end, and the ``debt`` of days before.
    """

    number: int
    opened: float
    limit: int
    reserve: int
    outstanding: int
    used: int
    debt: int

    @property
    def left(self) -> int:
        """Bytes that may still be released today."""
        return max(0, self.limit - self.reserve - self.outstanding - self.used)


def day_status(connection: Connection) -> DayStatus | None:
    """As it is now; None before the first day."""
    day = ledger.open_day(connection)
    if day is None:
        return None
    outstanding = slices.outstanding_bytes(connection, day.number)
    return DayStatus(
        day.number,
        day.opened.wall,
        day.limit_bytes,
        day.reserve_bytes,
        outstanding,
        day.used_bytes,
        day.debt_bytes,
    )
