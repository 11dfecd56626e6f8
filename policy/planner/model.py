"""The facts that go into a decision and the decisions that come out.

Plain frozen records; tuples where there are tens of thousands of them. Sizes are bytes; times are seconds since the
epoch; spans are seconds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, repeat
from typing import NamedTuple

from core.enums import Force, Oversize, ReleaseRule
from core.reasons import Reason, Verdict

# --- the facts


class SliceProgress(NamedTuple):
    """How far a dump is that leaves in slices: ``sent`` bytes have gone on the days before the open one.

    ``today`` are set for it in the open one, of which ``committed`` cannot be taken back: they have gone, or may be
    going.
    """

    sent: int
    today: int = 0
    committed: int = 0


class Dump(NamedTuple):
    """One dump without an end, or a VM's newest one.

    ``block_reason`` is why it cannot leave whatever is left of the day (``running``, ``changed``, ``missing``, …);
    ``note`` explains it. ``outstanding`` is true while its link waits to be confirmed.
    ``offsite`` is true when the storage has this very dump. ``progress`` is None unless it leaves in slices.
    """

    dump_id: int
    vm: str
    path: str
    bytes: int
    dump_time: float
    block_reason: Reason | None = None
    note: str = ""
    outstanding: bool = False
    offsite: bool = False
    progress: SliceProgress | None = None


class Vm(NamedTuple):
    """One VM: what is known of it besides its dumps.

    ``period`` is the learned time between its dumps, None while unknown. ``bytes`` is the size of its newest
    finished dump (0 while it has none). ``target`` is the configured off-site age, None when unset.
    ``outstanding_since_day`` is the number of the day on which its outstanding link was released.
    ``replaces_while_syncing`` is true when releasing a dump of it now would replace a link that a running sync may
    read. ``forced`` is the admin's order that its next dump comes first. ``unread_link_bytes`` are those of its
    outstanding link where a newer dump may supersede that, since nobody has read it; else 0.
    """

    vm: str
    backup_set: str | None
    first_seen: float
    bytes: int
    offsite_time: float | None = None
    period: float | None = None
    target: float | None = None
    outstanding_since_day: int | None = None
    on_hold: bool = False
    backing_off_until: float | None = None
    replaces_while_syncing: bool = False
    forced: Force | None = None
    unread_link_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DayAccount:
    """The account of one day, in bytes.

    ``debt`` is what was released beyond the days before this one and not paid by them, ``owed`` what the days after
    this one will have to pay. ``sliced`` is set today for dumps that leave in slices; ``outstanding`` has none of it.
    """

    limit: int
    reserve: int = 0
    outstanding: int = 0
    used: int = 0
    debt: int = 0
    owed: int = 0
    sliced: int = 0

    @property
    def capacity(self) -> int:
        """Bytes that a day like this one may release when nothing of it is taken yet."""
        return max(0, self.limit - self.reserve)

    @property
    def balance(self) -> int:
        """Bytes that may still be released today; negative where more was released than that."""
        return self.limit - self.reserve - self.outstanding - self.used - self.debt - self.sliced

    @property
    def left(self) -> int:
        """Bytes that may still be released today."""
        return max(0, self.balance)

    @property
    def without_slices(self) -> "DayAccount":
        """As if nothing were set for dumps that leave in slices."""
        return replace(self, sliced=0)


@dataclass(frozen=True, slots=True)
class Day:
    """The open day."""

    number: int
    opened: float
    account: DayAccount


@dataclass(frozen=True, slots=True)
class Rules:
    """What the admin set for all VMs.

    ``daily`` is the configured limit of the coming days. Where they differ, ``coming`` are the bytes that each day
    after the open one may release, in their order and then from its start again; empty: each day ``capacity``.
    ``retention`` is how long the storage keeps a copy, in seconds; None: for ever. A dump that is not at least
    ``min_gain`` seconds newer than the off-site copy does not leave.
    """

    daily: int
    reserve: int = 0
    max_dump_age: float | None = None
    coming: tuple[int, ...] = ()
    oversize: Oversize = Oversize.HOLD
    retention: float | None = None
    min_gain: float = 0.0

    @property
    def capacity(self) -> int:
        """Bytes that each coming day may release, where all are alike."""
        return max(0, self.daily - self.reserve)

    @property
    def mean_day(self) -> int:
        """Bytes that a coming day may release on the average."""
        return sum(self.coming) // len(self.coming) if self.coming else self.capacity

    @property
    def largest_day(self) -> int:
        """Bytes that the largest of the coming days may release."""
        return max(self.coming, default=self.capacity)

    def coming_days(self, debt: int = 0) -> Iterator[int]:
        """Bytes that each day after the open one may release, without end; they pay the ``debt`` first."""
        for capacity in cycle(self.coming) if self.coming else repeat(self.capacity):
            yield max(0, capacity - debt)
            debt = max(0, debt - capacity)


# --- the decisions


class Sentence(NamedTuple):
    """A sentence that is made when it is read, by ``str``: a pass writes a hundred thousand of which nobody reads any.

    Equal figures make equal sentences.
    """

    words: Callable[..., str]
    figures: tuple[object, ...]

    def __str__(self) -> str:
        return self.words(*self.figures)


class Slice(NamedTuple):
    """Of a dump the ``bytes`` from the offset ``first`` on may go today.

    It is complete on the day of this number at the latest, None where no day of the horizon ends it.
    """

    first: int
    bytes: int
    complete_on: int | None


class Decision(NamedTuple):
    """What is decided for one dump, and why. A tuple, since there is one for each of a hundred thousand.

    ``sentence`` is why in words, which ``detail`` reads.
    ``position`` is its place in the queue (1 is first), None where it takes no part.
    ``forecast_day`` is the number of the day it is expected to leave on, None where that cannot be said.
    Of a dump that the day has no room for ``over_limit`` are the bytes that were forced above the limit, or ``debt``
    those that the coming days pay. ``slice`` is what goes of it today, where it leaves in slices. ``rule`` is the rule
    by which it is released, None where it is not.
    """

    dump: Dump
    backup_set: str | None
    reason: Reason
    sentence: str | Sentence
    target: float
    offsite_age: float | None
    position: int | None = None
    forecast_day: int | None = None
    over_limit: int = 0
    debt: int = 0
    rule: ReleaseRule | None = None
    slice: Slice | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether it leaves now, later by itself, when a person acts, or need not."""
        return self.reason.verdict

    @property
    def charge(self) -> int:
        """Bytes of the day that it takes if it leaves."""
        return self.dump.bytes if self.slice is None else self.slice.bytes

    @property
    def detail(self) -> str:
        """The sentence with its figures."""
        return str(self.sentence)


@dataclass(frozen=True)  # without slots, so that what is asked of thousands of decisions is worked out once
class Plan:
    """An ordered plan: what is released first, in the order of the queue; then all else.

    ``price`` is what a byte of the limit is worth in the long run: ``price.fair_interval`` follows from it.
    """

    day: Day
    decisions: tuple[Decision, ...]
    price: float = 0.0

    @cached_property
    def released(self) -> tuple[Decision, ...]:
        """The decisions that release a dump."""
        return tuple(decision for decision in self.decisions if decision.reason is Reason.RELEASED)

    @property
    def released_bytes(self) -> int:
        """Bytes taken of the day."""
        return sum(decision.charge for decision in self.released)

    @property
    def slices(self) -> tuple[Decision, ...]:
        """The decisions on dumps of which a slice may go today, begun before or by this plan."""
        return tuple(decision for decision in self.decisions if decision.slice is not None)

    @property
    def over_limit(self) -> tuple[Decision, ...]:
        """The decisions that release a dump above the limit."""
        return tuple(decision for decision in self.released if decision.over_limit)
