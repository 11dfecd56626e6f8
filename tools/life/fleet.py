"""VMs of a host: how large their dumps are, and on which days they are made."""

import random
from dataclasses import dataclass

GB = 10**9


@dataclass(frozen=True)
class Vm:
    """``backup_set`` "": no set lists it. Its dumps are made each ``every`` days, ``size`` bytes and a little more."""

    name: str
    backup_set: str
    every: int
    phase: int
    hour: float
    size: int

    def is_due(self, days_left: int) -> bool:
        """Whether it is dumped on the day from which ``days_left`` more days are to come."""
        return days_left % self.every == self.phase

    def size_on(self, days_left: int, dice: random.Random) -> int:
        """VMs grow by a tenth in the course of a month, and no two dumps are the same."""
        return int(self.size * (1.1 - days_left / 300) * dice.uniform(0.98, 1.02))


@dataclass(frozen=True)
class Kind:
    """So many VMs in 200 are such ones; the size is a median."""

    name: str
    share: int
    backup_set: str
    size: float


#: Set -> days between its dumps, the day from which it is counted, and the hours in which they are made.
SETS = {"nightly": (1, 0, (0, 4)), "weekly": (7, 2, (0, 9)), "monthly": (28, 5, (0, 9))}

KINDS = (
    Kind("web", 40, "nightly", 1.2),
    Kind("app", 35, "nightly", 2.0),
    Kind("db", 25, "nightly", 4.0),
    Kind("mail", 10, "weekly", 15.0),
    Kind("build", 20, "weekly", 8.0),
    Kind("dev", 30, "weekly", 5.0),
    Kind("desk", 10, "weekly", 18.0),
    Kind("files", 15, "monthly", 40.0),
    Kind("archive", 13, "monthly", 30.0),
)

#: Those of whom something is told by name.
LEGACY, OVERSIZE, UNLISTED = "legacy-01", "warehouse-01", "printserver"
#: What 200 VMs may let out in one day: a little more than what they dump in a mean one.
LIMIT = 340 * GB


def limit_of(count: int) -> int:
    """The limit for so many VMs: as tight as for 200."""
    return LIMIT * count // 200


def fleet(count: int, dice: random.Random) -> list[Vm]:
    """So many VMs, at least twenty: of each kind its share, one that is heavier than the limit, one of no set."""
    found = [
        _vm(f"{kind.name}-{number + 1:02}", kind.backup_set, kind.size * dice.lognormvariate(0, 0.4), dice)
        for kind in KINDS
        for number in range(max(1, (count - 2) * kind.share // 198))
    ]
    heavy = limit_of(count) / GB * 1.3
    return [*found, _vm(OVERSIZE, "weekly", heavy, dice), _vm(LEGACY, "", 3.0, dice)]


def _vm(name: str, backup_set: str, gigabytes: float, dice: random.Random) -> Vm:
    every, phase, hours = SETS[backup_set or "nightly"]
    return Vm(name, backup_set, every, phase, dice.uniform(*hours), int(gigabytes * GB))
