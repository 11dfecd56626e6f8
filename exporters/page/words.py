"""Times, ages and grids in words: for people who read, and for those who cannot see what is drawn."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence

from core.enums import Freshness, Reason, Severity, Verdict
from core.units import format_date, format_size, format_span
from exporters.page.shown import PAST_DAYS, Mark, NewestDump, Shown, Today, Trouble, Turn, VmShown

_HOUR, _DAY = 3600, 86_400.0

_MARKS = (
    (Mark.CONFIRMED, "confirmed"),
    (Mark.RELEASED_BYTES, "let out"),
    (Mark.DUMPED, "dumped"),
    (Mark.FAILED, "failed"),
)
#: So many dates of a kind are named in the text of a strip.
_NAMED = 4


def span(seconds: float) -> str:
    """Coarse: what an age is read for."""
    if seconds >= 10 * _DAY:
        return f"{seconds // _DAY:.0f}d"
    unit = _HOUR if seconds >= _HOUR else 60 if seconds >= 60 else 1
    return format_span(seconds // unit * unit)


def clock(seconds: float, zone: datetime.tzinfo) -> str:
    """The time of a day: ``12:04:31``."""
    return datetime.datetime.fromtimestamp(seconds, zone).strftime("%H:%M:%S")


def date(seconds: float, zone: datetime.tzinfo) -> str:
    """Short: ``Thu 26 Nov``."""
    weekday, number, month = format_date(seconds, zone).split()
    return f"{weekday[:3]} {number} {month[:3]}"


def moment(seconds: float, now: float, zone: datetime.tzinfo) -> str:
    """A time near to now, with its date where that is another one: ``12:04``, ``Thu 26 Nov 12:04``, with its year."""
    then, today = (datetime.datetime.fromtimestamp(one, zone) for one in (seconds, now))
    told = then.strftime("%H:%M")
    if then.date() == today.date():
        return told
    year = "" if abs(seconds - now) < 300 * _DAY else f" {then.year}"
    return f"{date(seconds, zone)}{year} {told}"


def day_out(shown: Shown, seconds: float | None) -> str:
    """On which day a dump leaves."""
    if seconds is None:
        return ""
    days = round((seconds - shown.as_of) / _DAY)
    return "next pass" if days == 0 else date(seconds, shown.zone)


def strip(shown: Shown, vm: VmShown) -> str:
    """What a strip draws."""
    parts = list(_happened(shown, vm.past))
    if vm.coming:
        coming = (day_out(shown, shown.as_of + day * _DAY) for day in vm.coming[:_NAMED])
        parts.append(f"expected to leave: {', '.join(coming)}{_more(len(vm.coming))}")
    return "; ".join(parts) or "nothing happened in these days, and nothing is expected"


def _happened(shown: Shown, past: bytes) -> Iterator[str]:
    for mark, word in _MARKS:
        days = [day for day in range(len(past) - 1, -1, -1) if past[day] & mark]
        if days:
            dates = ", ".join(_dates(shown, days[:_NAMED]))
            yield f"{word} on {len(days)} of {len(past)} days, last {dates}{_more(len(days))}"


def _dates(shown: Shown, days: Iterable[int]) -> Iterator[str]:
    today = datetime.datetime.fromtimestamp(shown.as_of, shown.zone).date()
    for day in days:
        # By noon: a day may have 23 hours.
        noon = datetime.datetime.combine(today, datetime.time(12), shown.zone)
        yield date((noon - datetime.timedelta(days=PAST_DAYS - 1 - day)).timestamp(), shown.zone)


def _more(count: int) -> str:
    return f" and {count - _NAMED} more" if count > _NAMED else ""


def answer(urgent: Sequence[Trouble], later: Sequence[Trouble]) -> str:
    """Whether one can sleep."""
    if urgent:
        return f"Not yet: {urgent[0].told}."
    if later:
        return (
            f"You can sleep; {'one thing waits' if len(later) == 1 else f'{len(later)} things wait'} for the morning."
        )
    return "You can sleep."


def sentence(told: str) -> str:
    """With a capital and a stop."""
    return f"{told[:1].upper()}{told[1:]}."


def lede(counts: Mapping[str, int], total: int) -> str:
    """How many copies are within their targets."""
    fresh = counts[Freshness.FRESH]
    if not total:
        return "No VM is known yet."
    if fresh == total:
        return (
            "The one VM has a copy off-site within its target."
            if total == 1
            else f"All {total:,} VMs have copies off-site within their targets."
        )
    return f"{fresh:,} of {total:,} VMs have copies off-site within their targets."


def parts(day: Today) -> list[tuple[str, int, str]]:
    """Kind, bytes and name of each part of the day."""
    found = [
        ("sent", day.used, "used"),
        ("out", day.outstanding, "let out, not confirmed yet"),
        ("reserve", day.reserve, "kept free"),
        ("left", day.left, "left"),
    ]
    return [one for one in found if one[1] or one[0] == "left"]


def account(day: Today) -> str:
    """The bar of the day."""
    return f"Of {format_size(day.limit)}: " + ", ".join(f"{format_size(size)} {name}" for _, size, name in parts(day))


def mood(one: Turn) -> str:
    """How a verdict is coloured; the words beside it say the same."""
    if one.verdict is Verdict.RELEASED:
        return "good"
    return "" if one.reason.severity is Severity.OK else "soon"


def dump_state(dump: NewestDump) -> str:
    """What became of a VM's newest dump, or why it is held."""
    return Reason(dump.reason).label if dump.reason else dump.state
