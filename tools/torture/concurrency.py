"""Two commands at once: the first stands still at a trace point, and the second runs as far as it can.

That is to its end, to a lock that the first one holds, or to a trace point of its own where it stands still in turn.
Then the first goes on to its end, and after it the second. All of it happens in the same order each time.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, SupportsIndex

from tools.torture.forked_command import Body, Command, Ended, Having, nothing, record, run, tidegate, with_hook
from tools.torture.points import Point
from tools.torture.rehearsal import Stage, staged
from tools.torture.scenario import Act

_PASS = tidegate("pass")
_SYNCED = tidegate("synced")
_STARTED = tidegate("sync-started")
_HOLD = tidegate("hold", "golf")
_FORCE = tidegate("force", "juliet")


class Pair(NamedTuple):
    """What meets what on the stage of which act; the second stands still at its first point of this name, if any."""

    act: str
    first: Body
    second: Body
    told: str
    stop: str = ""


PAIRS = (
    Pair("mirror pass", _PASS, _PASS, "pass, pass"),
    Pair("mirror pass", _PASS, record, "pass, recording"),
    Pair("mirror record", _PASS, record, "pass, recording that has looked", "observed"),
    Pair("mirror record", record, _PASS, "recording, pass"),
    Pair("mirror record", record, _PASS, "recording, pass that has granted", "released"),
    Pair("mirror record", record, record, "recording, recording"),
    Pair("mirror pass", _PASS, _HOLD, "pass, hold"),
    Pair("mirror pass", _PASS, _FORCE, "pass, force"),
    Pair("mirror hold", tidegate("hold", "hotel"), _PASS, "hold, pass"),
    Pair("mirror synced", _PASS, _SYNCED, "pass, synced"),
    Pair("mirror synced", _SYNCED, _PASS, "synced, pass"),
    Pair("mirror synced", _SYNCED, _SYNCED, "synced, synced"),
    Pair("mirror sync-started", _STARTED, _PASS, "sync-started, pass"),
    Pair("mirror sync-started", _PASS, _STARTED, "pass, sync-started"),
    Pair("mirror next pass", _PASS, _PASS, "pass, pass that remove markers"),
    Pair("mirror next pass", _PASS, record, "pass that removes markers, recording"),
    Pair("collect synced", _SYNCED, _PASS, "synced that takes links out, pass"),
    Pair("collect synced", _PASS, _SYNCED, "pass, synced that takes links out"),
    Pair("collect pass", _PASS, record, "pass in collect, recording"),
)


class Standing:
    """A command that tells of each of its trace points, and goes on when it is told to."""

    def __init__(self, body: Body, stage: Stage, papers: str, stops: Callable[[int, str], bool]) -> None:
        """``stops`` is asked at each trace point, with its number and name."""
        reached, self._reached = os.pipe()
        self._told, go = os.pipe()
        told = partial(_telling, body, stops, self._reached, self._told)
        self.command = Command(told, stage.folder, stage.aside / papers)
        os.close(self._reached)
        os.close(self._told)
        self._reached, self._told = reached, go

    def stands(self) -> bool:
        """Waits until it stands still at a point, waits for a lock, or has ended; True for the first."""
        return os.read(self._reached, 1) == b"."

    def end(self) -> Ended:
        """Lets it go on to its end."""
        with suppress(BrokenPipeError):  # it has ended
            os.write(self._told, b".")
        try:
            return self.command.end()
        finally:
            os.close(self._reached)
            os.close(self._told)


def points(acts: Sequence[Act], folder: Path, having: Having = nothing) -> list[Point]:
    """The first at each of its trace points."""
    found = []
    by_name = {act.name: act for act in acts}
    for each in PAIRS:
        if each.act not in by_name:
            continue
        pair = each._replace(first=having(each.first), second=having(each.second))
        act = by_name[pair.act]
        names = _points_of(act, pair.first, folder)
        for number, name in enumerate(names):
            found.append(Point(f"together {pair.told}: {name}, {number}", partial(meet, act, pair, number)))
    return found


def meet(act: Act, pair: Pair, number: int, folder: Path) -> list[str]:
    """The first stands still at its point of this number."""
    with staged(act, folder) as stage:
        stage.aside.mkdir(exist_ok=True)
        first = Standing(pair.first, stage, "first", lambda at, _: at == number)
        if not first.stands():
            return [f"it does not come to this point: {first.end()}"]
        second = Standing(pair.second, stage, "second", lambda _, name: name == pair.stop)
        second.stands()
        faults = stage.at_once()
        ends = [first.end()]
        faults += stage.at_once()
        ends.append(second.end())
        wrong = [end for end in ends if end.code not in (0, 2) or "Traceback" in end.stderr]
        faults += [f"one ends with {end.code}: {end.told()}" for end in wrong]
        return faults or stage.aftermath(ends[0], same_end=False)


def _points_of(act: Act, body: Body, folder: Path) -> list[str]:
    names: list[str] = []
    with staged(act, folder) as stage, with_hook(names.append):
        run(body, stage.folder)
    return names


def _telling(body: Body, stops: Callable[[int, str], bool], reached: int, told: int, folder: Path) -> None:
    """In the command itself. To wait for a lock is to sleep until the next try."""
    at = iter(range(1 << 30))
    sleep = time.sleep

    def stop(name: str) -> None:
        if stops(next(at), name):
            os.write(reached, b".")
            os.read(told, 1)

    def wait(seconds: float | SupportsIndex) -> None:
        os.write(reached, b"w")
        sleep(seconds)

    time.sleep = wait
    with with_hook(stop):
        body(folder)
