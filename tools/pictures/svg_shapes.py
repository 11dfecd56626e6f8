"""Shapes and words of an SVG, and boxes to put them in."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

#: Of a letter, as a part of its height: the mean of a proportional font.
_WIDTH = 0.56


class Box(NamedTuple):
    """A place: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """Less so much at each side."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


def rectangle(box: Box, fill: str, *, stroke: str = "none", radius: float = 0) -> str:
    """A filled one."""
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{max(0, box.width):.1f}" height="{max(0, box.height):.1f}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}" rx="{radius}"/>'


def words(
    x: float,
    y: float,
    text: str,
    fill: str,
    *,
    size: float = 12,
    anchor: str = "start",
    bold: bool = False,
    room: float = 0,
) -> str:
    """A line of text; ``room``: as wide as it may be, what is longer is cut."""
    if room and len(text) * size * _WIDTH > room:
        text = text[: max(1, int(room / size / _WIDTH) - 1)].rstrip() + "…"
    weight = ' font-weight="600"' if bold else ""
    look = f'fill="{fill}" font-size="{size:g}" text-anchor="{anchor}"{weight}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'


def width_of(text: str, size: float = 12) -> float:
    """About how wide it is."""
    return len(text) * size * _WIDTH


def line(points: Iterable[tuple[float, float]], colour: str, *, width: float = 1.5, dashed: bool = False) -> str:
    """Through all points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    look = f'stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dash}'
    return f'<polyline points="{path}" fill="none" {look}/>'


def area(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], colour: str) -> str:
    """Between two lines."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)])
    return f'<polygon points="{path}" fill="{colour}" fill-opacity="0.55"/>'
