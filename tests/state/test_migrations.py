"""States that older versions have written go on as they were (``tests/data/state``, each as SQLite dumps it).

They were written by the commands of their time: three days on which two VMs left in turn, a fourth on which one is let
out and the other is on hold, and a dump that is heavier than a day.
"""

import sqlite3
from pathlib import Path

import pytest

from core.state import ledger, vms
from core.state.database import ScratchState, State
from core.state.migrations import STEPS, version_of
from core.state.schema import SCHEMA_VERSION, metadata

WRITTEN = Path(__file__).parent.parent / "data" / "state"


def as_written(folder: Path, version: int) -> Path:
    """The state file as that version left it."""
    path = folder / "state.db"
    with sqlite3.connect(path) as raw:
        raw.executescript((WRITTEN / f"version-{version}.sql").read_text())
    raw.close()
    return path


def shape_of(state: State) -> dict[str, object]:
    """Table -> columns with their kinds, and its indexes, by name."""
    with state.read() as connection:
        return {
            table: (
                {row[1]: row[2:] for row in connection.exec_driver_sql(f"PRAGMA table_info('{table}')")},
                {row[1]: row[2:] for row in connection.exec_driver_sql(f"PRAGMA index_list('{table}')")},
            )
            for table in metadata.tables
        }


def test_each_older_version_has_its_sample() -> None:
    assert {int(file.stem.removeprefix("version-")) for file in WRITTEN.iterdir()} == set(STEPS)


@pytest.mark.parametrize("version", sorted(STEPS))
def test_a_migrated_state_has_every_table_and_index_of_a_new_one(tmp_path: Path, version: int) -> None:
    """Columns of the same names and kinds: nothing tells afterwards that it was ever older."""
    state = State(as_written(tmp_path, version))
    (tmp_path / "new").mkdir()
    new = State(tmp_path / "new" / "state.db")
    assert shape_of(state) == shape_of(new)
    with state.read() as connection:
        assert version_of(connection) == SCHEMA_VERSION


@pytest.mark.parametrize("version", sorted(STEPS))
@pytest.mark.parametrize("kind", [State, ScratchState])
def test_what_an_older_version_has_recorded_stays(tmp_path: Path, version: int, kind: type[State]) -> None:
    state = kind(as_written(tmp_path, version))
    with state.read() as connection:
        known = vms.all_vms(connection)
        outstanding = ledger.outstanding(connection)
        day = ledger.open_day(connection)
        links = ledger.of_vm(connection, "vm2", limit=9)
    assert {name: (row.on_hold, row.offsite_time is not None) for name, row in known.items()} == {
        "vm1": (False, True),
        "vm2": (True, True),
        "vm3": (False, False),
    }
    assert known["vm3"].last_dump_bytes == 5000
    assert len(known["vm1"].dump_times.split()) == 4
    confirmed = {link.confirmed_at for link in links}
    assert known["vm2"].offsite_at in confirmed
    assert [row.forced for row in known.values()] == [None] * 3
    assert day is not None
    assert (day.number, day.limit_bytes, outstanding) == (4, 1000, [])
    assert [link.day for link in links] == [4, 2]
