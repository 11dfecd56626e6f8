"""The open day and its account. The rules are the planner's; here they meet the state."""

import datetime
import logging

from core.clock import Instant
from core.config.settings import Config
from core.enums import DayEnd
from core.state import ledger, slices, syncs
from core.state.database import Connection
from core.state.ledger import DayRow
from core.units import last_reached
from policy.planner import day as rules
from policy.planner.model import DayAccount
from policy.reconcile.confirm import confirm
from policy.reconcile.confirm_modes import confirm_mode
from policy.reconcile.mounts import recorded_unmounted

log = logging.getLogger("tidegate.policy")


def current(connection: Connection, config: Config, now: Instant) -> DayRow:
    """The open day, after the one before was closed if it is over. The first call ever opens day 1."""
    day = ledger.open_day(connection)
    if day is None:
        return _open(connection, config, 1, now)
    day = _with_lowered_limit(connection, config, _mend(connection, day, now))
    if not rules.is_over(_facts(connection, config, day, now), _rules(config), now.wall):
        return day
    mode = confirm_mode(config)
    confirm(connection, mode.confirmed_at_day_end(connection, config, now), mode.evidence, now.wall)
    ledger.change_day(connection, day.number, closed_at=now.wall, closed_by=config.day.ends)
    return _open(connection, config, day.number + 1, now)


def account(connection: Connection, config: Config, day: DayRow, now: Instant) -> DayAccount:
    """The day's account in bytes: limit, reserve, outstanding of whatever day, used in this one, debt."""
    under_way = slices.under_way(connection, day.number)
    return DayAccount(
        limit=day.limit_bytes,
        reserve=day.reserve_bytes,
        outstanding=ledger.outstanding_total(connection).bytes - sum(one.bytes for one in under_way),
        used=_used(connection, config.day.ends, day, now),
        debt=ledger.debt(connection, before=day.number),
        owed=ledger.debt(connection, before=day.number + 1),
        sliced=sum(one.today for one in under_way),
    )


def store(connection: Connection, config: Config, now: Instant) -> None:
    """Stores what is used of the day with it: whoever shows it does no accounts."""
    day = current(connection, config, now)
    counted = account(connection, config, day, now)
    debt = max(counted.debt, counted.owed)
    ledger.change_day(connection, day.number, used_bytes=counted.used + counted.debt, debt_bytes=debt)


def _used(connection: Connection, ends: DayEnd, day: DayRow, now: Instant) -> int:
    if ends is DayEnd.SYNC:  # what was released on earlier days does not count, and the ledger grows for years
        links = ledger.ended_of_day(connection, day.number)
    else:
        links = ledger.ended_and_recent(connection, day.number, now, rules.COUNTS_FOR)
    sliced = slices.sliced_links(connection)
    whole = sum(
        link.bytes
        for link in links
        if link.id not in sliced and rules.counts_as_used(link.day, day.number, now.elapsed_since(link.released), ends)
    )
    return whole + (_used_by_slices(connection, ends, day, now) if sliced else 0)


def _used_by_slices(connection: Connection, ends: DayEnd, day: DayRow, now: Instant) -> int:
    """A slice of this day is used when its link has its end; one of an earlier day that still counts is, anyway."""
    return sum(
        one.bytes
        for one in slices.charges(connection, day.number if ends is DayEnd.SYNC else 0)
        if not (one.day == day.number and one.is_outstanding)
        and rules.counts_as_used(one.day, day.number, now.elapsed_since(one.released), ends)
    )


def _open(connection: Connection, config: Config, number: int, now: Instant) -> DayRow:
    return ledger.add_day(connection, number, now, _limit(config, now), config.limit.reserve)


def _limit(config: Config, now: Instant) -> int:
    """The limit in bytes of a day that opens now: that of the weekday, with ``ends = "at"`` of its boundary."""
    ends_at, zone = config.day.ends is DayEnd.AT, config.day.timezone
    opens = last_reached(config.day.at, zone, now.wall) if ends_at else now.wall
    return config.limit.on(datetime.datetime.fromtimestamp(opens, zone).weekday())


def _with_lowered_limit(connection: Connection, config: Config, day: DayRow) -> DayRow:
    """A limit that was lowered, or a reserve that was raised, holds at once; a higher limit from the next day on."""
    limit = min(day.limit_bytes, _limit(config, day.opened))
    reserve = max(day.reserve_bytes, config.limit.reserve)
    if (limit, reserve) == (day.limit_bytes, day.reserve_bytes):
        return day
    ledger.change_day(connection, day.number, limit_bytes=limit, reserve_bytes=reserve)
    return day._replace(limit_bytes=limit, reserve_bytes=reserve)


def _mend(connection: Connection, day: DayRow, now: Instant) -> DayRow:
    opened, wrong = rules.mend_stamp(day.opened.wall, now.wall)
    if not wrong:
        return day
    log.warning("day %d was opened in the future: the clock was wrong; it counts as opened now", day.number)
    ledger.change_day(connection, day.number, opened_at=now.wall, opened_boot=now.boot_id, opened_uptime=now.uptime)
    return DayRow(day.number, Instant(opened, now.boot_id, now.uptime), day.limit_bytes, day.reserve_bytes)


def _facts(connection: Connection, config: Config, day: DayRow, now: Instant) -> rules.OpenDay:
    return rules.OpenDay(
        number=day.number,
        age=now.elapsed_since(day.opened),
        opened_wall=day.opened.wall,
        sync_reported=_all_reported(connection, config, day),
        last_read=confirm_mode(config).last_read_of_sync(connection, day.opened.wall, now.wall),
        needs_no_sync=day.limit_bytes <= day.reserve_bytes < _limit(config, now),
    )


def _rules(config: Config) -> rules.DayRules:
    settings = config.day
    return rules.DayRules(settings.ends, settings.at_least, settings.quiet, settings.at, settings.timezone)


def _all_reported(connection: Connection, config: Config, day: DayRow) -> bool:
    """True when every export tree was reported since the day was opened; one that is away cannot be fetched from."""
    reported = {one.watch for one in syncs.reports(connection, since_day=day.number)}
    there = {watch.name for watch in config.watches} - recorded_unmounted(connection, config)
    return None in reported or (bool(reported) and there <= reported)
