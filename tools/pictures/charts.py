"""Charts over time: lines, bars of days, stacks, and bands of states."""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.clock import DAY
from tests.deploy.shown import SPAN, Json
from tools.pictures.amounts import amount
from tools.pictures.colours import Theme
from tools.pictures.svg_shapes import Box, area, line, rectangle, width_of, words

_MARKS = 4
_LEGEND = 24.0


class Series(NamedTuple):
    """A line of a chart: what it is called, and (time, value) of each point."""

    name: str
    points: Sequence[tuple[float, float]]


class Scale(NamedTuple):
    """Where times and values stand in a box. ``most`` is the largest value."""

    box: Box
    now: float
    most: float

    def x(self, time: float) -> float:
        return self.box.x + self.box.width * (time - self.now + SPAN) / SPAN

    def y(self, value: float) -> float:
        return self.box.y + self.box.height * (1 - value / self.most)

    def high(self, value: float) -> float:
        return self.box.height * value / self.most

    def points(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Those that it has room for."""
        return [
            (self.x(time), self.y(value))
            for time, value in points
            if not math.isnan(value) and time >= self.now - SPAN and value <= self.most
        ]


def chart(box: Box, panel: Json, series: Sequence[Series], theme: Theme, now: float) -> Iterator[str]:
    """A time series panel."""
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    colours = _colours(panel, series, theme)
    is_stacked = custom.get("stacking", {}).get("mode") == "normal"
    tops = _tops(series) if is_stacked else [one.points for one in series]
    steps = _steps(defaults) if "thresholdsStyle" in custom else []
    scale = Scale(
        box.inside(64, 6, 12, 20 + _LEGEND),
        now,
        defaults.get("max") or _most([*tops, [(0, value) for value, _ in steps]]),
    )
    yield from _grid(scale, defaults["unit"], theme)
    for value, colour in steps:
        ends = [(scale.box.x, scale.y(value)), (scale.box.x + scale.box.width, scale.y(value))]
        yield line(ends, theme.colour(colour), dashed=True)
    if custom.get("drawStyle") == "bars":
        yield from (_stacked_bars if is_stacked else _bars)(scale, series, colours)
    elif is_stacked:
        yield from _stack(scale, tops, list(colours.values()))
    else:
        for one in series:
            yield line(scale.points(one.points), colours[one.name])
    yield from legend(box, colours, theme)


def _most(lines: Sequence[Sequence[tuple[float, float]]]) -> float:
    """The end of a scale on which all of them have room."""
    return _round_up(max((value for points in lines for _, value in points if not math.isnan(value)), default=1) or 1)


def _colours(panel: Json, series: Sequence[Series], theme: Theme) -> dict[str, str]:
    """Name -> colour: what an override says, else one after the other."""
    said = {
        override["matcher"]["options"]: one["value"]["fixedColor"]
        for override in panel["fieldConfig"]["overrides"]
        for one in override["properties"]
        if one["id"] == "color"
    }
    return {
        one.name: theme.colour(said[one.name]) if one.name in said else theme.nth(n) for n, one in enumerate(series)
    }


def _steps(defaults: Json) -> list[tuple[float, str]]:
    return [(one["value"], one["color"]) for one in defaults["thresholds"]["steps"] if one["value"] is not None]


def _tops(series: Sequence[Series]) -> list[list[tuple[float, float]]]:
    """Of each series where it ends when it stands on those before."""
    times = sorted({time for one in series for time, _ in one.points})
    heights = dict.fromkeys(times, 0.0)
    tops = []
    for one in series:
        values = dict(one.points)
        heights = {time: heights[time] + values.get(time, 0) for time in times}
        tops.append(list(heights.items()))
    return tops


def _stack(scale: Scale, tops: Sequence[Sequence[tuple[float, float]]], colours: Sequence[str]) -> Iterator[str]:
    below = [(time, 0.0) for time, _ in tops[0]] if tops else []
    for top, colour in zip(tops, colours, strict=True):
        yield area(scale.points(top), scale.points(below), colour)
        below = list(top)


def _bars(scale: Scale, series: Sequence[Series], colours: Mapping[str, str]) -> Iterator[str]:
    """The bars of a day side by side; the limit is a line."""
    bars = [one for one in series if one.name != "limit"]
    wide = _day(scale) / max(1, len(bars))
    for number, one in enumerate(bars):
        for time, value in one.points:
            if value > 0 and time >= scale.now - SPAN:
                place = Box(
                    scale.x(time) + (number - len(bars) / 2) * wide, scale.y(value), wide - 0.5, scale.high(value)
                )
                yield rectangle(place, colours[one.name])
    for one in series:
        if one.name == "limit":
            yield line(scale.points(one.points), colours["limit"], width=2)


def _stacked_bars(scale: Scale, series: Sequence[Series], colours: Mapping[str, str]) -> Iterator[str]:
    """The parts of a day one on another."""
    wide = _day(scale)
    for one, top in zip(series, _tops(series), strict=True):
        values = dict(one.points)
        for time, height in top:
            if values.get(time, 0) > 0 and time >= scale.now - SPAN:
                place = Box(scale.x(time) - wide / 2, scale.y(height), wide, scale.high(values[time]))
                yield rectangle(place, colours[one.name])


def _day(scale: Scale) -> float:
    """How wide one is, less what is between two."""
    return (scale.x(DAY) - scale.x(0)) * 0.8


def _grid(scale: Scale, unit: str, theme: Theme) -> Iterator[str]:
    for number in range(_MARKS + 1):
        value = scale.most * number / _MARKS
        y = scale.y(value)
        yield line([(scale.box.x, y), (scale.box.x + scale.box.width, y)], theme.grid, width=1)
        yield words(scale.box.x - 8, y + 4, amount(value, unit), theme.less, size=11, anchor="end")
    yield from _dates(scale, theme)


def _dates(scale: Scale, theme: Theme) -> Iterator[str]:
    every = 5 if scale.box.width > 400 else 10
    for back in range(every, int(SPAN // DAY), every):
        time = scale.now // DAY * DAY - back * DAY
        date = datetime.datetime.fromtimestamp(time, datetime.UTC)
        y = scale.box.y + scale.box.height
        yield words(scale.x(time), y + 16, f"{date:%d %b}", theme.less, size=11, anchor="middle")


def _round_up(value: float) -> float:
    """The next larger number that four marks divide nicely."""
    power = float(10 ** math.floor(math.log10(value)))
    return next(nice * power for nice in (1, 1.2, 1.6, 2, 2.4, 2.8, 3.2, 4, 4.8, 6, 8, 10) if nice * power >= value)


def legend(box: Box, colours: Mapping[str, str], theme: Theme) -> Iterator[str]:
    """Below a chart, in one line, as many as have room."""
    x, y = box.x + 14, box.y + box.height - 10
    for name, colour in colours.items():
        if x + width_of(name, 11) + 30 > box.x + box.width:
            yield words(x, y, "…", theme.less, size=11)
            return
        yield rectangle(Box(x, y - 7, 12, 4), colour, radius=2)
        yield words(x + 17, y, name, theme.words, size=11)
        x += width_of(name, 11) + 36


def bands(box: Box, panel: Json, series: Sequence[Series], theme: Theme, now: float) -> Iterator[str]:
    """A state timeline: a band for each series, coloured by what its values are mapped to."""
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    scale = Scale(box.inside(280, 6, 12, 20 + _LEGEND), now, 1)
    each = scale.box.height / max(1, len(series))
    for number, one in enumerate(series):
        y = scale.box.y + number * each
        yield words(scale.box.x - 8, y + each / 2 + 4, one.name, theme.words, size=11, anchor="end", room=270)
        for begin, end, value in _runs(one):
            colour = mapping["options"][f"{value:.0f}"]["color"]
            x, right = max(scale.box.x, scale.x(begin)), min(scale.x(end), scale.box.x + scale.box.width)
            yield rectangle(Box(x, y + each * 0.15, right - x, each * 0.7), theme.colour(colour))
    yield from _dates(scale, theme)
    yield from legend(box, {one["text"]: theme.colour(one["color"]) for one in mapping["options"].values()}, theme)


def _runs(series: Series) -> Iterator[tuple[float, float, float]]:
    """(begin, end, value) of each time in which a value stands and none is missing."""
    step = min(later[0] - one[0] for one, later in pairwise(series.points))
    begin = series.points[0][0]
    for (time, value), (later, other) in pairwise([*series.points, (math.inf, math.nan)]):
        if value != other or later > time + 1.5 * step:
            yield begin, time + step, value
            begin = later
