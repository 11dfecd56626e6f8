"""What a run has found that somebody should be told of: key -> a sentence."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from policy.fetching import nothing_is_fetched
from policy.planner.targets import freshness, targets
from tidegate.names import printable
from tidegate.notify.news import Key
from tidegate.terms import DumpResult, Freshness, Reason, Trouble
from tidegate.units import format_size, format_span

if TYPE_CHECKING:
    from dumps.runner import Run
    from policy.passes import PassResult
    from policy.planner.records import Decision, Vm
    from policy.push.sync import Pushed

#: No coming day changes these.
_HELD = frozenset(
    {
        Reason.OVERSIZE,
        Reason.CHANGED,
        Reason.UNSAFE,
        Reason.AMBIGUOUS,
        Reason.BAD_MARKER,
        Reason.VERIFY_FAILED,
        Reason.LINK_ERROR,
    }
)

Found = Iterator[tuple[Key, str]]


def of_pass(result: "PassResult", now: float) -> Found:
    """Of all VMs and watch folders."""
    yield from _of_decisions(result)
    yield from _stale(result, now)
    for row in result.facts.known.values():
        if row.shrunk_from is not None:
            sizes = f"{format_size(row.last_dump_bytes)} instead of {format_size(row.shrunk_from)}"
            yield Key(Trouble.SHRUNK, row.name), f"{row.name}: its last dump is much smaller than usual: {sizes}"
    if nothing_is_fetched(result.facts.late):
        size = format_size(sum(one.link.bytes for one in result.facts.late))
        waited = format_span(result.facts.late[0].waited // 3600 * 3600)
        yield Key(Trouble.NOT_FETCHED, ""), f"the storage has fetched nothing for {waited}; {size} wait for it"
    for watch in result.down:
        yield Key(Trouble.WATCH_DOWN, watch), f"the watch folder {watch!r} is down: nothing of it was looked at"
    for short in result.short:
        yield Key(Trouble.DISK_SHORT, short.watch.name), str(short)


def is_known_by(result: "PassResult", key: Key) -> bool:
    """Whether this pass would have found it: of a watch folder that is away nobody knows what its dumps are."""
    if key.what in (Trouble.HELD, Trouble.DUMP_FAILED):
        return not result.down
    return key.what is not Trouble.FAILED


def _of_decisions(result: "PassResult") -> Found:
    """An older dump that still stands is not what anybody waits for."""
    for one in newest(result.plan.decisions):
        name = one.dump.vm or printable(one.dump.path)
        if one.reason is Reason.DUMP_FAILED:
            yield Key(Trouble.DUMP_FAILED, name), f"{name}: its dump failed: {one.detail}"
        elif one.reason in _HELD:
            yield Key(Trouble.HELD, name), f"{name}: its dump {one.dump.path} is held, {one.reason}: {one.detail}"
    for one in result.plan.forced:
        size = format_size(one.beyond)
        yield Key(Trouble.OVER_LIMIT, one.dump.vm), f"{one.dump.vm}: let out {size} above the limit: forced"


def newest(decisions: "Iterable[Decision]") -> "Iterable[Decision]":
    """Of each VM that of its newest dump; of what says no VM, all."""
    by_age = sorted(decisions, key=lambda one: (one.dump.dump_time, one.dump.dump_id))
    return {(one.dump.vm, "" if one.dump.vm else one.dump.path): one for one in by_age}.values()


def _stale(result: "PassResult", now: float) -> Found:
    target_of = targets(result.facts.vms, result.rules)
    for vm in result.facts.vms:
        if vm.vm in result.facts.known and (said := _how_stale(vm, target_of[vm.vm], now)):
            yield Key(Trouble.STALE, vm.vm), f"{vm.vm}: {said}"


def _how_stale(vm: "Vm", target: float, now: float) -> str:
    """'' where it is not, or has been known for less than its target."""
    since = vm.first_seen if vm.offsite_time is None else vm.offsite_time
    if freshness(vm, target, now) is Freshness.FRESH or now - since <= target:
        return ""
    age = format_span((now - since) // 60 * 60)
    what = "was never off-site, and is known for" if vm.offsite_time is None else "the off-site copy has an age of"
    return f"{what} {age}; it may be {format_span(target)}"


def of_dumps(run: "Run") -> Found:
    """Of the VMs of its set."""
    for one, _ in run.outcomes:
        if one.result is DumpResult.FAILED:
            yield Key(Trouble.DUMP_FAILED, one.vm), f"{one.vm}: its dump failed: {one.error}"


def of_pass_itself(result: "PassResult") -> str:
    """Why it has done its work in part only, '' where it has done all of it."""
    named = _named(f"{one.dump}: {one.reason}: {one.detail}" for one in result.failed)
    return f"{len(result.failed)} granted dumps could not be linked: {named}" if result.failed else ""


def of_dumps_themselves(run: "Run") -> str:
    """The same of a run of dumps."""
    if run.is_well:
        return ""
    counted = Counter(one.result for one, _ in run.outcomes)
    said = [f"{count} {result}" for result, count in counted.items()]
    return f"{', '.join(said)}: " + _named(
        f"{one.vm}: {one.error or one.warning}" for one, _ in run.outcomes if one.error or one.warning
    )


def of_sync_itself(done: "Iterable[Pushed]") -> str:
    """The same of a push."""
    return _named(
        f"{one.watch}: {one.complaint or f'{len(one.outstanding)} links are not there yet'}"
        for one in done
        if not one.is_whole
    )


#: More do not help to decide.
_NAMED = 20


def _named(sentences: Iterable[str]) -> str:
    said = list(sentences)
    more = [f"and {len(said) - _NAMED} more"] if len(said) > _NAMED else []
    return "; ".join([*said[:_NAMED], *more])
