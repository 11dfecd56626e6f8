"""What the page shows: plain frozen records that the command line fills.

Sizes are bytes, spans seconds, times seconds since the epoch. Names and paths are as they were found; whatever writes
them out escapes them.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from core.enums import Evidence, Freshness, Reason, Verdict

#: Of the grid: so many dates until today, and so many that come.
PAST_DAYS = 60
COMING_DAYS = 30


class Mark(IntFlag):
    """What happened to a VM on one date."""

    DUMPED = 1
    RELEASED_BYTES = 2
    CONFIRMED = 4
    FAILED = 8


class Level(StrEnum):
    """How bad a trouble is."""

    NOW = "now"  # a copy is at stake: somebody has to look
    LATER = "later"  # it can wait for the morning


class Trouble(NamedTuple):
    """What is wrong, as `status` tells it; ``vms`` it is about, the worst first."""

    level: Level
    told: str
    vms: tuple[str, ...] = ()


class Release(NamedTuple):
    """A link that takes of the day. ``vm`` None: a file that is nobody's."""

    vm: str | None
    name: str
    bytes: int
    state: str
    at: float


@dataclass(frozen=True, slots=True)
class Today:
    """The account of the open day; ``took`` are the heaviest that take of it, of ``count`` in all."""

    number: int
    opened: float
    limit: int
    reserve: int
    used: int
    outstanding: int
    left: int
    debt: int
    took: tuple[Release, ...]
    count: int


class Turn(NamedTuple):
    """One dump that has no end yet. ``rank`` None: it takes no part. ``leaves``: on that date, None where unknown."""

    rank: int | None
    vm: str
    backup_set: str | None
    dump: str
    bytes: int
    dump_time: float
    verdict: Verdict
    reason: Reason
    detail: str
    leaves: float | None


class NewestDump(NamedTuple):
    """A VM's newest dump, and why it is held, None where nothing holds it."""

    path: str
    bytes: int
    dump_time: float
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class VmShown:
    """One VM. ``past`` has a ``Mark`` for each of PAST_DAYS dates, the last is today; ``coming`` are days from today.

    ``lateness`` is the share of the target that the age has used; of a VM that was never off-site, of its time here.
    """

    name: str
    backup_set: str | None
    verdict: Freshness
    age: float | None
    target: float
    offsite_time: float | None
    offsite_by: Evidence | None
    lateness: float
    last_dump_failed: bool
    on_hold: bool
    forced: bool
    dump: NewestDump | None
    past: bytes
    coming: tuple[int, ...]


class WatchShown(NamedTuple):
    """A watch folder, as it was last looked at."""

    name: str
    up: bool
    detail: str
    last_scan: float | None
    scan_seconds: float | None
    listening: bool | None
    free: int | None
    pinned: int | None


@dataclass(frozen=True, slots=True)
class Health:
    """How Tidegate itself is. ``next_pass`` None: others run it. ``fetched``: when the storage last had something."""

    watches: tuple[WatchShown, ...]
    last_pass: float | None
    let_out_by_it: int
    next_pass: float | None
    fetched: float | None


class PastDump(NamedTuple):
    """One time that a dump of a VM was let out, or a dump that never was: then there is no day."""

    path: str
    bytes: int
    dump_time: float
    state: str
    day: int | None
    released: float | None
    confirmed: float | None
    by: str | None
    crossed: int | None


@dataclass(frozen=True, slots=True)
class Story:
    """What is told of one VM: why it leaves today or not, and what became of its dumps, newest first."""

    sentences: tuple[str, ...]
    dumps: tuple[PastDump, ...]


@dataclass(frozen=True)  # without slots, so that the names are gone through once
class Shown:
    """All that is shown, as it was at ``as_of``. ``vms`` and ``troubles`` are worst first, ``queue`` in its order.

    ``advice`` are sentences about what an admin should decide. ``story`` tells of one VM; ``json`` has the shapes of
    the API by their names.
    """

    as_of: float
    took: float
    host: str
    version: str
    zone: datetime.tzinfo
    troubles: tuple[Trouble, ...]
    advice: tuple[str, ...]
    today: Today
    queue: tuple[Turn, ...]
    vms: tuple[VmShown, ...]
    health: Health
    story: Callable[[str], Story]
    json: Mapping[str, Callable[[], Mapping[str, Any]]]

    @cached_property
    def by_name(self) -> Mapping[str, VmShown]:
        """The VMs by their names."""
        return {one.name: one for one in self.vms}

    def with_verdict(self, verdict: Freshness) -> Sequence[VmShown]:
        """Those whose copies are so."""
        return [one for one in self.vms if one.verdict is verdict]
