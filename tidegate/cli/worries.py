"""What an admin should decide about: VMs that can never leave, and targets that the limit cannot keep."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from policy.planner.targets import density
from tidegate.terms import Reason
from tidegate.units import format_size

if TYPE_CHECKING:
    from policy.passes import PassResult

#: More names than this do not help to decide.
_NAMED = 20


def worries(result: "PassResult") -> Iterator[str]:
    """One sentence for each, with the choices."""
    heavy = [one.dump for one in result.plan.decisions if one.reason is Reason.OVERSIZE]
    if heavy:
        named = ", ".join(f"{dump.vm} ({format_size(dump.bytes)})" for dump in heavy[:_NAMED])
        more = f" and {len(heavy) - _NAMED} more" if len(heavy) > _NAMED else ""
        yield (
            f"heavier than a whole day, held: {named}{more}; raise [limit] daily, make the dumps smaller, "
            "say `tidegate force VM --over-limit`, or bring them off-site by hand and say `tidegate mark-sent`"
        )
    needs = density(result.facts.vms, result.rules)
    if needs.value > 1:
        yield (
            f"the limit cannot keep the targets: they need {format_size(needs.needed)} a day, "
            f"{format_size(result.rules.mean_day + result.rules.reserve)} are allowed"
        )
