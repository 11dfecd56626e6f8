"""What a run has found that the command of ``[notify]`` is told of: key -> a sentence."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from core.enums import DumpResult, Trouble
from core.state.alerts import Key
from core.units import format_size
from tidegate import health

if TYPE_CHECKING:
    from dumps.runner import Run
    from policy.passes.run import PassResult
    from policy.sync.push import Pushed

Found = Iterator[tuple[Key, str]]


def of_pass(result: "PassResult", now: float) -> Found:
    """Of all VMs and watch folders, and what the admin has forced."""
    for one in health.of_pass(result, now):
        if one.kind.word is not None:
            yield Key(one.kind.word, one.subject), one.detail
    for forced in result.plan.over_limit:
        vm = forced.dump.vm
        yield Key(Trouble.OVER_LIMIT, vm), f"{vm}: let out {format_size(forced.over_limit)} above the limit: forced"


def is_known_by(result: "PassResult", key: Key) -> bool:
    """Whether this pass would have found it: nobody knows whether dumps may leave whose watch folder is away."""
    return not result.down if key.what is Trouble.BLOCKED else key.what is not Trouble.FAILED


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
