"""Why a VM leaves today or waits, in words and figures: its fair interval, its target, what takes today's room.

Pure, and from the same facts and the same plan that the pass follows. Sizes are bytes, spans seconds.
"""

from collections.abc import Iterator, Sequence

from core.enums import Reason, ReleaseRule
from core.units import format_size, format_span
from policy.planner.model import Plan, Rules, Vm
from policy.planner.price import dump_interval, fair_interval

#: So many of those that leave instead are named.
_NAMED = 3

_WHY_NOW = {
    ReleaseRule.DEADLINE: "the coming days could not carry everything that has to leave before its target is reached",
    ReleaseRule.UTILITY: "it belongs to the dumps that make the most of today's limit",
    ReleaseRule.FITS: "it fits into what the others leave over",
}


def reasons(vm: Vm, plan: Plan, rules: Rules) -> Iterator[str]:
    """What speaks for and against the candidate of ``vm``, a clause each; nothing where it has none."""
    decision = next((one for one in plan.decisions if one.dump.vm == vm.vm and one.position is not None), None)
    if decision is None:
        return
    yield _fair_interval(vm, plan.price, rules)
    if decision.reason is Reason.RELEASED:
        if decision.rule in _WHY_NOW:
            yield _WHY_NOW[decision.rule]
    elif decision.reason is Reason.LIMIT_REACHED:
        yield from _taken(plan)


def _fair_interval(vm: Vm, price: float, rules: Rules) -> str:
    often, interval = fair_interval(vm, price), dump_interval(vm)
    day = format_size(rules.mean_day + rules.reserve)
    if often <= interval:
        return f"its fair turn at {day} a day comes with each of its dumps"
    return f"its fair turn at {day} a day is every {format_span(often)}, with one of {round(often / interval)} dumps"


def _taken(plan: Plan) -> Iterator[str]:
    """What has today's room."""
    account = plan.day.account
    if taken := account.outstanding + account.sliced + account.used + account.debt:
        yield f"{format_size(taken)} of today's {format_size(account.limit)} were taken before"
    urgent = [one.dump.vm for one in plan.released if one.rule is ReleaseRule.DEADLINE]
    if urgent:
        yield f"{_names(urgent)} must leave now for {'its target' if len(urgent) == 1 else 'their targets'}"
    better = [one.dump.vm for one in plan.released if one.rule is ReleaseRule.UTILITY]
    if better:
        yield f"{_names(better)} {'makes' if len(better) == 1 else 'make'} more of today's limit"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    if more > 0:
        return f"{', '.join(names[:_NAMED])} and {more} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
