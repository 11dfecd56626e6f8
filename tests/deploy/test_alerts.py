"""The shipped alerts, as Prometheus' own tool reads them: when each fires, when not, and what is written of them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest

from exporters.catalogue import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = sorted(FOLDER.glob("*.rules.yml"))
WATCHER = FOLDER / "watcher.rules.yml"
TABLE = ROOT / "docs" / "RELIABILITY.md"
METRIC = re.compile(r"\btidegate_[a-z_]+")
ALERT = re.compile(r"\bTidegate[A-Z][A-Za-z]+")
ON = '{job="tidegate", instance="host:9877"}'
OF = '{job="tidegate", instance="host:9877", watch="dumps"}'
OF_VM = '{job="tidegate", instance="host:9877", vm="vm1"}'
LATE = "tidegate_marker_record_seconds"


class Case(NamedTuple):
    """``series``: name with labels -> values, one a minute. Minutes: the last before it fires, it fires, it is over."""

    series: Mapping[str, str]
    before: int
    fires: int
    clears: int


#: In each the first ten minutes are good ones.
CASES = {
    "TidegateServiceGone": Case({f"up{ON}": "1x9 0x19 1x30"}, 14, 15, 30),
    "TidegateStateUnreadable": Case({f"up{ON}": "1x60", f"tidegate_collect_success{ON}": "1x9 0x19 1x30"}, 14, 15, 30),
    "TidegateWatchFolderDown": Case({f"tidegate_watch_up{OF}": "1x9 0x19 1x30"}, 24, 25, 30),
    "TidegateScanOverdue": Case(
        {
            f"tidegate_watch_up{OF}": "1x120",
            f"tidegate_watch_last_scan_timestamp_seconds{OF}": "0+60x10 600x78 5400+60x30",
        },
        75,
        76,
        90,
    ),
    "TidegateWatchNotListening": Case({f"tidegate_watch_listening{OF}": "1x9 0x19 1x30"}, 24, 25, 30),
    "TidegateWatchOverflows": Case({f"tidegate_watch_overflows_total{OF}": "0x9 1x9 2x9 3x600"}, 29, 30, 390),
    "TidegateMarkersUnannounced": Case({f"tidegate_watch_unannounced_markers_total{OF}": "0x9 4x120"}, 9, 10, 70),
    "TidegateMarkersLate": Case(
        {
            f"{LATE}_count{ON}": "7+1x9 20x120",
            f'{LATE}_bucket{{job="tidegate", instance="host:9877", le="900"}}': "7+1x9 16x120",
            f'{LATE}_bucket{{job="tidegate", instance="host:9877", le="3600"}}': "7+1x9 20x120",
        },
        9,
        10,
        70,
    ),
    "TidegateDumpFailed": Case({f"tidegate_vm_last_dump_success{OF_VM}": "1x9 0x79 1x30"}, 69, 70, 90),
    "TidegateDumpShrunk": Case({f"tidegate_vm_last_dump_shrunk{OF_VM}": "0x9 1x79 0x30"}, 9, 10, 90),
    "TidegateVmWithoutBackup": Case({f"tidegate_hypervisor_vms_without_backup{ON}": "0x9 3x79 0x30"}, 69, 70, 90),
    "TidegateMoreThanWasLetOut": Case(
        {
            f"tidegate_wire_beyond_charge_bytes_total{ON}": "0x9 1000000000x1600",
            f"tidegate_day_limit_bytes{ON}": "10000000000x1700",
        },
        9,
        10,
        1460,
    ),
    "TidegateStorageIsNoMirror": Case({f"tidegate_links_sent_again_total{ON}": "3x9 5x1600"}, 9, 10, 1460),
}
#: The service gone from the configuration of Prometheus; figures of Prometheus 3; and what is to stay quiet.
VARIANTS = {
    "the job is not there": ("TidegateServiceGone", Case({f"up{ON}": "1x9 _x19 1x30"}, 19, 20, 30)),
    "read and not told by a log": (
        "TidegateStorageIsNoMirror",
        Case({f"tidegate_links_read_again_total{ON}": "0x9 1x1600"}, 9, 10, 1460),
    ),
    "another form of le": (
        "TidegateMarkersLate",
        CASES["TidegateMarkersLate"]._replace(
            series={name.replace('"900"', '"900.0"'): one for name, one in CASES["TidegateMarkersLate"].series.items()}
        ),
    ),
}
QUIET = {
    "TidegateDumpFailed": {f"tidegate_vm_last_dump_success{OF_VM}": "1x9 0x50 1x60"},
    "TidegateMoreThanWasLetOut": {
        f"tidegate_wire_beyond_charge_bytes_total{ON}": "0x9 100000000x110",
        f"tidegate_day_limit_bytes{ON}": "10000000000x120",
    },
    "TidegateWatchOverflows": {f"tidegate_watch_overflows_total{OF}": "0x9 1x9 2x100"},
    "TidegateScanOverdue": {
        f"tidegate_watch_up{OF}": "1x10 0x110",
        f"tidegate_watch_last_scan_timestamp_seconds{OF}": "0+60x10 600x110",
    },
    "TidegateMarkersLate": {
        f"{LATE}_count{ON}": "7+1x120",
        f'{LATE}_bucket{{job="tidegate", instance="host:9877", le="900"}}': "7+1x120",
    },
    "TidegateServiceGone": {f"up{ON}": "1x9 0x4 1x100"},
}


@pytest.fixture(autouse=True)
def promtool() -> None:
    if shutil.which("promtool") is None:
        assert not os.environ.get("CI"), "promtool is missing, and nobody would ever notice that"
        pytest.skip("promtool is missing; `make test` fetches it")


def run(*words: str | Path) -> None:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def tried(folder: Path, series: Mapping[str, str], firing: Mapping[int, Mapping[str, int]]) -> None:
    """Runs the rules over these series. ``firing``: minute -> alert -> how many of it fire then."""
    count = 'count(ALERTS{{alertname="{}", alertstate="firing"}}) or vector(0)'
    expected = [
        {"expr": count.format(alert), "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": number}]}
        for minute, alerts in firing.items()
        for alert, number in alerts.items()
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": expected,
    }
    file = folder / "test.yml"  # what is JSON is YAML
    file.write_text(
        json.dumps({"rule_files": [str(file) for file in RULES], "evaluation_interval": "1m", "tests": [test]})
    )
    run("test", "rules", file)


def rules(*files: Path) -> dict[str, dict[str, str]]:
    """Alert -> the keys below it, whatever their depth; a folded text is not among them. Of all files, or of these."""
    text = "".join(file.read_text() for file in files or RULES)
    parts = re.split(r"^      - alert: (\w+)$", text, flags=re.MULTILINE)[1:]
    return {
        name: dict(re.findall(r"^ +(\w+): ?(.*)$", text, flags=re.MULTILINE))
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def metrics(text: str) -> set[str]:
    """Names of families in a text."""
    return {re.sub(rf"^({LATE})_(count|bucket|sum)$", r"\1", name) for name in METRIC.findall(text)}


# --- when they fire


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_not_before_and_is_over(name: str, tmp_path: Path) -> None:
    """And no other one fires for the same cause."""
    case = CASES[name]
    up = {} if any(one.startswith("up{") for one in case.series) else {f"up{ON}": "1x1700"}
    nothing = dict.fromkeys(CASES, 0)
    tried(
        tmp_path,
        {**case.series, **up},
        {case.before: nothing, case.fires: nothing | {name: 1}, case.clears: nothing},
    )


@pytest.mark.parametrize(("name", "case"), VARIANTS.values(), ids=list(VARIANTS))
def test_it_fires_in_other_cases_too(name: str, case: Case, tmp_path: Path) -> None:
    tried(tmp_path, case.series, {case.before: {name: 0}, case.fires: {name: 1}, case.clears: {name: 0}})


@pytest.mark.parametrize("name", QUIET)
def test_it_keeps_quiet_where_there_is_nothing_to_do(name: str, tmp_path: Path) -> None:
    """Two overflows, a scan that a folder does without since it is down, a service that is started anew."""
    tried(tmp_path, QUIET[name], {minute: {name: 0} for minute in range(0, 110, 5)})


def test_every_alert_has_its_case() -> None:
    assert set(rules()) == set(CASES)


# --- what they say


def test_promtool_finds_nothing_to_say_about_the_rules() -> None:
    run("check", "rules", *RULES)


def test_every_alert_is_of_one_of_two_severities_and_says_what_to_do() -> None:
    for name, keys in rules().items():
        assert keys["severity"] in ("critical", "warning"), name
        assert keys["summary"], name
        assert "description" in keys, name


def test_alerts_ask_for_metrics_that_there_are() -> None:
    """`up` is Prometheus' own."""
    known = {family.name for family in FAMILIES}
    for name, keys in rules().items():
        assert metrics(keys["expr"]) <= known, name


def rows() -> list[dict[str, str]]:
    """Of the table of what can go wrong: heading -> cell."""
    lines = TABLE.read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if "| the alert |" in line)
    table = takewhile(lambda line: line.startswith("|"), lines[begin:])
    names, _, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in table)
    return [dict(zip(names, row, strict=True)) for row in cells]


def test_the_paper_names_the_metrics_and_alerts_that_there_are() -> None:
    """Every alert on the watcher has a row, and no row names another."""
    known = {family.name for family in FAMILIES}
    assert {alert for row in rows() for alert in ALERT.findall(row["the alert"])} == set(rules(WATCHER))
    assert {metric for row in rows() for metric in metrics(row["the metric that shows it"])} <= known


def test_in_each_row_the_alert_is_one_on_the_metric_beside_it() -> None:
    for row in rows():
        for alert in ALERT.findall(row["the alert"]):
            asked = metrics(rules()[alert]["expr"]) | set(re.findall(r"^up\b", rules()[alert]["expr"]))
            told = metrics(row["the metric that shows it"]) | set(
                re.findall(r"`(up)`", row["the metric that shows it"])
            )
            assert asked & told, (row["what happens"], alert)


def test_the_configuration_in_the_readme_is_one(tmp_path: Path) -> None:
    """With the rules where it says that they are."""
    text = (FOLDER / "README.md").read_text()
    (snippet,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert "/etc/prometheus/tidegate/*.rules.yml" in snippet
    file = tmp_path / "prometheus.yml"
    file.write_text(snippet.replace("/etc/prometheus/tidegate", str(FOLDER)))
    run("check", "config", file)
