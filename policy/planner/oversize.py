"""A dump larger than any day, where the admin lets such dumps leave.

``spread``: it leaves alone on a day, and the days after it pay. It takes a whole day and as much of the following ones
as it is larger: its debt. So it must not come often, and it must come: it leaves when its VM's copy has used up
``SHARE`` of its target and no other dump that waits is later than it, each counted from that share of its own target.
No VM starves by that: one that waits gets later without end, and one that leaves is early again. Until one debt is paid
there is no second one.

``slices``: where this host pushes, half of each day is set aside for it, and what no other dump takes. The limit is
then never exceeded, there is no debt, and the others keep half of each day. One such dump leaves at a time.
The rest of a dump that a day's last byte has cut short leaves by the same way, but has as much of the day as it needs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from core.enums import Oversize
from core.reasons import Reason
from policy.planner import explanations
from policy.planner.eligibility import Candidate
from policy.planner.model import Day, DayAccount, Decision, Dump, Rules, Slice, SliceProgress
from policy.planner.staleness import DAY

#: Of its target: late enough not to take days from the others without need, early enough to find a free day.
SHARE = 2 / 3


class BySize(NamedTuple):
    """Candidates that are larger than any day and may not exceed it, and the others."""

    oversize: list[Candidate]
    others: Sequence[Candidate]


def by_size(candidates: Sequence[Candidate], largest_day: int) -> BySize:
    """``largest_day``: the most bytes that this or any coming day can release."""
    oversize = [one for one in candidates if one.dump.bytes > largest_day and not one.may_exceed_limit]
    if not oversize:
        return BySize(oversize, candidates)
    return BySize(oversize, [one for one in candidates if one.dump.bytes <= largest_day or one.may_exceed_limit])


def overdue(candidate: Candidate) -> float:
    """Seconds since it should have left; negative until then."""
    return candidate.staleness.queue_age - SHARE * candidate.staleness.target


def urgency(candidate: Candidate) -> tuple[bool, float, int, str, int]:
    """Forced ones first, then the latest, then the smallest."""
    dump = candidate.dump
    return candidate.is_forced, overdue(candidate), -dump.bytes, dump.vm, dump.dump_id


# --- spread

#: How many coming days are looked at for a free one.
_HORIZON = 400


def leaves_alone(oversize: Sequence[Candidate], others: Sequence[Candidate], account: DayAccount) -> Candidate | None:
    """The one of ``oversize`` that has this day for itself, None where none has."""
    if not oversize or not _is_free(account):
        return None
    first = max(oversize, key=urgency)
    return first if _is_due(first) and _is_latest(first, others) else None


def not_alone(oversize: Sequence[Candidate], others: Sequence[Candidate], day: Day, rules: Rules) -> Iterator[Decision]:
    """Why each of ``oversize`` does not leave today, and when it will at the earliest; the most urgent first."""
    free_in = _days_until_free(day.account, rules)
    for candidate in sorted(oversize, key=urgency, reverse=True):
        dump, (vm, target, age, _), _ = candidate
        sentence = _why_not_alone(candidate, others, day.account)
        leaves = None if free_in is None else day.number + max(free_in, _days_until_due(candidate))
        yield Decision(dump, vm.backup_set, Reason.LIMIT_REACHED, sentence, target, age, forecast_day=leaves)


def _why_not_alone(candidate: Candidate, others: Sequence[Candidate], account: DayAccount) -> str:
    size = candidate.dump.bytes
    if not _is_due(candidate):
        return explanations.alone_later(size, SHARE * candidate.staleness.target)
    if debt := max(account.debt, account.owed):
        return explanations.alone_after_debt(size, debt)
    if _is_free(account) and not _is_latest(candidate, others):
        return explanations.alone_after_others(size)
    return explanations.alone_on_a_free_day(size)


def _is_free(account: DayAccount) -> bool:
    """Whether nothing at all is taken of the day."""
    return 0 < account.capacity == account.left


def _is_due(candidate: Candidate) -> bool:
    return candidate.is_forced or overdue(candidate) >= 0


def _is_latest(candidate: Candidate, others: Sequence[Candidate]) -> bool:
    late = overdue(candidate)
    return candidate.is_forced or all(overdue(other) <= late for other in others)


def _days_until_due(candidate: Candidate) -> int:
    return 0 if _is_due(candidate) else -int(overdue(candidate) // DAY)


def _days_until_free(account: DayAccount, rules: Rules) -> int | None:
    """After how many days one comes that pays no debt and is not empty; None where none of the horizon does."""
    pairs = zip(rules.coming_days(), rules.coming_days(account.owed), strict=False)
    return next((n for n, (full, free) in enumerate(islice(pairs, _HORIZON), 1) if 0 < full == free), None)


# --- slices

#: One part in so many of a day is set aside.
SET_ASIDE = 2

#: How many coming days are looked at for the last slice.
SLICES_HORIZON = 4000


class Slicing(NamedTuple):
    """The dumps that leave in slices, what is kept free of today for each, and what is ``left`` for all others.

    ``begins`` is the one of them whose first slice may go today, None where there is none.
    """

    dumps: Sequence[Dump]
    begins: Candidate | None
    kept: Mapping[int, int]
    left: int
    largest_day: int

    @classmethod
    def begin(
        cls, dumps: Iterable[Dump], oversize: Sequence[Candidate], day: Day, rules: Rules, largest_day: int
    ) -> "Slicing":
        """Before the others are released."""
        under_way = slices_under_way(dumps)
        account = day.account.without_slices
        is_taken = any(dump.bytes > largest_day for dump in under_way)
        new = None if is_taken else begins(oversize, rules)
        kept = kept_free([*under_way, *([] if new is None else [new.dump])], account, largest_day)
        if new is not None and not kept[new.dump.dump_id]:
            new = None
        sliced = [*under_way, *([] if new is None else [new.dump])]
        return cls(sliced, new, kept, account.balance - sum(kept.values()), largest_day)

    def today(self, taken: int, day: Day, rules: Rules) -> Mapping[int, Slice]:
        """Dump id -> its slice of today, when the others have ``taken`` so many bytes."""
        return slices_of_today(self.dumps, self.kept, max(0, self.left - taken), day, rules)

    def waiting(self, oversize: Sequence[Candidate], day: Day, rules: Rules) -> Iterator[Decision]:
        """Why each of the others that are ``oversize`` does not begin to leave today."""
        ahead = next((dump for dump in self.dumps if dump.bytes > self.largest_day), None)
        for candidate in sorted(oversize, key=urgency, reverse=True):
            dump, (vm, target, age, _), _ = candidate
            rest = _rest_until_first_slice(candidate, rules)
            leaves = None
            if rest > 0:
                leaves = day.number - int(-rest // DAY)
                sentence = explanations.sliced_later(dump.bytes, leaves)
            else:
                sentence = explanations.sliced_after(dump.bytes, None if ahead is None else ahead.vm)
            yield Decision(dump, vm.backup_set, Reason.LIMIT_REACHED, sentence, target, age, forecast_day=leaves)


def slices_under_way(dumps: Iterable[Dump]) -> list[Dump]:
    """Those of ``dumps`` of which slices have gone or may go, the first begun first."""
    found = [dump for dump in dumps if dump.progress is not None and dump.outstanding and dump.block_reason is None]
    return sorted(found, key=lambda dump: dump.dump_id)


def begins(oversize: Sequence[Candidate], rules: Rules) -> Candidate | None:
    """The one of ``oversize`` whose first slice may go today: early enough to be complete in its time."""
    if rules.oversize is not Oversize.SLICES or not oversize:
        return None
    first = max(oversize, key=urgency)
    return first if _rest_until_first_slice(first, rules) <= 0 else None


def kept_free(dumps: Iterable[Dump], account: DayAccount, largest_day: int) -> dict[int, int]:
    """Dump id -> bytes that are kept free of today for it: half a day for those that are larger than a whole one."""
    kept, left = {}, account.left
    for dump in dumps:
        progress = dump.progress or SliceProgress(0)
        half = set_aside(dump.bytes, progress.sent, account)
        wanted = half if dump.bytes > largest_day else dump.bytes - progress.sent
        kept[dump.dump_id] = max(progress.committed, min(wanted, left))
        left = max(0, left - kept[dump.dump_id])
    return kept


def set_aside(size: int, sent: int, account: DayAccount) -> int:
    """Bytes that are kept free of today for a dump of ``size`` bytes of which ``sent`` have gone."""
    return min(size - sent, account.left, account.capacity // SET_ASIDE)


def slices_of_today(
    dumps: Iterable[Dump], kept: Mapping[int, int], more: int, day: Day, rules: Rules
) -> dict[int, Slice]:
    """Dump id -> its slice: what is kept free for it, and of the ``more`` bytes that no other dump takes."""
    found = {}
    for dump in dumps:
        sent = 0 if dump.progress is None else dump.progress.sent
        extra = min(more, max(0, dump.bytes - sent - kept[dump.dump_id]))
        more -= extra
        found[dump.dump_id] = _slice(dump.bytes, sent, kept[dump.dump_id] + extra, day, rules)
    return found


def _rest_until_first_slice(candidate: Candidate, rules: Rules) -> float:
    """Seconds until its first slice should go, so that it is complete when it should leave; not above 0: now."""
    if candidate.is_forced:
        return 0.0
    return -overdue(candidate) - (_days_to_send(candidate.dump.bytes, 0, rules) or 0) * DAY


def _slice(size: int, sent: int, today: int, day: Day, rules: Rules) -> Slice:
    in_days = _days_to_send(max(0, size - sent - today), day.account.owed, rules)
    return Slice(sent, today, None if in_days is None else day.number + in_days)


def _days_to_send(rest: int, owed: int, rules: Rules) -> int | None:
    """After how many days ``rest`` bytes have gone, if only what is set aside of each is free for them."""
    if rest == 0:
        return 0
    for number, capacity in enumerate(islice(rules.coming_days(owed), SLICES_HORIZON), 1):
        rest -= capacity // SET_ASIDE
        if rest <= 0:
            return number
    return None
