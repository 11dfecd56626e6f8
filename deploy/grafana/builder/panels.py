"""The kinds of panels, each with what all panels of its kind have in common."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATA_SOURCE = DataSourceRef("prometheus", "${datasource}")
GREEN, ORANGE, RED, GREY = "green", "orange", "red", "#8e8e8e"
#: Of a metric that is 1 on success.
SUCCESS = {"1": ("OK", GREEN), "0": ("failing", RED)}

Kind = TypeVar("Kind", bargauge.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)


class About(NamedTuple):
    """What is written on a panel, how wide it is (of 24), and whose runbook it leads to."""

    title: str
    description: str
    width: int
    runbook: str = ""


class Steps(NamedTuple):
    """The values from which on something is worth a look, and is bad."""

    warning: float
    bad: float


DAY = 86_400
#: Of a line, however wide its panel is: over thousands of VMs each costs Prometheus something.
POINTS = 240
#: A VM is stale at 1, and the alert on it critical at 2.
TARGETS = Steps(1, 2)


def link(title: str, url: str) -> dashboard.DashboardLink:
    """One that opens beside the dashboard."""
    return dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)


def over_time(expression: str, legend: str, reference: str) -> prometheus.Dataquery:
    """Over the time that is shown."""
    return prometheus.Dataquery().expr(expression).range().legend_format(legend).ref_id(reference)


def as_of_now(expression: str, legend: str = "") -> prometheus.Dataquery:
    """The newest value alone: over a month the last of many may be hours old."""
    return prometheus.Dataquery().expr(expression).instant().legend_format(legend).ref_id("A")


def in_columns(expression: str, reference: str) -> prometheus.Dataquery:
    """As of now, with a column for each label."""
    return prometheus.Dataquery().expr(expression).instant().format(PromQueryFormat.TABLE).ref_id(reference)


def thresholds(steps: Steps | None) -> dashboard.ThresholdsConfig:
    """Green up to the first step; without steps nothing is judged."""
    colours = [Threshold(None, GREY if steps is None else GREEN)]
    if steps is not None:
        colours += [Threshold(steps.warning, ORANGE), Threshold(steps.bad, RED)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(colours)


def mapped(words: Mapping[str, tuple[str, str]]) -> list[ValueMapping]:
    """Value -> what it is called, and its colour."""
    return [ValueMap({value: ValueMappingResult(text=text, color=colour) for value, (text, colour) in words.items()})]


def _placed(panel: Kind, about: About, height: int) -> Kind:
    panel.title(about.title).description(about.description).datasource(DATA_SOURCE).span(about.width).height(height)
    if about.runbook:
        panel.links([link(f"What to do: {about.runbook}", f"${{runbooks}}/{about.runbook}.md")])
    return panel


def figure(about: About, expression: str, unit: str, steps: Steps | None = None) -> stat.Panel:
    """One value, large; coloured where it is judged."""
    panel = (
        stat.Panel()
        .unit(unit)
        .thresholds(thresholds(steps))
        .color_mode(kinds.BigValueColorMode.BACKGROUND_SOLID if steps else kinds.BigValueColorMode.NONE)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(as_of_now(expression))
    )
    return _placed(panel, about, height=4)


def lines(
    about: About,
    queries: Mapping[str, str],
    unit: str,
    *,
    steps: Steps | None = None,
    colours: Mapping[str, str] = {},
    stacked: bool = False,
    most: float | None = None,
) -> timeseries.Panel:
    """Legend -> expression. ``steps`` are drawn as lines of their own; what is above ``most`` is not drawn."""
    panel = _chart(about, queries, unit, colours).max_data_points(POINTS).min(0)
    if most is not None:
        panel.max(most)
    if steps is not None:
        dashed = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(thresholds(steps)).thresholds_style(dashed)
    if stacked:
        panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL)).fill_opacity(40).line_width(0)
    return panel


def days(
    about: About, queries: Mapping[str, str], unit: str, *, limit: str = "", colours: Mapping[str, str] = {}
) -> timeseries.Panel:
    """A bar a day for each legend; ``limit`` is an expression that is drawn as a line above them."""
    drawn = {**queries, "limit": limit} if limit else queries
    panel = _chart(about, drawn, unit, colours).interval("1d").min(0)
    panel.draw_style(kinds.GraphDrawStyle.BARS).fill_opacity(70).line_width(0)
    if limit:
        panel.override_by_name("limit", _LIMIT)
    return panel


def stacked_days(about: About, queries: Mapping[str, str], unit: str) -> timeseries.Panel:
    """A bar a day, of parts that add up."""
    return days(about, queries, unit).stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))


_LIMIT = [
    DynamicConfigValue("custom.drawStyle", kinds.GraphDrawStyle.LINE),
    DynamicConfigValue("custom.lineInterpolation", kinds.LineInterpolation.STEP_AFTER),
    DynamicConfigValue("custom.lineWidth", 2),
    DynamicConfigValue("custom.fillOpacity", 0),
    DynamicConfigValue("color", {"mode": FieldColorModeId.FIXED, "fixedColor": RED}),
]


def _chart(about: About, queries: Mapping[str, str], unit: str, colours: Mapping[str, str]) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .unit(unit)
        .line_width(2)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).placement(kinds.LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    )
    for reference, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False):
        panel.with_target(over_time(expression, legend, reference))
    for name, colour in colours.items():
        panel.override_by_name(
            name, [DynamicConfigValue("color", {"mode": FieldColorModeId.FIXED, "fixedColor": colour})]
        )
    return _placed(panel, about, height=8)


def bars(about: About, expression: str, legend: str, unit: str) -> bargauge.Panel:
    """As of now, one bar for each series, the longest as long as there is room."""
    panel = (
        bargauge.Panel()
        .unit(unit)
        .min(0)
        .thresholds(thresholds(None))
        .display_mode(kinds.BarGaugeDisplayMode.BASIC)
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("none")
        .with_target(as_of_now(expression, legend))
    )
    return _placed(panel, about, height=8)


def states(about: About, queries: Mapping[str, str]) -> statetimeline.Panel:
    """Legend -> expression of 0 and 1."""
    panel = (
        statetimeline.Panel()
        .max_data_points(POINTS)
        .mappings(mapped(SUCCESS))
        .show_value(kinds.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).placement(kinds.LegendPlacement.BOTTOM))
    )
    for reference, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False):
        panel.with_target(over_time(expression, legend, reference))
    return _placed(panel, about, height=8)


def width(pixels: int) -> DynamicConfigValue:
    """Of a column; the others share what is left."""
    return DynamicConfigValue("custom.width", pixels)


def links(**urls: str) -> DynamicConfigValue:
    """Where the values of a column lead; ``_`` in a title is a space."""
    return DynamicConfigValue("links", [{"title": title.replace("_", " "), "url": url} for title, url in urls.items()])


class Column(NamedTuple):
    """Of a table: its heading, the label or the query's letter that it is of, and how it looks."""

    heading: str
    source: str
    properties: Sequence[DynamicConfigValue] = ()


def rows(
    about: About, queries: Mapping[str, str], columns: Sequence[Column], *, height: int, first: tuple[str, bool]
) -> table.Panel:
    """Letter -> expression, joined by their labels, all but the job in a column.

    ``first``: the column to sort by, and whether its largest are first.
    """
    panel = table.Panel().cell_height(kinds.TableCellHeight.SM).no_value("none").thresholds(thresholds(None))
    for reference, expression in queries.items():
        panel.with_target(in_columns(expression, reference))
    names = {column.source if len(column.source) > 1 else f"Value #{column.source}": column for column in columns}
    order = {
        "excludeByName": dict.fromkeys(("Time", "Value", "job"), True),
        "indexByName": {name: number for number, name in enumerate(names)},
        "renameByName": {name: column.heading for name, column in names.items()},
    }
    panel.with_transformation(DataTransformerConfig("merge", options={}))
    panel.with_transformation(DataTransformerConfig("organize", options=order))
    for column in columns:
        if column.properties:
            panel.override_by_name(column.heading, list(column.properties))
    heading, falls = first
    panel.sort_by([common.TableSortByFieldState().display_name(heading).desc(falls)])
    return _placed(panel, about, height)
