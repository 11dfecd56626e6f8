"""The details of decisions: short plain sentences with their figures. Sizes are bytes, spans are seconds."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, NamedTuple, ParamSpec

from core.units import format_size, format_span

if TYPE_CHECKING:
    from policy.planner.model import Slice

ALREADY_OFFSITE = "the storage has it"
SYNC_RUNS = "a sync is running and may be reading the link that it would replace"

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_format_span = lru_cache(maxsize=1024)(format_span)
_Figures = ParamSpec("_Figures")


class Sentence(NamedTuple):
    """A sentence that is made when it is read, by ``str``: a pass writes a hundred thousand of which nobody reads any.

    Equal figures make equal sentences.
    """

    words: Callable[..., str]
    figures: tuple[object, ...]

    def __str__(self) -> str:
        return self.words(*self.figures)


def _when_read(words: Callable[_Figures, str]) -> Callable[_Figures, Sentence]:
    @wraps(words)
    def sentence(*figures: _Figures.args, **_: _Figures.kwargs) -> Sentence:
        return Sentence(words, figures)

    return sentence


@_when_read
def release(offsite_age: float | None, target: float) -> str:
    """Why a dump leaves."""
    if offsite_age is None:
        return "never off-site"
    return f"off-site copy is {_span(offsite_age)} old, its target is {_span(target)}"


def forced(beyond: int) -> str:
    """Why a dump leaves that the admin has put first; ``beyond`` are its bytes above the limit."""
    return f"forced by the admin, {format_size(beyond)} above the limit" if beyond else "forced by the admin"


def late_release(dump_age: float, limit: float) -> str:
    """What is added for a dump past ``max_dump_age`` that leaves all the same."""
    return f"; made {_span(dump_age)} ago, past the max_dump_age of {_span(limit)}: a late copy beats none"


@_when_read
def limit_reached(size: int, left: int) -> str:
    """What a dump lacks at its turn."""
    figures = f"{format_size(size)} do not fit into the {format_size(left)} left today"
    return f"{figures}: {format_size(size - left)} are missing"


def released(day: int | None) -> str:
    """Of the dump whose link is outstanding."""
    return f"let out{_on_day(day)}, not yet confirmed"


def not_fetched(waited: float, *, others: bool) -> str:
    """Of a link that nobody has fetched for so long; ``others`` were fetched since."""
    return f"not fetched for {_span(waited)}, {'though others were' if others else 'and neither is anything else'}"


@_when_read
def waits_for_link(day: int | None) -> str:
    """Of a newer dump of the VM whose link is outstanding."""
    link = "its VM's link" if day is None else f"the link of day {day}"
    return f"waits until {link} is confirmed"


def waits_for_link_bytes(day: int | None, size: int, link: int) -> str:
    """Of a newer dump that may take the place of its VM's link, which nobody has read, and does not fit."""
    return f"{waits_for_link(day)}: {format_size(size)} do not fit in the place of its {format_size(link)}"


def supersedes_link(day: int | None) -> str:
    """What is added for a dump that takes the place of its VM's link."""
    return f", in the place of the link{'' if day is None else f' of day {day}'} that nobody has read"


def link_superseded(newer: str) -> str:
    """Of the dump of that link; ``newer`` is the path of the one that takes its place."""
    return f"{superseded(newer)} and takes the place of its link, which nobody has read"


def superseded(newer: str) -> str:
    """Of an older dump; ``newer`` is the path of the one that takes its place."""
    return f"{newer} is newer"


@_when_read
def no_gain(older_by: float) -> str:
    """Of a dump that is no newer than what the storage has."""
    return f"{_span(older_by)} older than the off-site copy" if older_by else "as old as the off-site copy"


@_when_read
def little_gain(gain: float, least: float) -> str:
    """Of a dump that is hardly newer than what the storage has."""
    return f"{_span(gain)} newer than the off-site copy, short of the min_gain of {_span(least)}"


def oversize(size: int, whole_day: int, vm: str) -> str:
    """Of a dump heavier than a whole day, with what the admin may do."""
    return (
        f"{format_size(size)} are heavier than the {format_size(whole_day)} of a whole day: "
        f"raise [limit] daily, make the dump smaller, say tidegate force {vm} --over-limit, "
        f"or bring it off-site by hand and say tidegate mark-sent {vm}"
    )


def alone(size: int, debt: int) -> str:
    """What is added for a dump heavier than the day that leaves all the same."""
    return f"; {format_size(size)} have the day for themselves, and the coming days pay {format_size(debt)}"


def alone_later(size: int, due_age: float, rest: float) -> str:
    """Of a dump heavier than a whole day that is not needed yet."""
    return f"{_alone(size)} when its off-site copy is {_span(due_age)} old, in {_span(rest)}"


def alone_after_debt(size: int, debt: int) -> str:
    """Of a dump heavier than a whole day, as long as an earlier one is not paid for."""
    return f"{_alone(size)} when the debt of {format_size(debt)} is paid"


def alone_on_a_free_day(size: int) -> str:
    """Of a dump heavier than a whole day whose turn has come."""
    return f"{_alone(size)} on the next day of which nothing is taken yet"


def alone_after_others(size: int) -> str:
    """Of a dump heavier than a whole day beside others that are later."""
    return f"{_alone(size)} when no other dump is later than it"


def sliced_later(size: int, due_age: float | None, rest: float) -> str:
    """Of a dump heavier than a whole day that leaves in slices, and is not needed yet; None: there is no copy."""
    if due_age is None:
        return f"{_in_slices(size)}, the first in {_span(rest)}"
    return f"{_in_slices(size)} from when its off-site copy is {_span(max(0.0, due_age))} old, in {_span(rest)}"


def sliced_after(size: int, ahead: str | None) -> str:
    """Of a dump heavier than a whole day that leaves in slices, whose turn has come; ``ahead`` has the days now."""
    when = "on the next day that has room" if ahead is None else f"when the dump of {ahead} is whole"
    return f"{_in_slices(size)} {when}"


def slice_of_today(size: int, today: "Slice") -> str:
    """Of a dump that leaves in slices."""
    until = "" if today.complete_on is None else f", whole on day {today.complete_on} at the latest"
    return (
        f"{format_size(today.first)} of {format_size(size)} have left, {format_size(today.bytes)} may go today{until}"
    )


def too_old(age: float, limit: float) -> str:
    """Of a dump past ``max_dump_age``."""
    return f"made {_span(age)} ago, past the max_dump_age of {_span(limit)}"


def on_hold(vm: str) -> str:
    """Of a VM that the admin holds."""
    return f"on hold; `tidegate unhold {vm}` ends that"


def backing_off(rest: float) -> str:
    """Of a VM whose last link nobody fetched."""
    return f"its last link was not fetched; it has its turn again in {_span(rest)}"


def _in_slices(size: int) -> str:
    return f"{format_size(size)} are heavier than a whole day; it leaves in slices"


def _alone(size: int) -> str:
    return f"{format_size(size)} are heavier than a whole day: it leaves alone"


def _span(seconds: float) -> str:
    """``seconds`` for people, in two units.

    What two units do not show is cut off first: the ages of 10,000 VMs are then a few hundred, and known.
    """
    unit = _HOUR if seconds >= _DAY else _MINUTE if seconds >= _HOUR else 1
    return _format_span(seconds // unit * unit)


def _on_day(day: int | None) -> str:
    return "" if day is None else f" on day {day}"
