"""Why a VM leaves today or waits, in words and figures: its turn, its target, what takes today's room.

Pure, and from the same facts and the same plan that the pass follows. Sizes are bytes, spans seconds.
"""

from collections.abc import Iterator, Sequence

from core.enums import Choice, Reason, Verdict
from core.units import format_size, format_span
from policy.planner.model import Plan, Rules, Vm
from policy.planner.price import fair_turn, step_of

#: So many of those that leave instead are named.
_NAMED = 3

_WHY_NOW = {
    Choice.DEADLINE: "the coming days could not carry everything that has to leave before its target is reached",
    Choice.WORTH: "it belongs to the dumps that make the most of today's limit",
    Choice.FITS: "it fits into what the others leave over",
}


def reasons(vm: Vm, plan: Plan, rules: Rules) -> Iterator[str]:
    """What speaks for and against the candidate of ``vm``, a clause each; nothing where it has none."""
    decision = next((one for one in plan.decisions if one.dump.vm == vm.vm and one.rank is not None), None)
    if decision is None:
        return
    yield _fair_turn(vm, plan.price, rules)
    if decision.verdict is Verdict.RELEASED:
        if decision.choice is not None:
            yield _WHY_NOW[decision.choice]
    elif decision.reason is Reason.LIMIT_REACHED:
        yield from _taken(plan)


def _fair_turn(vm: Vm, price: float, rules: Rules) -> str:
    often, step = fair_turn(vm, price), step_of(vm)
    day = format_size(rules.mean_day + rules.reserve)
    if often <= step:
        return f"its fair turn at {day} a day comes with each of its dumps"
    return f"its fair turn at {day} a day is every {format_span(often)}, with one of {round(often / step)} dumps"


def _taken(plan: Plan) -> Iterator[str]:
    """What has today's room."""
    account = plan.day.account
    if taken := account.outstanding + account.sliced + account.used + account.debt:
        yield f"{format_size(taken)} of today's {format_size(account.limit)} were taken before"
    urgent = [one.dump.vm for one in plan.released if one.choice is Choice.DEADLINE]
    if urgent:
        yield f"{_names(urgent)} must leave now for {'its target' if len(urgent) == 1 else 'their targets'}"
    better = [one.dump.vm for one in plan.released if one.choice is Choice.WORTH]
    if better:
        yield f"{_names(better)} {'makes' if len(better) == 1 else 'make'} more of today's limit"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    if more > 0:
        return f"{', '.join(names[:_NAMED])} and {more} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
