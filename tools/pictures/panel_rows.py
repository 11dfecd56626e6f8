"""The rows of the dashboard, each as one picture."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tests.deploy import shown
from tests.deploy.programs import Prometheus, Sample
from tests.deploy.shown import Json
from tools.pictures import charts, figures
from tools.pictures.charts import Series
from tools.pictures.colours import Theme
from tools.pictures.svg_shapes import Box, rectangle, words

WIDTH, GAP, HEIGHT = 1440.0, 8.0, 38.0
_FONT = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Drawn:
    """A panel, and what its queries have found: letter -> series."""

    panel: Json
    found: Mapping[str, Sequence[Sample]]
    legends: Mapping[str, str]

    @classmethod
    def of(cls, panel: Json, prometheus: Prometheus, now: float) -> "Drawn":
        """Asks for it."""
        asked = list(shown.queries(panel)) if "targets" in panel else []
        found = {query.reference: query.ask(prometheus, now) for query in asked}
        return cls(panel, found, {query.reference: query.legend for query in asked})

    def series(self) -> list[Series]:
        """By their legends."""
        return [
            Series(_named(self.legends[reference], one.labels), one.points)
            for reference, samples in self.found.items()
            for one in samples
        ]

    def box(self, top: float) -> Box:
        """Where Grafana's grid of 24 columns has it, below ``top`` rows of it."""
        place = self.panel["gridPos"]
        column = WIDTH / 24
        return Box(
            place["x"] * column + GAP / 2,
            (place["y"] - top) * HEIGHT + GAP / 2,
            place["w"] * column - GAP,
            place["h"] * HEIGHT - GAP,
        )


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def pages(drawn: Sequence[Drawn], theme: Theme, now: float) -> Iterator[tuple[str, str]]:
    """(Question as the name of a file, picture) of each row."""
    number = 0
    rows = []
    for one in drawn:
        number += one.panel["type"] == "row"
        rows.append((number, one))
    for _, group in groupby(rows, key=lambda pair: pair[0]):
        (row, *panels) = (one for _, one in group)
        name = re.sub(r"\W+", "-", row.panel["title"].lower()).strip("-")
        yield name, _picture(row, panels, theme, now)


def _picture(row: Drawn, panels: Sequence[Drawn], theme: Theme, now: float) -> str:
    top = row.panel["gridPos"]["y"]
    bottom = max(one.panel["gridPos"]["y"] + one.panel["gridPos"]["h"] for one in panels)
    height = (bottom - top) * HEIGHT + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" font-family="{_FONT}">',
        rectangle(Box(0, 0, WIDTH, height), theme.ground),
        words(14, 27, row.panel["title"], theme.words, size=17, bold=True),
    ]
    for one in panels:
        parts += _panel(one, one.box(top), theme, now)
    return "\n".join([*parts, "</svg>", ""])


def _panel(one: Drawn, box: Box, theme: Theme, now: float) -> Iterator[str]:
    yield rectangle(box, theme.panel, stroke=theme.border, radius=3)
    kind, panel = one.panel["type"], one.panel
    if kind == "stat":
        yield from figures.figure(box, panel, one.series(), theme)
        return
    yield words(box.x + 12, box.y + 22, panel["title"], theme.words, size=13, bold=True)
    inside = box.inside(0, 32, 0, 0)
    if kind == "table":
        yield from figures.table(inside, panel, one.found, theme)
    elif kind == "bargauge":
        yield from figures.beside(inside, panel, one.series(), theme)
    elif kind == "state-timeline":
        yield from charts.bands(inside, panel, one.series(), theme, now)
    else:
        yield from charts.chart(inside, panel, one.series(), theme, now)
