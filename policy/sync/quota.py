"""The line's day: how many bytes may still be sent today, and the loan of them to one sync.

The ledger charges what is let out at its size; this counts what crosses, rsync's own words included, since it is the
line that has the limit. Only what is sent counts; what the storage answers is recorded beside.
"""

from core.clock import Instant
from core.config.settings import Config
from core.enums import DayEnd
from core.state import ledger, syncs
from core.state.database import Connection, State
from core.state.ledger import DayRow
from policy.passes import budget
from policy.planner.day import COUNTS_FOR

#: A sync that is killed has lost at most one part in so many of its bytes: what was lent counts as sent.
_PORTIONS = 128
_LEAST_PORTION = 64 * 1024


def left_today(connection: Connection, config: Config, day: DayRow, now: Instant) -> int:
    """Bytes that may still be sent in ``day``: its limit less the reserve, less what its syncs have sent.

    What was let out above the limit, by force or in debt, may cross it too.
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


class ByteBudget:
    """The bytes of one sync. A portion is in the state before it may cross, so a kill wastes and never exceeds."""

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
