"""A host without series of single VMs: the core alerts, over texts that its exporter has really written."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from core.config.settings import Config
from core.state import vms
from core.state.database import State
from exporters import exposition
from tests.deploy import rules
from tests.deploy.alert_cases import HOST, UP, Case, named
from tests.deploy.test_alerts import moments, tried
from tests.host import Host

pytestmark = pytest.mark.slow

#: Minutes between two texts, and until the last.
STEP, END = 5, 400
#: When four of twelve VMs get a new copy.
MENDED = 300
#: Nobody has ever looked at its dumps.
UNWATCHED = "TidegateWatchFolderDown"
SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What Prometheus is told: of twelve VMs four have a copy from the hour 0 that may be two hours old."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.configure(exporters={"vm_series": False})
    config = host.config()
    state = State(config.state.path)
    with state.write() as connection:
        vms.save(connection, [_vm(f"vm{number:02}", 0.0 if number < 4 else 1e6) for number in range(12)])
    values: dict[str, list[str]] = defaultdict(list)
    for minute in range(0, END, STEP):
        if minute == MENDED:
            with state.write() as connection:
                vms.save(connection, [_vm(f"vm{number:02}", MENDED * 60.0) for number in range(4)])
        for name, value in _told(state, config, minute * 60.0).items():
            values[name].append(value)
    state.close()
    assert not any("vm=" in name for name in values)
    return {name: " ".join(each) for name, each in values.items()}


def _vm(name: str, offsite_time: float) -> vms.VmRow:
    return vms.new(name, None, 0.0)._replace(offsite_time=offsite_time, target=7200.0)


def _told(state: State, config: Config, now: float) -> dict[str, str]:
    """Series as promtool is told of them -> value. A histogram's is no name of a family."""
    found = SAMPLE.findall(exposition.render(state, config, now).decode())
    labels = [dict(re.findall(r'(\w+)="(.*?)"', each)) for _, each, _ in found]
    return {named(name, HOST, **more): value for (name, _, value), more in zip(found, labels, strict=True)}


#: The copies are past their target after two hours, past twice of it after four, and an alert waits a quarter of one.
CASES = {
    "TidegateVmStale": Case(
        {},
        27,
        28,
        MENDED // STEP,
        "Past the age that their off-site copies may have: 4 of the VMs on host:9877",
        also=("TidegateManyVmsStale", UNWATCHED),
        minutes=STEP,
    ),
    "TidegateManyVmsStale": Case(
        {},
        27,
        28,
        MENDED // STEP,
        "4 VMs of one host are stale, more than a quarter on host:9877",
        also=("TidegateVmStale", UNWATCHED),
        minutes=STEP,
    ),
    "TidegateRecoveryPointOld": Case(
        {},
        51,
        52,
        MENDED // STEP,
        "More than twice as old as they may be: the off-site copies of 4 VMs on host:9877",
        also=("TidegateVmStale", "TidegateManyVmsStale", UNWATCHED),
        minutes=STEP,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_core_alerts_fire_by_what_the_host_has_counted(name: str, series: dict[str, str], tmp_path: Path) -> None:
    tried(tmp_path, {**UP, **series}, STEP, **moments(name, CASES[name]))


def test_that_no_pass_has_ever_run_is_told_too(series: dict[str, str], tmp_path: Path) -> None:
    """Since the first VM was heard of; with passes that are meant to come each hour."""
    interval = named("tidegate_pass_interval_seconds", HOST)
    assert interval in series
    case = Case({}, 28, 29, END // STEP, "No pass has finished for 2h 25m 0s on host:9877", minutes=STEP)
    not_yet, fires, _ = moments("TidegatePassMissed", case)["alert_rule_test"]
    tried(tmp_path, {**UP, **series, interval: "3600x80"}, STEP, alert_rule_test=[not_yet, fires])


def test_the_readme_names_the_alerts_that_then_never_fire() -> None:
    """Those that ask for series of single VMs and for nothing else, by themselves or by what they have recorded."""
    every = [rule for group in rules.groups(rules.CORE, rules.MORE).values() for rule in group]
    recorded = {rule.name: rule.keys["expr"] for rule in every if rule.kind == "record"}
    silent = {rule.name for rule in every if rule.kind == "alert" and _asks_for_vms_only(rule.keys["expr"], recorded)}
    (line,) = [line for line in (rules.FOLDER / "README.md").read_text().splitlines() if "`vm_series = false`" in line]
    assert set(re.findall(r"`(Tidegate\w+)`", line.partition("number of VMs;")[2])) == silent


def _asks_for_vms_only(expression: str, recorded: dict[str, str]) -> bool:
    for name, asked in recorded.items():
        expression = re.sub(rf"{re.escape(name)}\b", f" {asked} ", expression)
    return "tidegate_vm_" in expression and "tidegate_vms_" not in expression
