"""A power cut after each write to the disk, on each filesystem, state and tree both on it."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tools.torture.disk_writes import Write, apply, writes_of
from tools.torture.forked_command import Ended
from tools.torture.points import Point
from tools.torture.rehearsal import staged
from tools.torture.scenario import Act

#: The command went with the power.
_CUT = Ended(-9, "", "")


def points(acts: Mapping[str, Sequence[Act]], folder: Path) -> list[Point]:
    """``acts`` by the filesystem on which they play. The filesystems take turns."""
    by_kind = [_of_kind(kind, some, folder) for kind, some in acts.items()]
    turns = [(index / len(some), point) for some in by_kind for index, point in enumerate(some)]
    return [point for _, point in sorted(turns, key=lambda turn: turn[0])]


def _of_kind(kind: str, acts: Sequence[Act], folder: Path) -> list[Point]:
    found = []
    for number, act in enumerate(acts):
        writes = writes_of(act.image, act.body, folder / f"{kind}-{number}")
        found += [
            Point(f"power {kind} {act.name} {count}", partial(cut, kind, act, writes, count))
            for count in range(len(writes) + 1)
        ]
    return found


def cut(kind: str, act: Act, writes: Sequence[Write], count: int, folder: Path) -> list[str]:
    """The disk has had so many of the writes, and is mounted again."""
    with staged(act, folder, kind=kind, prepare=partial(apply, writes[:count])) as stage:
        return stage.aftermath(_CUT, same_end=True)
