"""Why a dump is released or not, in short plain sentences with their figures. Sizes are bytes, spans are seconds.

The sentence of a decision stays true until the next pass: it holds no age that grows, but for those of a dump that is
released at once.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, wraps
from typing import ParamSpec

from core.enums import ReleaseRule
from core.reasons import Reason
from core.units import LAST_TIME, format_size, format_span, format_time
from policy.planner.model import Plan, Rules, Sentence, Slice, Vm
from policy.planner.price import dump_interval, fair_interval

ALREADY_OFFSITE = "the storage has it"
SYNC_RUNS = "a sync is running and may be reading the link that it would replace"
BACKING_OFF = "the storage did not fetch the VM's last dump; the VM is left out for a week"

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_format_span = lru_cache(maxsize=1024)(format_span)
_Figures = ParamSpec("_Figures")


def _when_read(words: Callable[_Figures, str]) -> Callable[_Figures, Sentence]:
    @wraps(words)
    def sentence(*figures: _Figures.args, **_: _Figures.kwargs) -> Sentence:
        return Sentence(words, figures)

    return sentence


# --- released


@_when_read
def release(offsite_age: float | None, target: float) -> str:
    """Why a dump leaves."""
    if offsite_age is None:
        return "never off-site"
    return f"the off-site copy is {_span(offsite_age)} old, its target is {_span(target)}"


def forced(over_limit: int) -> str:
    """Why a dump leaves that the admin has put first; ``over_limit`` are its bytes above the limit."""
    return f"forced by the admin, {format_size(over_limit)} above the limit" if over_limit else "forced by the admin"


def late_release(dump_age: float, limit: float) -> str:
    """What is added for a dump past ``max_dump_age`` that leaves all the same."""
    return f"; made {_span(dump_age)} ago, past max_dump_age ({_span(limit)}), but a late copy is better than none"


def supersedes_link(day: int | None) -> str:
    """What is added for a dump that supersedes its VM's link."""
    return f"; it replaces {_link_of(day)}, which nobody has read"


def alone(size: int, debt: int) -> str:
    """What is added for an oversize dump that leaves alone."""
    return f"; {format_size(size)} has the day for itself, and the coming days pay {format_size(debt)}"


def slice_of_today(size: int, today: Slice) -> str:
    """Of a dump that leaves in slices."""
    until = "" if today.complete_on is None else f", complete on day {today.complete_on} at the latest"
    return f"{format_size(today.first)} of {format_size(size)} sent, {format_size(today.bytes)} may go today{until}"


# --- waiting


@_when_read
def limit_reached(size: int, left: int) -> str:
    """What a dump lacks at its queue position."""
    short = format_size(size - left)
    return f"{format_size(size)} does not fit into the {format_size(left)} left today ({short} too much)"


def released(day: int | None) -> str:
    """Of the dump whose link is outstanding."""
    return f"released{'' if day is None else f' on day {day}'}; the storage has not fetched it yet"


def not_fetched(waited: float, *, others: bool) -> str:
    """Of a link that nobody has fetched for so long; ``others`` were fetched since."""
    return f"not fetched for {_span(waited)}, {'though others were' if others else 'and neither is anything else'}"


@_when_read
def waits_for_link(day: int | None) -> str:
    """Of a newer dump of the VM whose link is outstanding."""
    return f"waits until {_link_of(day)} is confirmed"


def waits_for_link_bytes(day: int | None, size: int, link: int) -> str:
    """Of a newer dump that may supersede its VM's link, which nobody has read, and does not fit."""
    return f"{waits_for_link(day)}: {format_size(size)} does not fit in place of its {format_size(link)}"


def alone_later(size: int, due_age: float) -> str:
    """Of an oversize dump that is not needed yet."""
    return f"{_leaves_alone(size)} when the off-site copy is {_span(due_age)} old"


def alone_after_debt(size: int, debt: int) -> str:
    """Of an oversize dump, as long as an earlier one is not paid for."""
    return f"{_leaves_alone(size)} when the debt of {format_size(debt)} is paid"


def alone_on_a_free_day(size: int) -> str:
    """Of an oversize dump that is due."""
    return f"{_leaves_alone(size)} on the next day of which nothing is taken yet"


def alone_after_others(size: int) -> str:
    """Of an oversize dump beside others that are later."""
    return f"{_leaves_alone(size)} when no other dump is later than it"


def sliced_later(size: int, day: int) -> str:
    """Of an oversize dump that leaves in slices, the first on this day."""
    return f"{_leaves_in_slices(size)}, the first on day {day}"


def sliced_after(size: int, ahead: str | None) -> str:
    """Of an oversize dump that is due for its first slice; ``ahead`` is the VM whose slices have the days now."""
    when = "on the next day that has room" if ahead is None else f"when the dump of {ahead} is complete"
    return f"{_leaves_in_slices(size)} {when}"


# --- blocked


def oversize(size: int, largest_day: int, vm: str, dump_time: float) -> str:
    """Of a dump larger than a whole day, with what the admin may do."""
    name = shlex.quote(vm)
    return (
        f"{format_size(size)} is more than a whole day's limit ({format_size(largest_day)}). Raise [limit] daily, set "
        f'[limit] oversize = "slices" or "spread", shrink the dump, run `tidegate force {name} --over-limit`, or copy '
        f"it yourself and run `tidegate mark-sent {name} --time {format_time(min(dump_time, LAST_TIME))}`"
    )


def on_hold(vm: str) -> str:
    """Of a VM that the admin holds."""
    return f"`tidegate unhold {shlex.quote(vm)}` ends that"


# --- done


def superseded(newer: str) -> str:
    """Of an older dump; ``newer`` is the path of the one that leaves in its place."""
    return f"{newer} is newer"


def link_superseded(newer: str) -> str:
    """Of the dump of a link; ``newer`` is the path of the one that supersedes it."""
    return f"{newer} is newer and replaces its link, which nobody has read"


@_when_read
def no_gain(older_by: float) -> str:
    """Of a dump that is no newer than what the storage has."""
    return f"{_span(older_by)} older than the off-site copy" if older_by else "as old as the off-site copy"


@_when_read
def little_gain(gain: float, least: float) -> str:
    """Of a dump that is hardly newer than what the storage has."""
    return f"only {_span(gain)} newer than the off-site copy; min_gain is {_span(least)}"


def too_old(limit: float) -> str:
    """Of a dump past ``max_dump_age``."""
    return f"older than max_dump_age ({_span(limit)})"


# --- of a VM in the queue

#: So many of those that leave instead are named.
_NAMED = 3

_WHY_NOW = {
    ReleaseRule.DEADLINE: "else the coming days have no room for all that is due before its target",
    ReleaseRule.UTILITY: "it is one of the dumps that make the most of today's limit",
    ReleaseRule.FITS: "it fits into what the others leave over",
}


def of_queue(vm: Vm, plan: Plan, rules: Rules) -> Iterator[str]:
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
        return f"at {day} a day each of its dumps can leave"
    return f"at {day} a day its fair interval is {format_span(often)}: one of {round(often / interval)} dumps"


def _taken(plan: Plan) -> Iterator[str]:
    """What has today's room."""
    account = plan.day.account
    if taken := account.outstanding + account.sliced + account.used + account.debt:
        yield f"{format_size(taken)} of today's {format_size(account.limit)} was taken before"
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


# --- parts of sentences


def _leaves_in_slices(size: int) -> str:
    return f"{format_size(size)} is more than a whole day's limit; it leaves in slices"


def _leaves_alone(size: int) -> str:
    return f"{format_size(size)} is more than a whole day's limit; it leaves alone"


def _link_of(day: int | None) -> str:
    return "its VM's link" if day is None else f"its VM's link of day {day}"


def _span(seconds: float) -> str:
    """``seconds`` for people, in two units.

    What two units do not show is cut off first: the ages of 10,000 VMs are then a few hundred, and known.
    """
    unit = _HOUR if seconds >= _DAY else _MINUTE if seconds >= _HOUR else 1
    return _format_span(seconds // unit * unit)
