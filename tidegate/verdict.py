"""Whether somebody has to get up, for people: the first line of ``status``, what monitors get, and the page."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from tidegate.health import Level, Wrong

#: So many names are told of each kind.
_NAMED = 5


class Finding(NamedTuple):
    """``told`` as it is, or of some ``subjects``. Where these are VMs, ``many`` is said behind their number."""

    level: Level
    told: str
    subjects: Sequence[str] = ()
    many: str = ""

    @property
    def named(self) -> str:
        """With the names."""
        more = len(self.subjects) - _NAMED
        names = ", ".join(self.subjects[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.told}: {names}" if names else self.told


def findings(found: Iterable[Wrong]) -> list[Finding]:
    """What is said in the same words is said once. ``found`` is sorted by kind, and so are these."""
    return [_finding(told, list(ones)) for told, ones in groupby(found, key=lambda one: one.told)]


def _finding(told: str, ones: Sequence[Wrong]) -> Finding:
    """What has its subject in its words needs no names."""
    kind = ones[0].kind
    named = [one.subject for one in ones if one.subject] if told == kind.said else []
    return Finding(kind.level, told, named, kind.many)


def level_of(found: Iterable[Finding]) -> Level:
    """Of all together."""
    return max((one.level for one in found), default=Level.WELL)


def summary(found: Sequence[Finding], count: int) -> str:
    """For a line above the table in which the names of the ``count`` VMs stand."""
    all_of_them = "1 VM" if count == 1 else f"{count} VMs"
    if not found:
        return f"{all_of_them} off-site within {'its target' if count == 1 else 'their targets'}"
    counted = [f"{len(one.subjects)} {one.many}" for one in found if one.many]
    if counted:
        number, _, told = counted[0].partition(" ")
        counted[0] = f"{number} of {all_of_them} {told}"
    return "; ".join(filter(None, (", ".join(counted), *(one.named for one in found if not one.many))))
