"""The shipped alerts, as Prometheus' own tool reads them: when each fires, when not, and what is written of them."""

import json
import re
from collections.abc import Collection, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from exporters.exposition import CATALOGUE
from tests.deploy import rules
from tests.deploy.alert_cases import CASES, CORE, MORE, QUIET, UP, VARIANTS, Case
from tests.deploy.rules import promtool
from tests.host import ROOT

pytestmark = pytest.mark.slow

TABLE = ROOT / "docs" / "RELIABILITY.md"
ALERT = re.compile(r"\bTidegate[A-Z][A-Za-z]+")
#: Fires always.
WATCHDOG = "TidegateWatchdog"
KNOWN = {family.name for family in CATALOGUE}


def tried(folder: Path, series: Mapping[str, str], minutes: int, **tests: Any) -> None:
    """Runs the rules over these series, with one of them every so many ``minutes``."""
    test = {
        "interval": f"{minutes}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        **tests,
    }
    told = {"rule_files": [str(rules.CORE), str(rules.MORE)], "evaluation_interval": f"{minutes}m", "tests": [test]}
    file = folder / "test.yml"  # what is JSON is YAML
    file.write_text(json.dumps(told))
    promtool("test", "rules", file)


def firing(name: str, case: Case) -> dict[str, Any]:
    """The one alert with all that is said of it."""
    keys = rules.alerts()[name]
    annotations = {
        "summary": case.says,
        "description": rules.filled(keys["description"], case.labels),
        "runbook_url": f"{rules.RUNBOOKS}/{name}.md",
    }
    return {"exp_labels": {**case.labels, "severity": keys["severity"]}, "exp_annotations": annotations}


def others(names: Collection[str]) -> str:
    """Asks how many fire besides these."""
    return f'count(ALERTS{{alertstate="firing", alertname!~"{"|".join(names)}"}}) or vector(0)'


def asked(expression: str, minute: int, number: int) -> dict[str, Any]:
    """What promtool is to find."""
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": number}]}


def moments(name: str, case: Case) -> dict[str, Any]:
    """Not before, then with these words, to the end, and over; and no other one for the same cause."""

    def told(step: int, *alerts: Mapping[str, Any]) -> dict[str, Any]:
        return {"alertname": name, "eval_time": f"{step * case.minutes}m", "exp_alerts": alerts}

    fires = f'count(count by (alertname) (ALERTS{{alertstate="firing", alertname="{name}"}}))'
    last = asked(fires, (case.clears - 1) * case.minutes, 1)
    alone = asked(others((WATCHDOG, name, *case.also)), case.fires * case.minutes, 0)
    every = (told(case.before), told(case.fires, firing(name, case)), told(case.clears))
    return {"alert_rule_test": every, "promql_expr_test": [last, alone]}


# --- when they fire


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_not_before_and_is_over(name: str, tmp_path: Path) -> None:
    """And no other one fires for the same cause."""
    case = CASES[name]
    tried(tmp_path, {**UP, **case.series}, case.minutes, **moments(name, case))


@pytest.mark.parametrize(("name", "case"), VARIANTS.values(), ids=list(VARIANTS))
def test_it_fires_in_other_cases_too(name: str, case: Case, tmp_path: Path) -> None:
    series = {**UP, **case.series} if name != "TidegateServiceGone" else case.series
    tried(tmp_path, series, case.minutes, **moments(name, case))


@pytest.mark.parametrize(("name", "series", "steps", "minutes"), QUIET.values(), ids=list(QUIET))
def test_it_keeps_quiet_where_there_is_nothing_to_do(
    name: str, series: Mapping[str, str], steps: int, minutes: int, tmp_path: Path
) -> None:
    times = range(0, steps * minutes, 5 * minutes)
    none = [{"alertname": name, "eval_time": f"{minute}m", "exp_alerts": ()} for minute in times]
    tried(tmp_path, series, minutes, alert_rule_test=none)


def test_one_fires_always_so_that_its_silence_is_heard(tmp_path: Path) -> None:
    """Also where no host tells anything."""
    case = Case({}, 0, 0, 0, "Alerts on Tidegate arrive", {})
    always = [
        {"alertname": WATCHDOG, "eval_time": time, "exp_alerts": [firing(WATCHDOG, case)]} for time in ("0m", "9h")
    ]
    tried(tmp_path, {}, 1, alert_rule_test=always)


def test_every_alert_has_its_case() -> None:
    assert set(rules.alerts(rules.CORE)) == {*CORE, WATCHDOG}
    assert set(rules.alerts(rules.MORE)) == set(MORE)


# --- what they say


def test_promtool_finds_nothing_to_say_about_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", rules.CORE, rules.MORE)


def test_each_file_is_of_use_without_the_other() -> None:
    """What is recorded in one is asked for in that one only."""
    for file in (rules.CORE, rules.MORE):
        every = [rule for group in rules.groups(file).values() for rule in group]
        asked = {name for rule in every for name in re.findall(r"\btidegate:[a-z_:]+", rule.keys["expr"])}
        assert asked == {rule.name for rule in every if rule.kind == "record"}


def test_every_alert_is_of_one_of_two_severities() -> None:
    for name, keys in rules.alerts().items():
        assert keys["severity"] in (("none",) if name == WATCHDOG else ("critical", "warning")), name


def test_rules_ask_for_metrics_that_there_are() -> None:
    """`up` is Prometheus' own; others are node_exporter's."""
    every = [rule for group in rules.groups(rules.CORE, rules.MORE).values() for rule in group]
    for rule in every:
        assert rules.metrics(rule.keys["expr"]) <= KNOWN, rule.name


def rows() -> list[dict[str, str]]:
    """Of the table of what can go wrong: heading -> cell."""
    lines = TABLE.read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if "| the alert |" in line)
    table = takewhile(lambda line: line.startswith("|"), lines[begin:])
    names, _, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in table)
    return [dict(zip(names, row, strict=True)) for row in cells]


def test_the_paper_names_the_metrics_and_alerts_that_there_are() -> None:
    """Every alert on the watcher has a row, and no row names another."""
    watcher = {rule.name for rule in rules.groups(rules.MORE)["tidegate-watcher"]} | {"TidegateServiceGone"}
    assert {alert for row in rows() for alert in ALERT.findall(row["the alert"])} == watcher
    assert {metric for row in rows() for metric in rules.metrics(row["the metric that shows it"])} <= KNOWN


def test_in_each_row_the_alert_is_one_on_the_metric_beside_it() -> None:
    for row in rows():
        for alert in ALERT.findall(row["the alert"]):
            asked = rules.alerts()[alert]["expr"]
            told = row["the metric that shows it"]
            both = rules.metrics(asked) & rules.metrics(told)
            assert both or (re.match(r"up\b", asked) and "`up`" in told), (row["what happens"], alert)


def test_the_configuration_in_the_readme_is_one(tmp_path: Path) -> None:
    """With the rules where it says that they are."""
    snippet = rules.snippet("prometheus.yml")
    assert "/etc/prometheus/tidegate/*.rules.yml" in snippet
    file = tmp_path / "prometheus.yml"
    file.write_text(snippet.replace("/etc/prometheus/tidegate", str(rules.FOLDER)))
    promtool("check", "config", file)
