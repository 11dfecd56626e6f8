"""How often a pass waits for the disk: a commit is an fsync, and on a busy disk each takes milliseconds."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.state.database import Connection, State
from policy.passes import run
from tests.host import Host
from watcher.scanner import scan_and_record


def commits(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Transactions of a pass that releases so many dumps; it has checks, but for none of them."""
    host = Host(folder, daily=1_000_000)
    for number in range(count):
        host.dump(f"vm{number}", 100)
    config = host.config()
    state, clock = State(config.state.path), SystemClock()
    scan_and_record(config, state, clock)
    write, begun = State.write, []

    def counted(self: State) -> AbstractContextManager[Connection]:
        begun.append(self)
        return write(self)

    monkeypatch.setattr(State, "write", counted)
    done = run.run(config, state, clock, wait=0, verify=lambda _row, _body: None)
    monkeypatch.setattr(State, "write", write)
    state.close()
    assert len(done.plan.released) == count
    return len(begun)


def test_a_pass_over_many_dumps_commits_no_oftener_than_one_over_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of ten thousand was recorded as verified by itself once, where no check was configured."""
    assert commits(tmp_path / "many", 30, monkeypatch) == commits(tmp_path / "few", 3, monkeypatch)
