"""What is as of now: large figures, bars beside each other, tables."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from tests.deploy.programs import Sample
from tests.deploy.shown import Json
from tools.pictures.amounts import amount
from tools.pictures.charts import Series
from tools.pictures.colours import Theme
from tools.pictures.svg_shapes import Box, line, rectangle, words

_ROW = 30.0


def figure(box: Box, panel: Json, series: Sequence[Series], theme: Theme) -> Iterator[str]:
    """A large one; its panel has the colour of what it has reached."""
    defaults = panel["fieldConfig"]["defaults"]
    value = series[0].points[-1][1]
    is_coloured = panel["options"]["colorMode"] == "background_solid"
    if is_coloured:
        yield rectangle(box, theme.colour(reached(defaults["thresholds"], value)), radius=3)
    fill = "#ffffff" if is_coloured else theme.words
    yield words(box.x + 12, box.y + 22, panel["title"], fill, size=13, bold=True, room=box.width - 16)
    middle = box.x + box.width / 2
    yield words(
        middle, box.y + box.height * 0.72, amount(value, defaults["unit"]), fill, size=38, anchor="middle", bold=True
    )


def reached(thresholds: Json, value: float) -> str:
    """The colour of the last step that is not above it."""
    return str([one["color"] for one in thresholds["steps"] if one["value"] is None or one["value"] <= value][-1])


def beside(box: Box, panel: Json, series: Sequence[Series], theme: Theme) -> Iterator[str]:
    """A bar for each series."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    most = max(one.points[-1][1] for one in series)
    inside = box.inside(14, 8, 14, 10)
    each = min(40, inside.height / len(series))
    for number, one in enumerate(series):
        value, y = one.points[-1][1], inside.y + number * each
        bar = Box(inside.x + 150, y + each * 0.2, inside.width - 220, each * 0.6)
        yield words(inside.x, y + each / 2 + 4, one.name, theme.words)
        yield rectangle(bar, theme.grid)
        yield rectangle(bar._replace(width=bar.width * value / most), theme.colour("light-blue"))
        end = inside.x + inside.width
        yield words(end, y + each / 2 + 4, amount(value, unit), theme.words, anchor="end", bold=True)


# --- tables


class Column(NamedTuple):
    """Where it is, what it is called, and what the panel says of its looks."""

    source: str
    heading: str
    properties: Json
    x: float
    width: float


def table(box: Box, panel: Json, found: Mapping[str, Sequence[Sample]], theme: Theme) -> Iterator[str]:
    """As many rows as have room. ``found``: letter of a query -> its series."""
    columns = _columns(box, panel)
    for one in columns:
        yield words(one.x + 6, box.y + 18, one.heading, theme.colour("blue"), bold=True, room=one.width - 12)
    rows = _sorted(_merged(found), panel, {one.heading: one.source for one in columns})
    for number, row in enumerate(rows[: int((box.height - 30) // _ROW)]):
        y = box.y + 28 + number * _ROW
        yield line([(box.x + 8, y), (box.x + box.width - 8, y)], theme.grid, width=1)
        for one in columns:
            yield from _cell(one, row.get(one.source), y, theme)


def _columns(box: Box, panel: Json) -> list[Column]:
    (order,) = (one["options"] for one in panel["transformations"] if one["id"] == "organize")
    names = sorted(order["indexByName"], key=lambda name: int(order["indexByName"][name]))
    told = [(name, order["renameByName"][name], _properties(panel, order["renameByName"][name])) for name in names]
    widths = [properties.get("custom.width", 0) for *_, properties in told]
    each = (box.width - 16 - sum(widths)) / widths.count(0)
    ends = accumulate((width or each for width in widths), initial=box.x + 8)
    return [Column(*one, x, width or each) for one, x, width in zip(told, ends, widths, strict=False)]


def _cell(column: Column, value: str | float | None, y: float, theme: Theme) -> Iterator[str]:
    text, fill, properties = value if isinstance(value, str) else "", theme.words, column.properties
    if isinstance(value, float) and "mappings" in properties:
        told = properties["mappings"][0]["options"][f"{value:.0f}"]
        text, fill = told["text"], theme.colour(told["color"])
    elif isinstance(value, float):
        text = amount(value, properties.get("unit", "none"))
        if "thresholds" in properties:
            colour = theme.colour(reached(properties["thresholds"], value))
            yield rectangle(Box(column.x, y + 1, column.width - 4, _ROW - 2), colour, radius=2)
            fill = "#ffffff"
    yield words(column.x + 6, y + 20, text, fill, room=column.width - 12)


def _merged(found: Mapping[str, Sequence[Sample]]) -> list[dict[str, str | float]]:
    """A row for each set of labels."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, str | float]] = {}
    for reference, samples in found.items():
        for one in samples:
            row = rows.setdefault(tuple(sorted(one.labels.items())), {**one.labels})
            row[f"Value #{reference}"] = one.points[-1][1]
    return list(rows.values())


def _sorted(rows: list[dict[str, str | float]], panel: Json, names: Mapping[str, str]) -> list[dict[str, str | float]]:
    """By the one column that the panel names; rows without it are last."""
    (by,) = panel["options"]["sortBy"]
    name = names[by["displayName"]]
    known, others = [row for row in rows if name in row], [row for row in rows if name not in row]
    return sorted(known, key=itemgetter(name), reverse=by["desc"]) + others


def _properties(panel: Json, heading: str) -> Json:
    return {
        one["id"]: one["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == heading
        for one in override["properties"]
    }
