"""What is asked for in each pass is found by an index: a host's history grows for years and is not read for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.enums import DumpState, LinkState
from core.state import dumps, ledger
from core.state.database import Connection, State

QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "dump_without_end": dumps.without_end,
    "dump_with_marker": dumps.with_ended_markers,
    "dump_with_marker by watch folder": lambda connection: dumps.marker_signatures(connection, "dumps"),
    "dump_without_end by state": lambda connection: dumps.has_some_in(connection, [DumpState.FAILED]),
    "link_outstanding": ledger.outstanding,
    "link_outstanding in sum": ledger.outstanding_total,
    "link_in_tree": ledger.in_tree,
    "link_in_tree by watch folder": lambda connection: ledger.in_tree(connection, "dumps"),
    "link_in_tree by state": lambda connection: ledger.in_tree_and(connection, [LinkState.CHANGED]),
    "link_read": lambda connection: ledger.last_read(connection, since=0),
    "link_in_tree at all": lambda connection: ledger.has_some_in_tree(connection, "dumps"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_stands_and_what_waits_is_found_by_an_index(tmp_path: Path, name: str) -> None:
    """No question reads the rows of dumps and links that have had their end long ago."""
    plan = plan_of(State(tmp_path / "state.db"), QUESTIONS[name])
    assert len(plan) == 1, plan  # and nothing is sorted by SQLite
    assert f"INDEX {name.partition(' ')[0]}" in plan[0]


def plan_of(state: State, ask: Callable[[Connection], object]) -> list[str]:
    """How SQLite goes about the one statement that ``ask`` runs."""
    asked: list[str] = []
    with state.read() as connection:
        connection.set_trace_callback(asked.append)
        ask(connection)
        connection.set_trace_callback(None)
        [statement] = asked  # with its parameters filled in
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
