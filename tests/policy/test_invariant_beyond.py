"""What may exceed a day's limit, and by exactly how much: an oversize dump in debt, and what the admin forces.

Over any run of days what was let out is at most the days' limits, what was forced above them, and what the debt has
grown from their begin to their end. It is asked of the ledger, after random histories on real files in which passes
are killed, links taken back and days have limits of their own.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import failpoints
from core.enums import DayEnd, Evidence, Force, LinkState, Storage
from core.errors import UsageError
from core.state import ledger
from policy.sync.report import Report
from tests.clock import DAY, HOUR
from tests.policy.histories import DAILY, World

pytestmark = pytest.mark.slow

VMS = st.sampled_from(["vm1", "vm2", "vm3"])
SIZES = st.one_of(st.integers(1, 60), st.integers(DAILY + 1, 4 * DAILY))
POINTS = st.sampled_from(["released", "before link", "after link", "before fsync", "after fsync"])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("dump"), VMS, SIZES),
        st.tuples(st.just("day")),
        st.tuples(st.just("day")),
        st.tuples(st.just("unfetched day")),
        st.tuples(st.just("pass")),
        st.tuples(st.just("killed"), POINTS),
        st.tuples(st.just("say"), st.sampled_from([*Force, "hold", "unhold"]), VMS),
    ),
    min_size=5,
    max_size=20,
)


class KilledError(BaseException):
    """As far as the files show, the pass was killed here."""


class Row(NamedTuple):
    """One link of the ledger that was not proven never to have stood."""

    day: int
    bytes: int
    forced: Force | None
    debt: int


@contextmanager
def hooked(hook: Callable[[str], None]) -> Iterator[None]:
    failpoints.hook = hook
    try:
        yield
    finally:
        failpoints.hook = None


def killed_pass(world: World, point: str) -> None:
    def hook(name: str) -> None:
        if name == point:
            raise KilledError

    with hooked(hook), suppress(KilledError):
        world.run_pass()


def do(world: World, action: tuple[object, ...]) -> None:
    match action:
        case ("dump", str(vm), int(size)):
            world.dump(vm, size, dated=True, folder=False)
        case ("day",):
            world.run_pass()
            sync = world.start_sync(announced=True)
            world.pull(world.wants(sync))
            world.clock.advance(12 * HOUR)
            world.report(Report())
            world.clock.advance(12 * HOUR)
        case ("unfetched day",):
            world.run_pass()
            world.clock.advance(DAY)
        case ("pass",):
            world.run_pass()
        case ("killed", str(point)):
            killed_pass(world, point)
        case ("say", str(what), str(vm)):
            with suppress(UsageError):  # not known yet, or on hold
                world.admin(what, vm)
        case _:
            raise AssertionError(action)


def rows(world: World) -> list[Row]:
    """Without the unread links that newer dumps have taken the place of: of both one stands at most."""
    query = "SELECT id, vm, coalesce(since_id, id), day, bytes, forced, debt_bytes FROM link WHERE state != ?"
    with world.state.read() as connection:
        found = connection.execute(query, [LinkState.VOID]).fetchall()
    ids = [(number, vm, since) for number, vm, since, *_ in found]
    swapped = {old for new, vm, since in ids for old, other, _ in ids if vm == other and since <= old < new}
    return [
        Row(day, size, None if forced is None else Force(forced), debt)
        for number, _, _, day, size, forced, debt in found
        if number not in swapped
    ]


def holds_over_any_run_of_days(world: World) -> None:
    with world.state.read() as connection:
        limits = dict(connection.execute("SELECT number, limit_bytes FROM day"))
        debts = [ledger.debt(connection, before=number) for number in range(1, len(limits) + 2)]
    out = rows(world)
    for first, last in itertools.combinations_with_replacement(sorted(limits), 2):
        run = [row for row in out if first <= row.day <= last]
        allowed = sum(limits[number] for number in range(first, last + 1))
        forced = sum(row.bytes for row in run if row.forced is Force.OVER_LIMIT)
        grown = debts[last] - debts[first - 1]
        assert sum(row.bytes for row in run) <= allowed + forced + grown, f"days {first} to {last}: {run}"


def never_two_debts_at_once(world: World) -> None:
    """A link in debt is granted only on a day that has none; and the day is then its own."""
    out = rows(world)
    with world.state.read() as connection:
        for row in out:
            if row.debt:
                assert ledger.debt(connection, before=row.day) == 0
                beside = [one for one in out if one.day == row.day and one is not row]
                assert all(one.forced is Force.OVER_LIMIT for one in beside)


@pytest.mark.parametrize("ends", list(DayEnd))
@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS, storage=st.sampled_from(list(Storage)), weekend=st.booleans())
def test_over_any_run_of_days_no_more_is_let_out_than_the_limits_the_forced_and_the_debt(
    ends: DayEnd, actions: list[tuple[object, ...]], storage: Storage, weekend: bool
) -> None:
    weekdays = {"weekdays": {"saturday": f"{2 * DAILY} B", "sunday": "0 B"}} if weekend else {}
    more: dict[str, dict[str, Any]] = {"limit": {"oversize": "spread", **weekdays}, "staleness": {"target": "1d"}}
    world = World(ends, Evidence.REPORT, storage, more=more)
    try:
        for action in actions:
            do(world, action)
            holds_over_any_run_of_days(world)
        world.run_pass()
        holds_over_any_run_of_days(world)
        never_two_debts_at_once(world)
    finally:
        world.end()
