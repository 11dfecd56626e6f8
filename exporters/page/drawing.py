"""Bars and grids as the numbers that their SVG needs. No style is written inline: the page allows none."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from core.enums import LinkState
from core.state.decisions import DayStatus
from core.state.ledger import LinkRow
from exporters.page.look import COMING_DAYS, PAST_DAYS, Mark

#: Of one date in a strip: its width with the gap, and what of it is drawn.
STEP, CELL = 10, 8
#: The strip's height. What has come further is higher.
HEIGHT = 20
_DUMPED, _RELEASED = 5, 12
WIDTH = STEP * (PAST_DAYS + COMING_DAYS)
TODAY = STEP * PAST_DAYS

_OUTSTANDING = frozenset({LinkState.RELEASED, LinkState.LINKED})

#: The width of a bar of an age: its target stands at half of it.
AGE_WIDTH = 200


class Segment(NamedTuple):
    """A part of a bar that is 1000 wide."""

    kind: str
    x: float
    width: float


class Strip(NamedTuple):
    """A path for each kind of mark, '' where there is none."""

    dumped: str
    released: str
    confirmed: str
    failed: str
    coming: str


def segments(parts: Iterable[tuple[str, int]], whole: int) -> list[Segment]:
    """Parts of ``whole`` beside each other; where they are more than it, all of them get narrower."""
    known = [(kind, size) for kind, size in parts if size > 0]
    whole = max(whole, sum(size for _, size in known), 1)
    found, x = [], 0.0
    for kind, size in known:
        width = size / whole * 1000
        found.append(Segment(kind, round(x, 2), round(width, 2)))
        x += width
    return found


def day_bar(day: DayStatus, took: Sequence[LinkRow]) -> list[Segment]:
    """The day, with a segment for each of the largest links that take of it."""
    sent = [one.bytes for one in took if one.state not in _OUTSTANDING]
    out = [one.bytes for one in took if one.state in _OUTSTANDING]
    return segments(
        [
            *_split("sent", day.used, sent),
            *_split("out", day.outstanding, out),
            ("reserve", day.reserve),
            ("left", day.left),
        ],
        day.limit,
    )


def _split(kind: str, whole: int, parts: Sequence[int]) -> list[tuple[str, int]]:
    """``whole`` in its parts and the rest; in one, where they are not parts of it: of a slice the link is heavier."""
    rest = whole - sum(parts)
    return [(kind, whole)] if rest < 0 else [*((kind, part) for part in parts), (kind, rest)]


def age_width(lateness: float) -> float:
    """How far the bar of an age goes: to the middle when it has reached its target, to the end at twice that."""
    return round(min(lateness, 2.0) * AGE_WIDTH / 2, 1)


def strip(past: bytes, coming: Sequence[int]) -> Strip:
    """What happened on each date, the furthest that a dump came; and on which it is expected to leave."""
    heights = {Mark.DUMPED: _DUMPED, Mark.RELEASED: _RELEASED, Mark.CONFIRMED: HEIGHT}
    paths: dict[Mark, list[str]] = {mark: [] for mark in (*heights, Mark.FAILED)}
    for day, marks in enumerate(past):
        furthest = next((mark for mark in reversed(heights) if marks & mark), None)
        if furthest is not None:
            paths[furthest].append(_bar(day, heights[furthest]))
        if marks & Mark.FAILED:
            paths[Mark.FAILED].append(f"M{day * STEP + 1} 1l6 6m0-6l-6 6")
    return Strip(
        dumped="".join(paths[Mark.DUMPED]),
        released="".join(paths[Mark.RELEASED]),
        confirmed="".join(paths[Mark.CONFIRMED]),
        failed="".join(paths[Mark.FAILED]),
        coming="".join(_outline(PAST_DAYS + day) for day in coming if day < COMING_DAYS),
    )


def _bar(day: int, height: int) -> str:
    return f"M{day * STEP} {HEIGHT - height}h{CELL}v{height}h-{CELL}z"


def _outline(day: int) -> str:
    return f"M{day * STEP + 1} 1h{CELL - 2}v{HEIGHT - 2}h-{CELL - 2}z"
