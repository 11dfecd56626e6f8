"""The text of the metrics: what stands in it, what does not, and what becomes of it when something fails."""

import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.clock import Clock
from core.config.settings import Config, Exporters, PassSettings
from core.enums import MarkerResult
from core.errors import FaultError
from core.reasons import Reason
from core.state import counters, vms
from core.state.database import State
from exporters.exposition import CATALOGUE, Exposition, render
from exporters.families import Heading
from exporters.host_metrics import Loading
from tests.exporters.conftest import NOW
from tests.exporters.filled import DAY, START
from tests.real_parts import needs_program

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LABELS = {"vm", "backup_set", "reason", "state", "watch", "collector"}


def series(text: bytes) -> dict[str, float]:
    """Each series of a text, as it stands there, and its value."""
    found = re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text.decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


def of_vms(text: bytes) -> list[bytes]:
    """The lines of single VMs."""
    return [line for line in text.splitlines() if b"{" in line and b'vm="' in line]


# --- the whole


def test_the_whole_text_is_the_one_that_was_looked_at(
    exposition: Exposition, config: Config, same_as: Callable[[Path, str], None]
) -> None:
    """All of /metrics but what tells of this process."""
    loading = Loading(successful=True, at=1_795_000_000.0)
    ours, process, _ = exposition.text(config, loading).decode().partition("# HELP process_")
    assert process
    same_as(HERE / "metrics.golden", ours)


def test_promtool_finds_nothing_to_say(exposition: Exposition, config: Config) -> None:
    """Names, units, types and help texts are as Prometheus wants them."""
    needs_program("promtool")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition.text(config),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_family_is_exported_in_the_order_of_the_catalogue(state: State, config: Config, clock: Clock) -> None:
    """Also from an empty state: a family that nobody yields, or that nobody catalogued, is seen here."""
    with closing(Exposition(state, clock)) as exposition:
        answer = exposition.text(config).decode()
    headings = re.findall(r"^# TYPE (tidegate_\S+) (\S+)$", answer, re.MULTILINE)
    assert headings == [(family.name, family.type) for family in CATALOGUE]


def test_the_same_state_gives_the_same_bytes(filled: State, config: Config) -> None:
    """Nothing depends on the hour or on the order of rows."""
    assert render(filled, config, NOW) == render(filled, config, NOW)


def test_labels_are_the_closed_list() -> None:
    """The version stands on no series but its own: elsewhere an upgrade would make every series a new one."""
    used = {label for family in CATALOGUE if family.name != "tidegate_build_info" for label in family.labels}
    assert used == LABELS


def test_no_family_tells_an_age() -> None:
    """An age stands still when the exporter dies and goes on looking fresh; a time does not."""
    assert [family.name for family in CATALOGUE if "age_seconds" in family.name] == []


# --- never, nothing and zero


def test_what_never_happened_has_no_series(state: State, config: Config) -> None:
    """A 0 would be read as the year 1970."""
    found = series(render(state, config, NOW))
    assert [name for name in found if "timestamp" in name or name.startswith("tidegate_day_")] == []


def test_words_are_exported_as_0_before_they_occur(state: State, config: Config) -> None:
    """The first occurrence is growth from 0 and not the birth of a series, which `increase()` does not see."""
    found = series(render(state, config, NOW))
    for reason in set(Reason) - {Reason.RELEASED, Reason.NEXT_PASS}:
        assert found[f'tidegate_dumps_waiting{{reason="{reason}"}}'] == 0
        assert found[f'tidegate_dumps_waiting_bytes{{reason="{reason}"}}'] == 0
    for result in MarkerResult:
        assert found[f'tidegate_markers_total{{state="{result}"}}'] == 0
    for watch in ("dumps", "second"):
        assert found[f'tidegate_watch_overflows_total{{watch="{watch}"}}'] == 0


def test_a_watch_folder_that_was_never_looked_at_is_not_up(state: State, config: Config) -> None:
    """A failure must not look fresh, and neither must nothing at all."""
    assert series(render(state, config, NOW))['tidegate_watch_up{watch="dumps"}'] == 0


def test_a_watch_folder_that_left_the_configuration_has_no_series(filled: State, config: Config) -> None:
    """Nobody looks at it any more: it would alert for ever."""
    assert b"taken out" not in render(filled, config, NOW)


def test_what_is_left_of_the_day_is_never_negative(filled: State, config: Config) -> None:
    """Outstanding links of earlier days may weigh more than the limit of this one."""
    name = "tidegate_day_left_bytes"
    assert series(render(filled, config, NOW))[name] == 10e9 - 0.5e9 - 5e9 - 2e9
    with filled.write() as connection:
        connection.execute("UPDATE link SET bytes = 8000000000")
    assert series(render(filled, config, NOW))[name] == 0


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
            counters.start_pass(connection, day * 86400.0)
    name = "tidegate_pass_interval_seconds"
    assert series(render(state, config.replace(daily_pass=PassSettings()), NOW))[name] == interval * 86400
    assert series(render(state, config, NOW))[name] == 86400


# --- a VM's life


def test_a_retired_vm_has_no_series_at_once_and_its_neighbours_keep_theirs(filled: State, config: Config) -> None:
    """Only retiring does that: a VM that was dropped from its job must go on alerting."""
    before = render(filled, config, NOW)
    with filled.write() as connection:
        vms.change(connection, "mail", retired_at=1.0)
    after = render(filled, config, NOW)
    assert b'vm="mail"' in before
    assert of_vms(after) == [line for line in of_vms(before) if b'vm="mail"' not in line]


def test_a_vm_that_changes_its_set_keeps_its_series(filled: State, config: Config) -> None:
    """The set is told by one family of its own."""
    before = set(series(render(filled, config, NOW)))
    with filled.write() as connection:
        vms.change(connection, "db1", backup_set="daily")
    after = set(series(render(filled, config, NOW)))
    assert before - after == {'tidegate_vm_info{backup_set="weekly",vm="db1"}'}
    assert after - before == {'tidegate_vm_info{backup_set="daily",vm="db1"}'}


# --- all VMs


def test_vms_are_counted_by_how_their_copies_stand_at_that_moment(filled: State, config: Config) -> None:
    """db1 has a copy a week old at the start and a day of its target left; of the others there is none."""

    def counted(now: float) -> list[float]:
        found = series(render(filled, config, now))
        states = [found[f'tidegate_vms{{state="{state}"}}'] for state in ("fresh", "stale", "never", "new")]
        return [*states, found["tidegate_vms_past_target"], found["tidegate_vms_past_twice_target"]]

    assert counted(START + DAY) == [1, 0, 0, 2, 0, 0]
    assert counted(START + DAY + 1) == [0, 1, 0, 2, 1, 0]
    assert counted(START + 8 * DAY + 1) == [0, 1, 1, 1, 2, 0]  # mail, which waits for its first copy
    assert counted(START + 9 * DAY + 1) == [0, 1, 1, 1, 2, 1]
    assert counted(START + 16 * DAY + 1) == [0, 1, 1, 1, 2, 2]
    with filled.write() as connection:
        vms.change(connection, "db1", is_dropped=True)
    assert counted(START + 8 * DAY + 1) == [0, 0, 2, 1, 2, 0]  # it waits for a copy as if it had never had one


def test_without_series_of_single_vms_all_else_is_told(filled: State, config: Config) -> None:
    """Their number is that of the VMs, which some hosts have more of than a Prometheus likes."""
    without = config.replace(exporters=Exporters(vm_series=False))
    whole, rest = (render(filled, one, NOW) for one in (config, without))
    assert not of_vms(rest)
    of_rest = [line for line in whole.splitlines() if b"tidegate_vm_" not in line]
    assert rest.splitlines() == of_rest


# --- restarts and failures


def test_a_restart_loses_no_counter(filled: State, config: Config) -> None:
    """Counters live in the state file."""
    before = render(filled, config, NOW)
    filled.close()
    again = State(config.state.path)
    assert render(again, config, NOW) == before
    again.close()


def test_the_scrape_waits_for_no_writer(filled: State, config: Config) -> None:
    """It sees the last transaction that was committed, while the next one is open."""
    before = render(filled, config, NOW)
    with filled.write() as connection:
        counters.count(connection, "passes")
        assert render(filled, config, NOW) == before
    assert render(filled, config, NOW) != before


def broken(state: State) -> None:
    """Makes the state file what a dying disk makes of it."""
    state.close()
    state.path.write_bytes(b"no database" * 1000)


def test_an_unreadable_state_leaves_no_textfile_to_write(filled: State, config: Config) -> None:
    """The file of before stays, and its age says so."""
    broken(filled)
    with pytest.raises(FaultError, match="the state file is damaged"):
        render(filled, config, NOW)


# --- the list of metrics


def row(family: Heading) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.type} | {labels} | {family.help} |"


def test_the_list_of_metrics_is_the_one_in_the_program(same_as: Callable[[Path, str], None]) -> None:
    """docs/METRICS.md is the preface and the catalogue."""
    table = ["| name | type | labels | what to do with it |", "|---|---|---|---|", *map(row, CATALOGUE)]
    preface = (HERE / "metrics.preface.md").read_text()
    same_as(ROOT / "docs" / "METRICS.md", preface + "\n".join(table) + "\n")
