"""How many bytes may still be sent today, and the lease of them to one sync.

The ledger charges what is released at its size; this counts the bytes transferred, rsync's own words included, since
it is the link to the storage that has the limit. Only what is sent counts; what the storage answers is recorded
beside.
"""

from core.clock import Instant
from core.config.settings import Config
from core.enums import DayEnd
from core.state import ledger, slices, syncs
from core.state.database import Connection, State
from core.state.ledger import DayRow
from policy.passes import budget, facts
from policy.passes import slices as slicing
from policy.planner.day import COUNTS_FOR
from policy.planner.model import Day, Dump
from policy.planner.oversize import kept_free

#: A sync that is killed has lost at most one part in so many of its bytes: what was leased counts as sent.
_PORTIONS = 128
_LEAST_PORTION = 64 * 1024


def left_today(connection: Connection, config: Config, day: DayRow, now: Instant) -> int:
    """Bytes that may still be sent in ``day``: its limit less the reserve, less what its syncs have sent.

    What was released above the limit, by force or in debt, may be sent too.
    """
    whole = max(0, day.limit_bytes - day.reserve_bytes)
    leased = syncs.leased(connection, day.number, now, COUNTS_FOR if config.day.ends is DayEnd.AT else 0.0)
    if ledger.exceeds_its_day(connection):
        whole = max(whole, leased + ledger.outstanding_total(connection).bytes)
    return max(0, whole - leased)


def open_day(connection: Connection, config: Config, now: Instant) -> tuple[DayRow, int]:
    """The open day, and what may still be sent in it."""
    day = budget.current(connection, config, now)
    return day, left_today(connection, config, day, now)


def set_slices(connection: Connection, config: Config, now: Instant) -> None:
    """Sets of the open day what a pass would keep free for dumps under way that have no slice of it yet.

    No pass may have run on it: a day may begin with the sync itself, and on the next one again. A whole link is carried
    over, a slice is a day's. For the holder of the pass lock. What nobody else wants is left to the pass.
    """
    row = budget.current(connection, config, now)
    without = [one for one in slices.under_way(connection, row.number) if not one.today]
    if not without:
        return
    progress = slicing.progress(connection, is_syncing=False)
    dumps = [
        Dump(one.dump_id, "", "", one.bytes, 0.0, outstanding=True, progress=progress.get(one.dump_id))
        for one in without
    ]
    day = Day(row.number, row.opened.wall, budget.account(connection, config, row, now))
    largest_day = max(day.account.capacity, facts.rules_of(config, day, now.wall).largest_day)
    kept = kept_free(dumps, day.account, largest_day)
    slices.put(connection, {one.link_id: kept[one.dump_id] for one in without}, row.number, now)


class ByteBudget:
    """The bytes of one sync. A portion is in the state before it may be sent, so a kill wastes and never exceeds."""

    def __init__(self, state: State, sync_id: int, size: int) -> None:
        self.size = size
        self.spent = 0
        self._state = state
        self._sync_id = sync_id
        self._leased = 0
        self._portion = max(_LEAST_PORTION, size // _PORTIONS)

    @property
    def left(self) -> int:
        """Bytes that no run of rsync has sent yet."""
        return self.size - self.spent

    def lease(self, sent: int, at_most: int) -> int:
        """Bytes that the run which has sent ``sent`` may send in all, and ``at_most`` so many; no more: it has all."""
        end = self.spent + min(at_most, self.left)
        if self._leased < end and self.spent + sent > self._leased - self._portion:
            self._record(min(end, self.spent + sent + 2 * self._portion))
        return min(self._leased, end) - self.spent

    def settle(self, sent: int) -> None:
        """A run has ended and has sent so many bytes."""
        self.spent += sent
        self._record(self.spent)

    def _record(self, leased: int) -> None:
        with self._state.write() as connection:
            syncs.lease(connection, self._sync_id, leased)
        self._leased = leased
