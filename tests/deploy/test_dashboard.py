"""The dashboard: of the shape that Grafana reads, and with something to show for every question it asks."""

import json
import math
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import click
import pytest
from filelock import FileLock

from deploy.grafana.builder.dashboard import RUNBOOKS, text
from exporters.exposition import CATALOGUE
from tests.clock import DAY, HOUR
from tests.deploy import rules, schema, shown
from tests.deploy.programs import Prometheus, Sample
from tests.host import ROOT, Host
from tests.service.running import service
from tests.shown_commands import BLOCK, mentioned, understood
from tests.waiting import WAIT_SECONDS, free_port
from tools.life.life import Life
from tools.pictures.colours import THEMES
from tools.pictures.panel_rows import Drawn, pages

pytestmark = pytest.mark.slow

PANELS = {panel["title"]: panel for panel in shown.panels()}
#: Of the real program, with a little before it: a day's bar begins a day earlier.
VMS, DAYS, HOURS = 20, 32, 4


# --- of the shape that Grafana reads


def test_the_file_is_what_the_builder_makes() -> None:
    """`make dashboard` was not forgotten."""
    assert shown.FILE.read_text() == text()


def test_grafanas_types_find_nothing_to_say() -> None:
    assert list(schema.faults(shown.FILE.read_text())) == []


def _panel(shape: Any, kind: str) -> Any:
    return next(panel for panel in shape["panels"] if panel["type"] == kind)


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (lambda shape: shape.update(refersh="5m"), ".refersh is unknown"),
        (lambda shape: shape.update(title=7), ".title is 7"),
        (lambda shape: _panel(shape, "stat").update(descripton=""), "descripton is unknown"),
        (lambda shape: _panel(shape, "stat")["options"].update(colourMode="value"), "colourMode is unknown"),
        (lambda shape: _panel(shape, "stat")["options"].update(colorMode="backgroud"), "color_mode is 'backgroud'"),
        (lambda shape: _panel(shape, "stat")["gridPos"].update(w="4"), "grid_pos.w is '4'"),
        (lambda shape: _panel(shape, "table")["targets"][0].update(instant="yes"), "instant is 'yes'"),
        (
            lambda shape: _panel(shape, "timeseries")["fieldConfig"]["defaults"]["custom"].update(linewidth=1),
            "linewidth",
        ),
        (lambda shape: shape["templating"]["list"][0].update(type="datasuorce"), "type_val is 'datasuorce'"),
    ],
    ids=["key", "title", "key of a panel", "option", "word", "width", "query", "chart", "variable"],
)
def test_a_mistake_is_found(planted: Callable[[Any], None], said: str) -> None:
    """Each was planted: what finds nothing above finds these."""
    shape = shown.dashboard()
    planted(shape)
    assert said in "\n".join(schema.faults(json.dumps(shape)))


def test_no_panel_lies_on_another() -> None:
    places = [panel["gridPos"] for panel in shown.dashboard()["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


# --- what is written on it


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_says_what_it_shows_in_which_unit_and_what_to_do(title: str) -> None:
    panel = PANELS[title]
    assert panel["description"].endswith(".")
    for words in mentioned(panel["description"]):
        with suppress(click.MissingParameter):  # `tidegate explain` is spoken of, not called
            understood(words)
    assert panel["type"] in ("table", "state-timeline") or panel["fieldConfig"]["defaults"]["unit"]
    for link in panel.get("links", []):
        page = link["url"].removeprefix("${runbooks}/")
        assert (ROOT / "docs" / "runbooks" / page).exists()


def test_the_pages_are_where_the_alerts_say_that_they_are() -> None:
    """So that one command gives both another place."""
    assert shown.variables()["runbooks"]["query"] == RUNBOOKS == rules.RUNBOOKS


def test_the_readme_shows_how_it_is_put_in_place_and_gets_the_pages_from_elsewhere(tmp_path: Path) -> None:
    lines = BLOCK.findall((shown.FILE.parent / "README.md").read_text())[0]
    command = lines.replace("/var/lib/grafana/dashboards", str(tmp_path))
    subprocess.run(command, shell=True, check=True, cwd=ROOT)
    put = json.loads((tmp_path / "tidegate" / "tidegate.json").read_text())
    assert put["templating"]["list"][-1]["query"] == "https://wiki.example.org/tidegate"


def test_a_vm_and_a_host_in_the_table_lead_to_pages_that_there_are(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    host = Host(tmp_path / "host", exporters={"http": {"listen": listen}})
    host.dump("vm1", 100)
    host.run("pass")
    links = [
        one["url"]
        for override in PANELS["VMs, worst first"]["fieldConfig"]["overrides"]
        for value in override["properties"]
        if value["id"] == "links"
        for one in value["value"]
        if one["title"] == "Its page"
    ]
    assert len(links) == 2
    with service(host):
        for link in links:
            meant = {"scheme": "http", "__data.fields.host": listen, "__data.fields.VM": "vm1"}
            address = re.sub(r"\${([\w.]+)}", lambda found: meant[found[1]], link)  # noqa: B023  # called at once
            with urllib.request.urlopen(address, timeout=WAIT_SECONDS) as answer:
                assert b"vm1" in answer.read()


def test_panels_ask_for_metrics_that_there_are() -> None:
    known = {family.name for family in CATALOGUE}
    for title, panel in PANELS.items():
        asked = set().union(*(rules.metrics(query.expression) for query in shown.queries(panel)))
        assert asked <= known, title


# --- what it shows


class Month(NamedTuple):
    """One of the real program: when it ended, its limit, bytes released above that by force, how many VMs."""

    end: float
    limit: int
    beyond: int
    vms: int


def lived(folder: Path) -> Month:
    """Lives it, if nobody has. What it says of itself is written last."""
    told = folder / "month.json"
    if not told.exists():
        life = Life(folder / "host", count=VMS, days=DAYS, end=time.time())
        life.live(every=HOURS)
        life.close()
        life.scrapes.write(folder / "metrics.openmetrics")
        told.write_text(json.dumps([life.clock.wall, life.limit, life.beyond, len(life.vms)]))
    return Month(*json.loads(told.read_text()))


class Shown(NamedTuple):
    """A month in a real Prometheus."""

    prometheus: Prometheus
    month: Month


@pytest.fixture(scope="module")
def shown_month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """One life for all processes that run tests; a Prometheus for each."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "month"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        month = lived(folder)
    metrics = folder / "metrics.openmetrics"
    with shown.month(tmp_path_factory.mktemp("prometheus"), metrics, hours=HOURS) as prometheus:
        yield Shown(prometheus, month)


def values(samples: list[Sample]) -> list[float]:
    """All of them; not a number is none."""
    return [value for one in samples for _, value in one.points if not math.isnan(value)]


@pytest.mark.parametrize("title", PANELS)
def test_every_query_of_a_panel_finds_something(title: str, shown_month: Shown) -> None:
    """Now or at some time of the month, also where nothing found is 0 found."""
    for query in shown.queries(PANELS[title]):
        now = query._replace(expression=query.expression.removesuffix(" or vector(0)"))
        ever = now._replace(step=HOUR)
        assert any(values(one.ask(shown_month.prometheus, time.time())) for one in (now, ever)), query


@pytest.mark.parametrize("name", [name for name, one in shown.variables().items() if one["type"] == "query"])
def test_there_is_something_to_choose(name: str, shown_month: Shown) -> None:
    asked = re.fullmatch(r"label_values\((.*), (\w+)\)", shown.variables()[name]["query"])
    assert asked is not None
    found = shown_month.prometheus.label_values(asked[2], shown.filled(asked[1]))
    assert len(found) == {"instance": 1, "backup_set": 3, "vm": shown_month.month.vms}[name]


def of(title: str, legend: str) -> shown.Query:
    return next(query for query in shown.queries(PANELS[title]) if query.legend == legend)


def test_the_bars_of_the_days_are_all_that_was_released_and_none_is_above_the_limit_but_by_force(
    shown_month: Shown,
) -> None:
    (released,) = of("Released each day", "released").ask(shown_month.prometheus, shown_month.month.end)
    first, last = released.points[0][0] - DAY, released.points[-1][0]
    counter = "tidegate_released_bytes_total"
    (before,), (after,) = (values(shown_month.prometheus.query(counter, at)) for at in (first, last))
    assert sum(value for _, value in released.points) == after - before
    above = [value - shown_month.month.limit for _, value in released.points if value > shown_month.month.limit]
    assert len(above) <= 1
    assert sum(above) <= shown_month.month.beyond


def test_the_parts_of_the_open_day_are_its_limit_and_what_was_forced_above_it(shown_month: Shown) -> None:
    title = "Where the open day's limit goes"
    parts = [
        query.ask(shown_month.prometheus, shown_month.month.end)[0].points for query in shown.queries(PANELS[title])
    ]
    for points in zip(*parts, strict=True):
        total = sum(value for _, value in points)
        assert shown_month.month.limit <= total <= shown_month.month.limit + shown_month.month.beyond


@pytest.mark.parametrize(
    ("title", "recorded"),
    [
        ("VMs, worst first", "tidegate:vm_target_used:ratio"),
        ("Limit the targets need", "tidegate:targets:density"),
    ],
)
def test_the_dashboard_and_the_alerts_work_it_out_alike(title: str, recorded: str, shown_month: Shown) -> None:
    """A VM that is stale here is one of which somebody is told."""
    rule = next(one for group in rules.groups(rules.CORE, rules.MORE).values() for one in group if one.name == recorded)
    query = next(shown.queries(PANELS[title]))._replace(step=None)
    told = shown_month.prometheus.query(rule.keys["expr"], shown_month.month.end - HOUR)
    found = query.ask(shown_month.prometheus, shown_month.month.end - HOUR)
    assert {one.labels.get("vm"): pytest.approx(one.points[0][1]) for one in told} == {
        one.labels.get("vm"): one.points[0][1] for one in found
    }
    assert told


@pytest.mark.parametrize("title", ["Stale VMs", "Without a copy"])
def test_a_host_without_series_of_single_vms_tells_as_many(title: str, shown_month: Shown) -> None:
    (query,) = shown.queries(PANELS[title])
    (told,) = values(query.ask(shown_month.prometheus, shown_month.month.end))
    assert told > 0
    without = query._replace(expression=query.expression.replace("tidegate_vm_", "tidegate_no_vm_"))
    assert values(without.ask(shown_month.prometheus, shown_month.month.end)) == [told]


@pytest.mark.parametrize("title", [title for title, panel in PANELS.items() if panel["type"] != "table"])
def test_no_two_series_of_a_panel_have_one_name(title: str, shown_month: Shown) -> None:
    """Else nobody knows which is which; a new label on a metric does that."""
    drawn = Drawn.of(PANELS[title], shown_month.prometheus, time.time())
    names = [series.name for series in drawn.series()]
    assert len(names) == len(set(names))


def test_the_dashboard_can_be_drawn(shown_month: Shown) -> None:
    """Each row with all its panels, into the files that are in the repository."""
    now = time.time()
    drawn = [Drawn.of(panel, shown_month.prometheus, now) for panel in shown.dashboard()["panels"]]
    pictures = {name: dict(pages(drawn, theme, now)) for name, theme in THEMES.items()}
    for rows in pictures.values():
        written = "".join("".join(ElementTree.fromstring(picture).itertext()) for picture in rows.values())
        assert [title for title in PANELS if title not in written] == []
    names = {f"{row}-{name}.svg" for name, rows in pictures.items() for row in rows}
    assert names == {file.name for file in (ROOT / "docs" / "dashboard").iterdir()}
