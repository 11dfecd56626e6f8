"""The text of the metrics: what stands in it, what does not, and what becomes of it when something fails."""

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporters import families, text
from exporters.catalogue import FAMILIES
from exporters.family import Family
from tidegate.clock import Clock
from tidegate.config.model import Config
from tidegate.errors import FaultError
from tidegate.state import tallies, vms
from tidegate.state.door import State
from tidegate.terms import MarkerResult, Reason

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LABELS = {"vm", "backup_set", "reason", "state", "watch"}


def series(text: bytes) -> dict[str, float]:
    """Each series of a text, as it stands there, and its value."""
    found = re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text.decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


# --- the whole


def test_the_whole_text_is_the_one_that_was_looked_at(
    filled: State, config: Config, clock: Clock, same_as: Callable[[Path, str], None]
) -> None:
    """All of /metrics but what tells of this process."""
    loading = text.Loading(successful=True, at=1_795_000_000.0)
    ours, process, _ = text.scrape(filled, config, clock, loading).decode().partition("# HELP process_")
    assert process
    same_as(HERE / "metrics.golden", ours)


def test_promtool_finds_nothing_to_say(filled: State, config: Config, clock: Clock) -> None:
    """Names, units, types and help texts are as Prometheus wants them."""
    if shutil.which("promtool") is None:
        assert not os.environ.get("CI"), "promtool is missing, and nobody would ever notice that"
        pytest.skip("promtool is missing; `make test` fetches it")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text.scrape(filled, config, clock),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_family_is_exported_in_the_order_of_the_catalogue(state: State, config: Config, clock: Clock) -> None:
    """Also from an empty state: a family that nobody yields, or that nobody catalogued, is seen here."""
    headings = re.findall(r"^# TYPE (tidegate_\S+) (\S+)$", text.scrape(state, config, clock).decode(), re.MULTILINE)
    assert headings == [(family.name, family.type) for family in FAMILIES]


def test_the_same_state_gives_the_same_bytes(filled: State, config: Config) -> None:
    """Nothing depends on the hour or on the order of rows."""
    assert text.render(filled, config) == text.render(filled, config)


def test_labels_are_the_closed_list() -> None:
    """The version stands on no series but its own: elsewhere an upgrade would make every series a new one."""
    used = {label for family in FAMILIES if family.name != "tidegate_build_info" for label in family.labels}
    assert used == LABELS


def test_no_family_tells_an_age() -> None:
    """An age stands still when the exporter dies and goes on looking fresh; a time does not."""
    assert [family.name for family in FAMILIES if "age_seconds" in family.name] == []


# --- never, nothing and zero


def test_what_never_happened_has_no_series(state: State, config: Config) -> None:
    """A 0 would be read as the year 1970."""
    found = series(text.render(state, config))
    assert [name for name in found if "timestamp" in name or name.startswith("tidegate_day_")] == []


def test_words_are_exported_as_0_before_they_occur(state: State, config: Config) -> None:
    """The first occurrence is growth from 0 and not the birth of a series, which `increase()` does not see."""
    found = series(text.render(state, config))
    for reason in set(Reason) - {Reason.GRANTED}:
        assert found[f'tidegate_dumps_waiting{{reason="{reason}"}}'] == 0
        assert found[f'tidegate_dumps_waiting_bytes{{reason="{reason}"}}'] == 0
    for result in MarkerResult:
        assert found[f'tidegate_markers_total{{state="{result}"}}'] == 0
    for watch in ("dumps", "second"):
        assert found[f'tidegate_watch_overflows_total{{watch="{watch}"}}'] == 0


def test_a_watch_folder_that_was_never_looked_at_is_not_up(state: State, config: Config) -> None:
    """A failure must not look fresh, and neither must nothing at all."""
    assert series(text.render(state, config))['tidegate_watch_up{watch="dumps"}'] == 0


def test_a_watch_folder_that_left_the_configuration_has_no_series(filled: State, config: Config) -> None:
    """Nobody looks at it any more: it would alert for ever."""
    assert b"taken out" not in text.render(filled, config)


def test_the_allowance_is_never_negative(filled: State, config: Config) -> None:
    """Outstanding links of earlier days may weigh more than the limit of this one."""
    name = "tidegate_day_allowance_bytes"
    assert series(text.render(filled, config))[name] == 10e9 - 0.5e9 - 5e9 - 2e9
    with filled.write() as connection:
        connection.exec_driver_sql("UPDATE link SET bytes = 8000000000")
    assert series(text.render(filled, config))[name] == 0


@pytest.mark.parametrize(
    ("days", "interval"),
    [
        ([], 1),
        ([0, 7], 1),
        ([0, 0.1, 0.2, 1, 1.1, 1.2], 1),
        ([0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14], 3),
        ([0, 1, 2, 12, 13, 14], 1),
        ([0, 7, 14, 21], 7),
    ],
    ids=["none yet", "two", "after each dump job", "workdays", "a host that was down", "weekly"],
)
def test_how_often_passes_come_is_learned_where_another_scheduler_runs_them(
    days: list[float], interval: float, state: State, config: Config
) -> None:
    with state.write() as connection:
        for day in days:
            tallies.start_pass(connection, day * 86400.0)
    name = "tidegate_pass_interval_seconds"
    assert series(text.render(state, dataclasses.replace(config, pass_at=None)))[name] == interval * 86400
    assert series(text.render(state, config))[name] == 86400


# --- a VM's life


def test_a_retired_vm_has_no_series_at_once_and_its_neighbours_keep_theirs(filled: State, config: Config) -> None:
    """Only retiring does that: a VM that was dropped from its job must go on alerting."""
    before = text.render(filled, config)
    with filled.write() as connection:
        vms.change(connection, "mail", retired_at=1.0)
    after = text.render(filled, config)
    assert b'vm="mail"' in before
    assert [line for line in before.splitlines() if b'vm="mail"' not in line] == after.splitlines()


def test_a_vm_that_changes_its_set_keeps_its_series(filled: State, config: Config) -> None:
    """The set is told by one family of its own."""
    before = set(series(text.render(filled, config)))
    with filled.write() as connection:
        vms.change(connection, "db1", backup_set="daily")
    after = set(series(text.render(filled, config)))
    assert before - after == {'tidegate_vm_info{backup_set="weekly",vm="db1"}'}
    assert after - before == {'tidegate_vm_info{backup_set="daily",vm="db1"}'}


# --- restarts and failures


def test_a_restart_loses_no_counter(filled: State, config: Config) -> None:
    """Counters live in the state file."""
    before = text.render(filled, config)
    filled.close()
    again = State(config.state)
    assert text.render(again, config) == before
    again.close()


def test_the_scrape_waits_for_no_writer(filled: State, config: Config) -> None:
    """It sees the last transaction that was committed, while the next one is open."""
    before = text.render(filled, config)
    with filled.write() as connection:
        tallies.count(connection, "passes")
        assert text.render(filled, config) == before
    assert text.render(filled, config) != before


def broken(state: State) -> None:
    """Makes the state file what a dying disk makes of it."""
    state.close()
    state.path.write_bytes(b"no database" * 1000)


def test_an_unreadable_state_is_told_and_hides_nothing_else(filled: State, config: Config, clock: Clock) -> None:
    """No figure of it is left that could look fresh; the process and the version are still seen."""
    broken(filled)
    found = series(text.scrape(filled, config, clock))
    ours = {name: value for name, value in found.items() if name.startswith("tidegate_")}
    assert ours == {
        'tidegate_build_info{version="1.2.3"}': 1,
        "tidegate_collect_success": 0,
        "tidegate_collect_duration_seconds": 0.25,
    }
    assert "process_resident_memory_bytes" in found


def test_an_unreadable_state_leaves_no_textfile_to_write(filled: State, config: Config) -> None:
    """The file of before stays, and its age says so."""
    broken(filled)
    with pytest.raises(FaultError, match="the state file is damaged"):
        text.render(filled, config)


def test_a_bug_in_one_figure_is_logged_with_its_trace_and_is_no_error_of_the_scrape(
    filled: State,
    config: Config,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An answer of 500 would hide that the service lives."""
    monkeypatch.setattr(families, "_allowance", lambda *_: 1 // 0)
    assert series(text.scrape(filled, config, clock))["tidegate_collect_success"] == 0
    assert "ZeroDivisionError" in caplog.text


# --- the list of metrics


def row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.type} | {labels} | {family.help} |"


def test_the_list_of_metrics_is_the_one_in_the_program(same_as: Callable[[Path, str], None]) -> None:
    """docs/METRICS.md is the preface and the catalogue."""
    table = ["| name | type | labels | what to do with it |", "|---|---|---|---|", *map(row, FAMILIES)]
    preface = (HERE / "metrics.preface.md").read_text()
    same_as(ROOT / "docs" / "METRICS.md", preface + "\n".join(table) + "\n")
