"""Times, ages and grids in words: for people who read, and for those who cannot see what is drawn."""

import datetime
from collections.abc import Iterable, Iterator, Sequence

from core.enums import Freshness
from core.reasons import Severity, Verdict
from core.state.decisions import DayStatus, DecisionRow
from core.units import format_day, format_size, format_span
from exporters.findings import Finding
from exporters.health import VmStatus
from exporters.page.look import PAST_DAYS, Look, Mark

_HOUR, _DAY = 3600, 86_400.0

_MARKS = (
    (Mark.CONFIRMED, "confirmed"),
    (Mark.RELEASED, "released"),
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


def moment(seconds: float, now: float, zone: datetime.tzinfo) -> str:
    """A time near to now, with its date where that is another one: ``12:04``, ``Thu 26 Nov 12:04``, with its year."""
    then, today = (datetime.datetime.fromtimestamp(one, zone) for one in (seconds, now))
    told = then.strftime("%H:%M")
    if then.date() == today.date():
        return told
    year = "" if abs(seconds - now) < 300 * _DAY else f" {then.year}"
    return f"{format_day(seconds, zone)}{year} {told}"


def as_of(look: Look) -> str:
    """When the state was looked at, with its date and zone: ``Thu 26 Nov 12:04:31 CET``."""
    then = datetime.datetime.fromtimestamp(look.as_of, look.zone)
    return f"{format_day(look.as_of, look.zone)} {then:%H:%M:%S} {then.tzname() or ''}".rstrip()


def day_out(look: Look, seconds: float | None) -> str:
    """On which day a dump leaves."""
    if seconds is None:
        return ""
    days = round((seconds - look.as_of) / _DAY)
    return "next pass" if days == 0 else format_day(seconds, look.zone)


def strip(look: Look, past: bytes, coming: Sequence[int]) -> str:
    """What a strip draws."""
    parts = list(_happened(look, past))
    if coming:
        days = (day_out(look, look.as_of + day * _DAY) for day in coming[:_NAMED])
        parts.append(f"expected to leave: {', '.join(days)}{_more(len(coming))}")
    return "; ".join(parts) or "nothing happened in these days, and nothing is expected"


def _happened(look: Look, past: bytes) -> Iterator[str]:
    for mark, word in _MARKS:
        days = [day for day in range(len(past) - 1, -1, -1) if past[day] & mark]
        if days:
            dates = ", ".join(_dates(look, days[:_NAMED]))
            yield f"{word} on {len(days)} of {len(past)} days, last {dates}{_more(len(days))}"


def _dates(look: Look, days: Iterable[int]) -> Iterator[str]:
    today = datetime.datetime.fromtimestamp(look.as_of, look.zone).date()
    for day in days:
        # By noon: a day may have 23 hours.
        noon = datetime.datetime.combine(today, datetime.time(12), look.zone)
        yield format_day((noon - datetime.timedelta(days=PAST_DAYS - 1 - day)).timestamp(), look.zone)


def _more(count: int) -> str:
    return f" and {count - _NAMED} more" if count > _NAMED else ""


def headline(look: Look) -> str:
    """Whether one can sleep."""
    report = look.report
    if report.severity is Severity.CRITICAL:
        unsafe = {vm for one in look.findings(Severity.CRITICAL) for vm in one.vms}
        if not unsafe:
            return f"Look now: {look.findings(Severity.CRITICAL)[0].cause}."
        of_all = f"{len(unsafe):,} of {len(report.vms):,} {'VM' if len(report.vms) == 1 else 'VMs'}"
        return f"Look now: {of_all} {'is' if len(unsafe) == 1 else 'are'} not safe off-site."
    if not report.vms:
        return "Nothing is protected yet."
    later = len(look.findings(Severity.WARNING))
    if later:
        return f"You can sleep. Look at {'one thing' if later == 1 else f'{later} things'} tomorrow."
    return "You can sleep."


def title(look: Look) -> str:
    """For the browser's tab: a mark, the same in three words, and which host."""
    report = look.report
    if report.severity is Severity.CRITICAL:
        unsafe = {vm for one in look.findings(Severity.CRITICAL) for vm in one.vms}
        said = f"✗ {len(unsafe):,} not safe" if unsafe else "✗ look now"
    elif not report.vms:
        said = "\N{EN DASH} set up"
    else:
        later = len(look.findings(Severity.WARNING))
        said = f"✓ {later} tomorrow" if later else f"✓ all {len(report.vms):,} safe"
    return f"{said} \N{EN DASH} Tidegate {look.host}"


def mood(look: Look) -> str:
    """How the headline is coloured; its words say the same."""
    severity = look.report.severity
    return "bad" if severity is Severity.CRITICAL else "soon" if severity is Severity.WARNING else "good"


def sentence(told: str) -> str:
    """With a capital and a stop."""
    return f"{told[:1].upper()}{told[1:]}{'' if told.endswith('.') else '.'}"


def detail(one: Finding) -> str:
    """Of one VM, or of the host, all there is to say; of many what they have in common."""
    return sentence(one.detail if len(one.vms) < 2 else one.cause)


def lede(look: Look) -> str:
    """How many copies are within their targets, and what new VMs wait for."""
    total = len(look.report.vms)
    return f"{sentence(look.report.summary)}" if total else "No VM is known yet."


def parts(day: DayStatus) -> list[tuple[str, int, str]]:
    """Kind, bytes and name of each part of the day."""
    found = [
        ("sent", day.used, "used"),
        ("out", day.outstanding, "released, not fetched yet"),
        ("reserve", day.reserve, "in reserve"),
        ("left", day.left, "left"),
    ]
    return [one for one in found if one[1] or one[0] == "left"]


def account(day: DayStatus) -> str:
    """The bar of the day."""
    return f"Of {format_size(day.limit)}: " + ", ".join(f"{format_size(size)} {name}" for _, size, name in parts(day))


def mood_of(one: DecisionRow) -> str:
    """How a decision is coloured."""
    return "soon" if one.verdict is Verdict.BLOCKED else ""


def newest(vm: VmStatus) -> str:
    """What is decided about a VM's newest dump, or what became of it."""
    if vm.decision is not None:
        return vm.decision.reason.label
    return "" if vm.newest is None else str(vm.newest.state)


def freshness(vm: VmStatus) -> str:
    """How the copy is, in a word or two."""
    return "no off-site copy" if vm.freshness is Freshness.NEVER else str(vm.freshness)
