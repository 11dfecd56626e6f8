"""What /metrics answers: kept while the state stays as it is, fresh when it changed, and honest about a failure."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core import dump_history
from core.config.settings import Config
from core.state import counters, database, slices, vms
from core.state.database import State
from exporters.exposition import Exposition
from tests.exporters.conftest import SteppingClock
from tests.exporters.filled import DAY
from tests.exporters.test_metrics import series

SUCCESS = re.compile(r'^tidegate_collect_success\{collector="(\w+)"\} (\d)\.0$', re.MULTILINE)
PASSES = "tidegate_passes_total"


def success(answer: bytes) -> dict[str, bool]:
    """Collector -> whether its part is there."""
    return {name: value == "1" for name, value in SUCCESS.findall(answer.decode())}


def of_state(answer: bytes) -> bytes:
    """The part that comes from the state alone."""
    return answer.partition(b"# HELP tidegate_collect_")[0]


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets longer each time that the state is read for its VMs."""
    begun: list[int] = []
    read = vms.figures

    def counted(*given: object) -> object:
        begun.append(1)
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(vms, "figures", counted)
    return begun


# --- what is kept


def test_nothing_is_read_again_while_nothing_is_committed(
    exposition: Exposition, config: Config, readings: list[int]
) -> None:
    """The same answer, for the price of one question."""
    told = {of_state(exposition.text(config)) for _ in range(5)}
    assert (len(told), len(readings)) == (1, 1)


def test_what_this_process_commits_is_told_by_the_next_answer(
    exposition: Exposition, filled: State, config: Config, readings: list[int]
) -> None:
    before = series(exposition.text(config))[PASSES]
    with filled.write() as connection:
        counters.count(connection, "passes")
    assert series(exposition.text(config))[PASSES] == before + 1
    assert len(readings) == 2


def test_what_another_process_commits_is_told_by_the_next_answer(exposition: Exposition, config: Config) -> None:
    """Passes and syncs are commands of their own."""
    change = "UPDATE counter SET value = value + 1 WHERE name = 'passes'"
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    told = [series(exposition.text(config))[PASSES]]
    for _ in range(3):
        subprocess.run([sys.executable, "-c", program, config.state.path, change], check=True)
        told.append(series(exposition.text(config))[PASSES])
    assert [later - told[0] for later in told] == [0, 1, 2, 3]


def test_what_was_rolled_back_changes_nothing(
    exposition: Exposition, filled: State, config: Config, readings: list[int]
) -> None:
    before = of_state(exposition.text(config))
    with pytest.raises(ZeroDivisionError):
        _count_and_fail(filled)
    assert of_state(exposition.text(config)) == before
    assert len(readings) == 1


def _count_and_fail(state: State) -> None:
    with state.write() as connection:
        counters.count(connection, "passes")
        _ = 1 // 0


def test_what_comes_from_the_clock_is_fresh_though_nothing_is_committed(
    filled: State, config: Config, readings: list[int]
) -> None:
    """A VM becomes stale by waiting."""
    clock = SteppingClock()
    with closing(Exposition(filled, clock)) as exposition:
        before = series(exposition.text(config))
        clock.pass_by(8 * DAY)
        after = series(exposition.text(config))
    assert (before["tidegate_vms_past_target"], after["tidegate_vms_past_target"]) == (1, 2)
    assert len(readings) == 1


def test_a_new_configuration_is_told_at_once(exposition: Exposition, config: Config) -> None:
    """A watch folder that was added is down until it is looked at."""
    one = config.replace(watches=config.watches[:1])
    assert b'watch="second"' not in exposition.text(one)
    assert b'watch="second"' in exposition.text(config)


# --- what fails

ALL = ["vm_series", "vms", "waiting", "day", "links", "hypervisor", "passes", "watches", "markers", "process"]


def is_told(answer: bytes) -> None:
    """Every part is there."""
    assert success(answer) == dict.fromkeys(ALL, True)


def is_missed(answer: bytes) -> None:
    """No figure of the state is left that could look fresh; the process and the version are still seen."""
    assert success(answer) == {name: name == "process" for name in ALL}
    ours = {name for name in series(answer) if name.startswith("tidegate_") and "collect" not in name}
    assert ours == {'tidegate_build_info{version="1.2.3"}'}
    assert "process_resident_memory_bytes" in series(answer)


def test_a_state_that_is_no_database_hides_nothing_else(filled: State, config: Config, exposition: Exposition) -> None:
    """What a dying disk makes of it, or a command with the wrong redirection."""
    is_told(exposition.text(config))
    filled.close()
    _checkpoint(config.state.path)
    config.state.path.write_bytes(b"no database" * 1000)
    is_missed(exposition.text(config))


def test_a_state_that_is_gone_is_told_and_found_again(config: Config, exposition: Exposition) -> None:
    """The connections would go on with the file that went, and the figures look fresh for ever."""
    is_told(exposition.text(config))
    unmounted = config.state.path.rename(config.state.path.with_name("away"))
    is_missed(exposition.text(config))
    unmounted.rename(config.state.path)
    is_told(exposition.text(config))


def test_another_state_in_its_place_is_told(
    config: Config, exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    """The service goes on with the one that it has open; so do its figures."""
    is_told(exposition.text(config))
    kept = config.state.path.rename(config.state.path.with_name("kept"))
    config.state.path.write_bytes(kept.read_bytes())
    is_missed(exposition.text(config))
    assert f"{config.state.path}: this is another state file than before; restart the service" in caplog.text


def test_a_state_that_is_locked_as_a_whole_is_not_waited_for_long(
    filled: State, config: Config, exposition: Exposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program of ours does that; somebody with SQLite's own may."""
    monkeypatch.setattr(database, "_GENERATION_WAIT_SECONDS", 0.01)
    filled.close()
    with closing(sqlite3.connect(config.state.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        is_missed(exposition.text(config))
    is_told(exposition.text(config))


def test_a_damaged_table_hides_no_other(filled: State, config: Config, clock: SteppingClock) -> None:
    """A page of the disk is bad: the VMs cannot be read, and all else can."""
    filled.close()
    _spoil(config.state.path, "vm")
    state = State(config.state.path)
    with closing(Exposition(state, clock)) as exposition:
        answer = exposition.text(config)
    assert {name for name, is_there in success(answer).items() if not is_there} == {"vm_series", "vms", "links"}
    assert series(answer)["tidegate_day_number"] == 7
    state.close()


def _checkpoint(state: Path) -> None:
    """Brings all of it into the file itself: what stands in its log too is read from there."""
    with closing(sqlite3.connect(state)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def _spoil(state: Path, table: str) -> None:
    """Overwrites the first page of this table."""
    _checkpoint(state)
    with closing(sqlite3.connect(state)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with state.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_a_bug_in_one_figure_is_logged_with_its_trace_and_hides_no_other(
    exposition: Exposition, config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer of 500 would hide that the service lives."""
    with monkeypatch.context() as broken:
        broken.setattr(slices, "outstanding_bytes", lambda *_: 1 // 0)
        answer = exposition.text(config)
    assert success(answer) == {name: name != "day" for name in ALL}
    assert "ZeroDivisionError" in caplog.text
    is_told(exposition.text(config))  # what failed is not kept


def test_a_bug_in_the_writing_hides_no_other_too(
    exposition: Exposition, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_history, "shrunk_from", lambda *_: 1 // 0)
    assert success(exposition.text(config)) == {name: name != "vm_series" for name in ALL}
