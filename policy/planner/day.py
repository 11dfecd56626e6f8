"""When a day is over, and what of earlier days still counts.

Times are seconds since the epoch as the wall clock tells them; ages are spans in seconds of which the
caller knows that they really passed, as far as anything can know it (``core.clock.Instant``). The wall
clock may be wrong. It may cost a day; that it never gives one stands on four legs:

* A day is a number in the ledger and only one is open. A clock that steps back opens no old day again: no
  boundary lies between an opening that is still to come and now.
* ``ends = "sync"``: a clock that steps ahead makes no day older, since ``at_least`` is compared with a
  trusted age. It may cut ``quiet`` short and so end a day while its sync still runs; the day has then had
  its sync and its ``at_least`` all the same, and what was not read stays outstanding and counts against the
  next one.
* ``ends = "at"``: a clock that steps ahead over a boundary ends the day; but what was released in the last 20
  trusted hours counts as used in the new one too.
* A stamp from far in the future would hold everything up until its time comes. It is set to now: the day
  begins again, with what it has used.

Only a reboot into a clock that is ahead cannot be told from time that passed. Even then whatever was not
fetched is outstanding, so that the next sync finds no more than one limit that it has not had.
"""

import datetime
from dataclasses import dataclass
from typing import NamedTuple

from core.enums import DayEnd
from core.units import last_reached

HOUR = 3600.0

#: With ``ends = "at"`` what was released so long ago counts as used, in whatever day that was. Below 23
#: hours, the shortest date of a year: else a daily pass would find yesterday's dumps in its way.
COUNTS_FOR = 20 * HOUR

#: With ``confirm = "presumed"`` a link so old at a day's end is held to have arrived.
PRESUMED_AFTER = 20 * HOUR

#: A stamp further in the future is the trace of a wrong clock; a zone that was set wrong is less than this.
FUTURE_ALLOWED = 25 * HOUR


@dataclass(frozen=True, slots=True)
class OpenDay:
    """The open day, as far as its end depends on it.

    ``age`` is the trusted time since it was opened, ``opened_wall`` what the wall clock said then.
    ``sync_reported`` is true when a sync pass was reported since. ``last_read`` is when a link was last
    read since then, None when none was or when reads are no evidence here. ``needs_no_sync`` is true when it lets
    nothing out and a day that opened now would.
    """

    number: int
    age: float
    opened_wall: float
    sync_reported: bool = False
    last_read: float | None = None
    needs_no_sync: bool = False


@dataclass(frozen=True, slots=True)
class DayRules:
    """What ends a day; the spans matter for ``ends = "sync"``, the time and its zone for ``ends = "at"``."""

    ends: DayEnd
    at_least: float
    quiet: float
    at: datetime.time
    zone: datetime.tzinfo


class Mended(NamedTuple):
    """A stamp that can be worked with; ``wrong`` is true when it had to be set to now."""

    stamp: float
    wrong: bool


def is_over(day: OpenDay, rules: DayRules, now: float) -> bool:
    """Whether ``day`` has ended at ``now``, by a sync that has passed or by a local time that was reached.

    A day of the timetable without a sync does not wait for one: it would keep the next day from having its limit.
    """
    if rules.ends is DayEnd.AT:
        return last_reached(rules.at, rules.zone, now) > day.opened_wall
    return day.age >= rules.at_least and (day.needs_no_sync or _sync_has_passed(day, rules, now))


def counts_as_used(day: int, current_day: int, age_of_grant: float, ends: DayEnd) -> bool:
    """Whether what was released on ``day`` counts as used in ``current_day`` (both are numbers of days).

    ``age_of_grant`` is the trusted time in seconds since it was charged.
    """
    return day >= current_day or (ends is DayEnd.AT and age_of_grant < COUNTS_FOR)


def mend_stamp(stamp: float, now: float) -> Mended:
    """``stamp``, or ``now`` where it lies so far ahead that only a wrong clock can have set it."""
    wrong = stamp - now > FUTURE_ALLOWED
    return Mended(now if wrong else stamp, wrong)


def _sync_has_passed(day: OpenDay, rules: DayRules, now: float) -> bool:
    read_and_quiet = day.last_read is not None and now - day.last_read >= rules.quiet
    return day.sync_reported or read_and_quiet
