"""What keeps an admin awake, and what can wait for the morning: a sentence each, the worst first."""

from collections.abc import Iterator, Sequence

from exporters.page.shown import Health, Level, Trouble, VmShown
from policy.fetching import nothing_is_fetched
from policy.passes import PassResult
from policy.planner.targets import density
from tidegate.terms import Freshness, Reason
from tidegate.units import format_size, format_span

_DAY = 86_400.0
#: A daily pass that is so much later than a day has been missed.
_MISSED_SECONDS = 2 * 3600.0
#: A folder that was not scanned for so long: the longest usual interval is minutes.
_SCAN_SECONDS = 3600.0
#: Reasons for which a dump needs a hand; those that need but time are none.
_UNUSABLE = frozenset(
    {
        Reason.CHANGED,
        Reason.MISSING,
        Reason.UNSAFE,
        Reason.AMBIGUOUS,
        Reason.BAD_MARKER,
        Reason.VERIFY_FAILED,
        Reason.LINK_ERROR,
    }
)


def troubles(
    review: PassResult, plan: PassResult, health: Health, vms: Sequence[VmShown], now: float
) -> Iterator[Trouble]:
    """First what cannot wait."""
    yield from _copies(vms)
    yield from _service(health, now)
    yield from _storage(review)
    yield from _dumps(plan, vms)
    yield from _limit(review)


def _now(briefly: str, sentence: str, vms: tuple[str, ...] = ()) -> Trouble:
    return Trouble(Level.NOW, sentence, vms, briefly)


def _copies(vms: Sequence[VmShown]) -> Iterator[Trouble]:
    stale = [one for one in vms if one.verdict is Freshness.STALE]
    if stale:
        worst = max(stale, key=lambda one: one.lateness)
        what = f"{_count(len(stale), 'VM has a copy', 'VMs have copies')} older than {_its(stale)}"
        told = (
            f"{what}; the worst is {worst.name}, {format_span(worst.age or 0)} old against {format_span(worst.target)}"
        )
        yield _now(f"{_count(len(stale), 'VM is', 'VMs are')} late", f"{told}.", _names(stale))
    never = [one for one in vms if one.verdict is Freshness.NEVER and one.lateness > 1]
    if never:
        what = f"{_count(len(never), 'VM was', 'VMs were')} never off-site"
        yield _now(what, f"{what}, and should be.", _names(never))
    new = [one for one in vms if one.verdict is Freshness.NEVER and one.lateness <= 1]
    if new:
        what = _count(len(new), "new VM has", "new VMs have")
        yield Trouble(Level.LATER, f"{what} no copy off-site yet, and time until then.", _names(new))


def _its(vms: Sequence[VmShown]) -> str:
    return "its target" if len(vms) == 1 else "their targets"


def _service(health: Health, now: float) -> Iterator[Trouble]:
    if not health.watcher_runs:
        yield _now("no watcher runs", "No watcher runs: what is marked is not recorded.")
    for watch in health.watches:
        if not watch.up:
            what = f"he watch folder {watch.name} is down"
            yield _now(f"t{what}", f"T{what}: {watch.detail or 'it is not there'}.")
        elif watch.last_scan is None or now - watch.last_scan > _SCAN_SECONDS:
            yield Trouble(Level.LATER, f"The watch folder {watch.name} was not scanned for long.")
    if health.next_pass is not None and (health.last_pass is None or _is_missed(health.last_pass, now)):
        ago = "ever" if health.last_pass is None else f"for {format_span(now - health.last_pass)}"
        yield _now("no pass has run", f"No pass has come to its end {ago}: nothing new leaves.")


def _is_missed(last_pass: float, now: float) -> bool:
    return now - last_pass > _DAY + _MISSED_SECONDS


def _storage(review: PassResult) -> Iterator[Trouble]:
    late = review.facts.late
    if nothing_is_fetched(late):
        waited = format_span(late[0].waited // 3600 * 3600)
        told = f"The storage has fetched nothing for {waited}: {_count(len(late), 'link waits', 'links wait')}."
        yield _now("the storage fetches nothing", told)
    for folder in review.short:
        yield Trouble(Level.LATER, f"{folder}.")


def _dumps(plan: PassResult, vms: Sequence[VmShown]) -> Iterator[Trouble]:
    failed = [one for one in vms if one.last_dump_failed]
    if failed:
        yield Trouble(Level.LATER, f"The last dump of {_count(len(failed), 'VM', 'VMs')} failed.", _names(failed))
    shrunk = [row.name for row in plan.facts.known.values() if row.shrunk_from is not None]
    if shrunk:
        what = f"The newest dump of {_count(len(shrunk), 'VM', 'VMs')} is much smaller than usual"
        yield Trouble(Level.LATER, f"{what}: is it whole?", tuple(shrunk))
    held = plan.plan.decisions
    heavy = [one.dump.vm for one in held if one.reason is Reason.OVERSIZE]
    if heavy:
        what = _count(len(heavy), "dump is", "dumps are")
        yield Trouble(Level.LATER, f"{what} heavier than a whole day, and held.", tuple(heavy))
    unusable = [one.dump.vm for one in held if one.reason in _UNUSABLE]
    if unusable:
        what = _count(len(unusable), "dump cannot", "dumps cannot")
        yield Trouble(Level.LATER, f"{what} leave as they are: the queue tells why.", tuple(dict.fromkeys(unusable)))


def _limit(review: PassResult) -> Iterator[Trouble]:
    needs = density(review.facts.vms, review.rules)
    if needs.value > 1:
        allowed = format_size(review.rules.mean_day + review.rules.reserve)
        yield Trouble(
            Level.LATER,
            f"The limit cannot keep the targets: they need {format_size(needs.needed)} a day, {allowed} are allowed.",
        )


def _names(vms: Sequence[VmShown]) -> tuple[str, ...]:
    return tuple(one.name for one in sorted(vms, key=lambda one: -one.lateness))


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
