"""Deliberate defects: each is given to the disturbed command alone, and must be found by its kind of disturbance.

What is patched is imported by its name, so that a type checker sees when it is renamed.
"""

import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from tools.torture import clock_jumps, concurrency, kills, power_cuts, syscall_errors
from tools.torture.forked_command import Body, Having
from tools.torture.points import Point
from tools.torture.scenario import Act

#: The acts by their filesystem.
Plays = Mapping[str, Sequence[Act]]


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong, by what it is found, what puts it into a command, and at which points it may show."""

    told: str
    kind: str
    patch: Callable[[], AbstractContextManager[object]]
    points: Callable[[Plays, Path, Having], list[Point]]


# --- the defects


def _tree_is_not_made_lasting() -> AbstractContextManager[object]:
    """The one fsync after which ``linked`` may be written."""
    from policy.export import publish

    return mock.patch.object(publish, "os", _Without("fsync"))


class _Without:
    """The module os, but one of its functions does nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: None) if name == self._name else getattr(os, name)


@contextmanager
def _charge_comes_after_the_link() -> Iterator[None]:
    """The links are made before the transaction that charges the day is committed."""
    from policy.passes.release import Releaser

    charge = Releaser.charge

    def first_link(self: Releaser, *arguments: Any) -> Any:
        releases = charge(self, *arguments)
        for one in releases:
            self.tree(one.watch).publish([one.request])
        return releases

    with mock.patch.object(Releaser, "charge", first_link):
        yield


def _folders_are_built_in_the_tree() -> AbstractContextManager[object]:
    """Where everybody sees them grow."""
    from policy.export.publish import Batch

    begin = Batch.__init__

    def begin_there(self: Batch, tree: int, staging: int, *others: Any, **more: Any) -> None:
        begin(self, tree, tree, *others, **more)

    return mock.patch.object(Batch, "__init__", begin_there)


def _confirmed_before_looked() -> AbstractContextManager[object]:
    """A report is believed without a look at what stands."""
    from policy.passes.trees import settle_trees
    from policy.sync import report

    return mock.patch.object(report, settle_trees.__name__, return_value=frozenset())


@contextmanager
def _passes_do_not_wait_for_each_other() -> Iterator[None]:
    from core.state.database import State

    @contextmanager
    def no_lock(self: State, *, wait: float) -> Iterator[None]:
        yield

    with mock.patch.object(State, "pass_lock", no_lock):
        yield


@contextmanager
def _given_back_without_proof() -> Iterator[None]:
    """Whatever goes wrong with a link, its charge is given back."""
    from policy.export import publish
    from policy.export.model import LinkFailure

    def failure(reason: Any, detail: str, *, proven_absent: bool) -> LinkFailure:
        return LinkFailure(reason, detail, proven_absent=True)

    with mock.patch.object(publish, LinkFailure.__name__, failure):
        yield


def _state_is_not_made_lasting() -> AbstractContextManager[object]:
    """SQLite's ``synchronous = OFF``: a commit is true once it lies in the page cache."""
    return mock.patch("core.state.database.SYNCHRONOUS", "OFF")


@contextmanager
def _a_day_is_a_date() -> Iterator[None]:
    """The day of the account ends with the date that the wall clock shows."""
    from policy.planner import day as planner_day

    def is_over(day: Any, rules: Any, now: float) -> bool:
        opened, shown = (datetime.datetime.fromtimestamp(moment, rules.zone) for moment in (day.opened_wall, now))
        return opened.date() != shown.date()

    with (
        mock.patch.object(planner_day, planner_day.is_over.__name__, is_over),
        mock.patch.object(planner_day, planner_day.counts_as_used.__name__, lambda day, current, *_: day == current),
    ):
        yield


# --- where they show


def _of(plays: Plays, having: Having, name: str, kind: str = "ext4") -> list[Act]:
    return [replace(act, body=having(act.body)) for act in plays[kind] if act.name == name]


def _killed(name: str, plays: Plays, folder: Path, having: Having) -> list[Point]:
    return kills.points(_of(plays, having, name), folder)


def _fsyncs(plays: Plays, folder: Path, having: Having) -> list[Point]:
    return [
        point for point in syscall_errors.points(_of(plays, having, "mirror pass"), folder) if " fsync " in point.name
    ]


def _power(kind: str, plays: Plays, folder: Path, having: Having) -> list[Point]:
    """In a pass that links one file, no other fsync makes its link lasting by the way."""
    return power_cuts.points({kind: _of(plays, having, "collect pass", kind)}, folder)


def _two_passes(plays: Plays, folder: Path, having: Having) -> list[Point]:
    found = concurrency.points([act for act in plays["ext4"] if act.name == "mirror pass"], folder, having)
    return [point for point in found if point.name.startswith("together pass, pass:")]


def _ahead(_plays: Plays, _folder: Path, having: Having) -> list[Point]:
    return [point for point in clock_jumps.points(having) if "+26 h" in point.name]


DEFECTS = (
    Defect(
        "the tree's folder is not synced before a link counts as made",
        "power",
        _tree_is_not_made_lasting,
        partial(_power, "btrfs"),
    ),
    Defect(
        "the day is charged after the link is made",
        "kill",
        _charge_comes_after_the_link,
        partial(_killed, "mirror pass"),
    ),
    Defect(
        "a folder is built where it can be seen",
        "kill",
        _folders_are_built_in_the_tree,
        partial(_killed, "mirror pass"),
    ),
    Defect(
        "a report is believed before anybody has looked",
        "kill",
        _confirmed_before_looked,
        partial(_killed, "mirror synced"),
    ),
    Defect("a charge is given back though the link may stand", "errors", _given_back_without_proof, _fsyncs),
    Defect("two passes do not wait for each other", "together", _passes_do_not_wait_for_each_other, _two_passes),
    Defect(
        "the state is not synced when it is committed",
        "power",
        _state_is_not_made_lasting,
        partial(_power, "ext4"),
    ),
    Defect("a day of the account is a date", "clock", _a_day_is_a_date, _ahead),
)


def having(patch: Callable[[], AbstractContextManager[object]]) -> Having:
    """Commands with this defect."""

    def give(body: Body) -> Body:
        return partial(_with, patch, body)

    return give


def _with(patch: Callable[[], AbstractContextManager[object]], body: Body, folder: Path) -> None:
    with patch():
        body(folder)
