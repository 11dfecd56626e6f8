"""What an admin should decide about: full disks, VMs that can never leave, targets that the limit cannot keep."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from core.config.dump_settings import SHA256, SIZE
from core.enums import Reason
from core.state import vms
from core.state.database import Connection
from core.state.late_links import nothing_is_fetched
from core.state.vms import VmRow
from core.units import format_size, format_span
from policy.planner.staleness import density
from tidegate.health import held, shrunk

if TYPE_CHECKING:
    from core.config.settings import Config
    from policy.passes.run import PassResult

_T = TypeVar("_T")

#: More names than this do not help to decide.
_NAMED = 20


def worries(connection: Connection, config: "Config", result: "PassResult") -> Iterator[str]:
    """One sentence for each, with the choices."""
    yield from map(str, result.short)
    listed = {vm for backup_set in config.backup_sets.values() for vm in backup_set.vms}
    if unseen := sorted(listed - vms.by_names(connection, listed).keys()):
        yield (
            f"in a backup set, and no dump of theirs was ever marked: {_named(unseen, str)}; do their scripts write "
            "markers, under these names? `tidegate check --names` shows whose each dump is"
        )
    late = result.facts.late
    if nothing_is_fetched(late):
        size = format_size(sum(one.link.bytes for one in late))
        yield (
            f"nothing has been fetched for {format_span(late[0].waited // 3600 * 3600)}: {len(late)} links with {size} "
            "wait for the storage; does it still pull, and may it read them?"
        )
    heavy = sorted((one.dump for one in held(result) if one.reason is Reason.OVERSIZE), key=lambda dump: dump.vm)
    if heavy:
        named = _named(heavy, lambda dump: f"{dump.vm} ({format_size(dump.bytes)})")
        yield (
            f"heavier than a whole day, held: {named}; raise [limit] daily, make the dumps smaller, "
            "say `tidegate force VM --over-limit`, or bring them off-site by hand and say `tidegate mark-sent`"
        )
    if small := shrunk(result):
        yield f"much smaller than usual: {_named(small, _shrunk)}; they leave all the same: look whether they are whole"
    needs = density(result.facts.vms, result.rules)
    if needs.value > 1:
        yield (
            f"the limit cannot keep the targets: they need {format_size(needs.needed)} a day, "
            f"{format_size(result.rules.mean_day + result.rules.reserve)} are allowed"
        )


def _named(ones: Sequence[_T], name: Callable[[_T], str]) -> str:
    more = f" and {len(ones) - _NAMED} more" if len(ones) > _NAMED else ""
    return ", ".join(map(name, ones[:_NAMED])) + more


def _shrunk(small: tuple[VmRow, int]) -> str:
    row, usual = small
    return f"{row.name} ({format_size(row.last_dump_bytes)} instead of {format_size(usual)})"


def missing_programs(config: "Config") -> Iterator[str]:
    """One sentence for each program that the dumps of a set or the syncs need and that is not found on this PATH."""
    if config.push is not None:
        needed = [config.push.rsync, *(config.push.ssh[:1] if config.push.is_over_ssh else ())]
        for program in needed:
            if shutil.which(program) is None:
                yield f"[sync]: {program} is not found on the PATH here; `tidegate sync` needs it"
    for name in config.backup_sets:
        dumping = config.dumping_of(name)
        rules = () if dumping is None else dumping.rules.values()
        made = {words[0] for rule in rules for words in (rule.pre, rule.command, rule.post) if words}
        verifications = (config.verification_of(vm, name) for vm in ("", *config.vms))
        checked = {words[0] for verification in verifications for words in verification.checks}
        for program in sorted((made | checked) - {*SIZE, *SHA256}):
            if shutil.which(program) is None:
                yield f"[backup_sets.{name}]: {program} is not found on the PATH here; the dumps need it"
