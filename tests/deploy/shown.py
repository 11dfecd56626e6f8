"""The shipped dashboard as Grafana reads it: its panels, and what they ask for when nothing is chosen."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.clock import DAY
from tests.deploy import programs, rules
from tests.deploy.programs import Prometheus, Sample, await_true
from tests.host import ROOT

FILE = ROOT / "deploy" / "grafana" / "tidegate.json"
#: What it shows at first.
SPAN = 30 * DAY
STEPS = {"1d": DAY}

Json = dict[str, Any]


class Query(NamedTuple):
    """One of a panel. ``step`` in seconds, None: as of now alone."""

    reference: str
    expression: str
    legend: str
    step: float | None

    def ask(self, prometheus: Prometheus, now: float) -> list[Sample]:
        """What it finds. Its steps lie where Grafana lays them: at multiples of them since the epoch."""
        if self.step is None:
            return prometheus.query(self.expression, now)
        end = now // self.step * self.step
        return prometheus.query_range(self.expression, (now - SPAN) // self.step * self.step, end, self.step)


def dashboard() -> Json:
    shape: Json = json.loads(FILE.read_text())
    return shape


def variables() -> dict[str, Json]:
    """By name."""
    return {one["name"]: one for one in dashboard()["templating"]["list"]}


def filled(text: str) -> str:
    """``text`` with all that can be chosen in place of what is chosen."""
    for name, one in variables().items():
        text = re.sub(rf"\$({name}\b|{{{name}}})", one.get("allValue") or "", text)
    assert "$" not in text, text
    return text


def panels() -> list[Json]:
    """Rows left out."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries(panel: Json) -> Iterator[Query]:
    """All of a panel."""
    for target in panel["targets"]:
        yield Query(
            target["refId"],
            filled(target["expr"]),
            target.get("legendFormat", ""),
            None if target["instant"] else _step(panel),
        )


def _step(panel: Json) -> float:
    """Seconds between two points: as the panel says, or as many points as it wants."""
    return STEPS[panel["interval"]] if "interval" in panel else SPAN / float(panel["maxDataPoints"])


@contextmanager
def month(folder: Path, metrics: Path, *, hours: float) -> Iterator[Prometheus]:
    """A Prometheus that has scraped ``metrics`` each so many hours and judged it by the shipped rules, hurried."""
    rules.promtool("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=96h", metrics, folder / "data")
    each_second = f"global:\n  evaluation_interval: 1s\nrule_files:\n  - {rules.hurried(folder / 'rules')}/*.yml\n"
    back = ["--storage.tsdb.retention.time=10y", f"--query.lookback-delta={hours}h"]
    with programs.prometheus(folder, each_second, *back) as prometheus:
        await_true(prometheus.has_judged, prometheus.log)
        yield prometheus
