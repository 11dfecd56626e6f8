"""``tidegate status --check``: one line and one exit code for Nagios and its kin."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from core.enums import Freshness
from core.errors import TidegateError
from core.filenames import printable
from tidegate.verdict import level_of, summary

if TYPE_CHECKING:
    from tidegate.cli.status import Standing

_WORDS = ("OK", "WARNING", "CRITICAL")
_UNKNOWN = 3


def check(look: "Callable[[], Standing]") -> None:
    """Ends with 0, 1 or 2 by what is found, and with 3 where nothing can be known; a monitor reads stdout alone."""
    try:
        found = look()
    except TidegateError as error:
        _say("UNKNOWN", "; ".join(str(error).splitlines()))
        click.get_current_context().exit(_UNKNOWN)
    level = level_of(found.findings)
    told = "; ".join(one.named for one in found.findings) or summary((), len(found.shape["vms"]))
    _say(_WORDS[level], told, _figures(found))
    click.get_current_context().exit(level)


def _say(word: str, told: str, figures: Sequence[str] = ()) -> None:
    """What stands behind the bar is figures: no name may hold one."""
    behind = f" | {' '.join(figures)}" if figures else ""
    click.echo(f"TIDEGATE {word} - {printable(told).replace('|', '/')}{behind}")


def _figures(found: "Standing") -> list[str]:
    """``'label'=value[unit];warning;critical;least;most``: no thresholds, since targets differ from VM to VM."""
    vms, day = found.shape["vms"], found.shape["day"]
    counts = {
        "vms": len(vms),
        "stale": sum(one["verdict"] == Freshness.STALE for one in vms),
        "never": sum(one["verdict"] == Freshness.NEVER for one in vms),
        "failed": sum(one["last_dump_failed"] for one in vms),
        "shrunk": sum(one["last_dump_shrunk_from_bytes"] is not None for one in vms),
    }
    taken = day["outstanding_bytes"] + day["used_bytes"]
    ages = [one["offsite_age_seconds"] for one in vms if one["offsite_age_seconds"] is not None]
    return [
        *(f"'{label}'={count};;;0" for label, count in counts.items()),
        *([f"'oldest'={max(ages):.0f}s;;;0"] if ages else []),
        f"'let_out'={taken}B;;;0;{day['limit_bytes']}",
    ]
