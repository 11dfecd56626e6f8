"""A dump heavier than any day, where the admin lets such dumps out: alone on a day, and the days after it pay.

It takes a whole day and as much of the following ones as it is heavier: its debt. So it must not come often, and it
must come: it has its turn when its VM's copy has used up ``SHARE`` of its target and no other dump that waits is
later than it, each counted from that share of its own target. Nobody starves by that: who waits gets later without
end, and who leaves is early again. Until one debt is paid there is no second one.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from core.enums import Reason
from policy.planner import explanations
from policy.planner.eligibility import Candidate
from policy.planner.model import Day, DayAccount, Decision, Rules
from policy.planner.precedence import may_exceed
from policy.planner.staleness import DAY

#: Of its target: late enough not to take days from the others without need, early enough to find a free day.
SHARE = 2 / 3

#: How many coming days are looked at for a free one.
HORIZON = 400


def by_weight(candidates: Sequence[Candidate], whole_day: int) -> tuple[list[Candidate], Sequence[Candidate]]:
    """Those of ``candidates`` that are heavier than ``whole_day`` bytes and may not exceed it, and the others."""
    heavy = [one for one in candidates if one.dump.bytes > whole_day and not may_exceed(one)]
    if not heavy:
        return heavy, candidates
    return heavy, [one for one in candidates if one.dump.bytes <= whole_day or may_exceed(one)]


def leaves_alone(heavy: Sequence[Candidate], others: Sequence[Candidate], account: DayAccount) -> Candidate | None:
    """The one of ``heavy`` that has this day for itself, None where none has."""
    if not heavy or not _is_free(account):
        return None
    first = max(heavy, key=urgency)
    return first if _is_due(first) and _is_latest(first, others) else None


def held(heavy: Sequence[Candidate], others: Sequence[Candidate], day: Day, rules: Rules) -> Iterator[Decision]:
    """Why each of ``heavy`` does not leave today, and when it will at the earliest; the most urgent first."""
    free_in = _days_until_free(day.account, rules)
    for candidate in sorted(heavy, key=urgency, reverse=True):
        dump, (vm, target, age, _), _ = candidate
        detail = _why_not(candidate, others, day.account)
        leaves = None if free_in is None else day.number + max(free_in, _days_until_due(candidate))
        yield Decision(dump, vm.backup_set, Reason.LIMIT_REACHED, detail, target, age, forecast_day=leaves)


def _why_not(candidate: Candidate, others: Sequence[Candidate], account: DayAccount) -> str:
    size = candidate.dump.bytes
    if not _is_due(candidate):
        return explanations.alone_later(size, SHARE * candidate.standing.target, -lateness(candidate))
    if debt := max(account.debt, account.owed):
        return explanations.alone_after_debt(size, debt)
    if _is_free(account) and not _is_latest(candidate, others):
        return explanations.alone_after_others(size)
    return explanations.alone_on_a_free_day(size)


def _is_free(account: DayAccount) -> bool:
    """Whether nothing at all is taken of the day."""
    return 0 < account.whole == account.left


def _is_due(candidate: Candidate) -> bool:
    return candidate.standing.vm.forced is not None or lateness(candidate) >= 0


def _is_latest(candidate: Candidate, others: Sequence[Candidate]) -> bool:
    late = lateness(candidate)
    return candidate.standing.vm.forced is not None or all(lateness(other) <= late for other in others)


def lateness(candidate: Candidate) -> float:
    """Seconds since its turn would have been; negative until then."""
    return candidate.standing.turn_age - SHARE * candidate.standing.target


def urgency(candidate: Candidate) -> tuple[bool, float, int, str, int]:
    """Forced ones first, then the latest, then the lightest."""
    dump = candidate.dump
    return candidate.standing.vm.forced is not None, lateness(candidate), -dump.bytes, dump.vm, dump.dump_id


def _days_until_due(candidate: Candidate) -> int:
    return 0 if _is_due(candidate) else -int(lateness(candidate) // DAY)


def _days_until_free(account: DayAccount, rules: Rules) -> int | None:
    """After how many days one comes that pays no debt and lets something out; None where none of the horizon does."""
    pairs = zip(rules.coming_days(), rules.coming_days(account.owed), strict=False)
    return next((n for n, (whole, free) in enumerate(islice(pairs, HORIZON), 1) if 0 < whole == free), None)
