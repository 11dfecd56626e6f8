"""A dump heavier than any day, sent in slices: half of each day is set aside for it, and what nobody else takes.

Where the storage pulls, a dump leaves whole or not at all; who pushes can send a part each day. The limit is then
never exceeded, there is no debt, and the others keep half of each day. One such dump is on its way at a time.

The rest of a dump that a day's last byte has cut short leaves by the same way, but has as much of the day as it needs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from core.enums import Oversize, Reason
from policy.planner import explanations
from policy.planner.eligibility import Candidate
from policy.planner.model import Day, DayAccount, Decision, Dump, Part, Rules, Slice
from policy.planner.oversize import SHARE, lateness, urgency
from policy.planner.staleness import DAY

#: One part in so many of a day is set aside.
SET_ASIDE = 2

#: How many coming days are looked at for the last slice.
HORIZON = 4000


def set_aside(size: int, sent: int, account: DayAccount) -> int:
    """Bytes that are kept free of today for a dump of ``size`` bytes of which ``sent`` have gone."""
    return min(size - sent, account.left, account.whole // SET_ASIDE)


def slice_of_today(size: int, sent: int, day: Day, rules: Rules, *, others: int = 0) -> Slice:
    """The slice of today; ``others`` are the bytes that all other dumps take of what is left of the day.

    The sizes that it leaves and takes sum to the dump: nothing is sent twice and nothing is left out.
    Raises ValueError where more was sent than there is.
    """
    if not 0 <= sent <= size:
        raise ValueError(f"{sent} of {size} bytes cannot have gone")
    return _slice(size, sent, min(size - sent, max(0, day.account.left - others)), day, rules)


def under_way(dumps: Iterable[Dump]) -> list[Dump]:
    """Those of ``dumps`` of which slices have gone or may go, the first begun first."""
    found = [dump for dump in dumps if dump.part is not None and dump.outstanding and dump.hindrance is None]
    return sorted(found, key=lambda dump: dump.dump_id)


def begins(heavy: Sequence[Candidate], rules: Rules) -> Candidate | None:
    """The one of ``heavy`` whose first slice may go today: early enough to be whole in its time. None where none is."""
    if rules.oversize is not Oversize.SLICES or not heavy:
        return None
    first = max(heavy, key=urgency)
    return first if _rest_until_due(first, rules) <= 0 else None


def kept_free(dumps: Iterable[Dump], account: DayAccount, whole_day: int) -> dict[int, int]:
    """Dump id -> bytes that are kept free of today for it: half a day for those that are heavier than a whole one."""
    kept, left = {}, account.left
    for dump in dumps:
        part = dump.part or Part(0)
        half = set_aside(dump.bytes, part.sent, account)
        wanted = half if dump.bytes > whole_day else dump.bytes - part.sent
        kept[dump.dump_id] = max(part.pinned, min(wanted, left))
        left = max(0, left - kept[dump.dump_id])
    return kept


def of_today(dumps: Iterable[Dump], kept: Mapping[int, int], more: int, day: Day, rules: Rules) -> dict[int, Slice]:
    """Dump id -> its slice: what is kept free for it, and of the ``more`` bytes that nobody else takes."""
    found = {}
    for dump in dumps:
        sent = 0 if dump.part is None else dump.part.sent
        extra = min(more, max(0, dump.bytes - sent - kept[dump.dump_id]))
        more -= extra
        found[dump.dump_id] = _slice(dump.bytes, sent, kept[dump.dump_id] + extra, day, rules)
    return found


def held(heavy: Sequence[Candidate], day: Day, rules: Rules, ahead: Dump | None) -> Iterator[Decision]:
    """Why each of ``heavy`` does not begin to leave today; ``ahead`` is the dump whose slices have the days now."""
    for candidate in sorted(heavy, key=urgency, reverse=True):
        dump, (vm, target, age, _), _ = candidate
        rest = _rest_until_due(candidate, rules)
        leaves = None
        if rest > 0:
            told = explanations.sliced_later(dump.bytes, None if age is None else SHARE * target - rest, rest)
            leaves = day.number - int(-rest // DAY)
        else:
            told = explanations.sliced_after(dump.bytes, None if ahead is None else ahead.vm)
        yield Decision(dump, vm.backup_set, Reason.LIMIT_REACHED, told, target, age, forecast_day=leaves)


def _rest_until_due(candidate: Candidate, rules: Rules) -> float:
    """Seconds until its first slice should go, so that it is whole when its turn would be; not above 0: now."""
    if candidate.standing.vm.forced is not None:
        return 0.0
    return -lateness(candidate) - (_days_to_send(candidate.dump.bytes, 0, rules) or 0) * DAY


def _slice(size: int, sent: int, today: int, day: Day, rules: Rules) -> Slice:
    in_days = _days_to_send(max(0, size - sent - today), day.account.owed, rules)
    return Slice(sent, today, None if in_days is None else day.number + in_days)


def _days_to_send(rest: int, owed: int, rules: Rules) -> int | None:
    """After how many days ``rest`` bytes have gone, if only what is set aside of each is free for them."""
    if rest == 0:
        return 0
    for number, whole in enumerate(islice(rules.coming_days(owed), HORIZON), 1):
        rest -= whole // SET_ASIDE
        if rest <= 0:
            return number
    return None
